"""Attack 46: leading us to call an address inside. The stack may reach two doubles, by their ports, and nothing else.

A name that means another address a moment later is a case of `tests/integrations/test_egress.py`.
"""

from __future__ import annotations

from typing import Any

from backend.apps.core.models import Alert
from backend.apps.insurance.tests.factories import partner
from backend.apps.interop.tests.fhir.systems import System, ec_key, make_system, public
from backend.apps.laboratory.models import LabOrderMessage
from backend.apps.laboratory.tests.factories import make_lab_order, make_order_feed, make_order_message
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import put_off
from tests.security.attacks.trap import Trap
from tests.security.matrix import Practice
from tests.support.stage import until

API, FHIR = "/api/v1", "/fhir/R4"
PIN = f"SHA256:{'A' * 43}"
HERE = ("127.0.0.1", "localhost", "[::ffff:7f00:1]", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0")
HOSTS = (*HERE, "[::ffff:127.0.0.1]", "169.254.169.254", "0xa9fea9fe", "10.1.2.3", "[fd00::1]", "[64:ff9b::7f00:1]")
STRANGE = ("gopher://127.0.0.1:{}/_x", "file:///etc/passwd", "//127.0.0.1:{}/", "ftp://127.0.0.1:{}/",
           "https://user@127.0.0.1:{}/", "http://2130706433:{}/", "http://127.0.0.1.nip.io:{}/")  # fmt: skip


def ask(attack: Attack, system: System, *, status: int = 401, **head: str) -> None:
    """Ask for a token as this system, by an assertion that is right but for what its head or its keys lead to."""
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion": system.assertion(header=head, aud=f"{attack.stack.url}/fhir/token"),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    attack.call("post", "/fhir/token", data=form, status=status)


def test_attack_46_we_call_no_address_inside_because_somebody_says_so(
    attack: Attack, mine: Practice, trap: Trap
) -> None:
    outside, port = attack.stack.outside, trap.url.rpartition(":")[2]
    outside.jwks, outside.leads_to = {"keys": [public(ec_key())]}, trap.url
    known = make_system()
    systems = [make_system(jwks_url=f"https://{host}:{port}/jwks.json") for host in HOSTS]
    systems += [make_system(jwks_url=f"{trap.url}/jwks.json"), make_system(jwks_url=f"http://localhost:{port}/jwks")]
    moved = make_system(jwks_url=f"{outside.url}/moved")
    attack.may_change("interop_smartassertion", "interop_smartclient")  # of a system that is let in
    ask(attack, make_system(jwks_url=f"{outside.url}/jwks.json"), status=200)  # so that the others are refused for it
    for system in systems:
        ask(attack, system)
    refusals = attack.stack.logged_since(attack._logs).count("could not be fetched: jwks:egress")
    assert refusals == len(systems)
    ask(attack, moved)
    attack.logged("could not be fetched: jwks:http-302")
    for text in STRANGE:
        ask(attack, known, jku=text.format(port))
        ask(attack, known, status=200, x5u=text.format(port))  # which nobody reads: its own key is registered
    exports_and_partners_name_none(attack, mine, port)
    attack.lawful()
    rows_lead_nowhere(attack, mine, port)
    assert (trap.requests, trap.connections) == ([], 0)
    assert [request.path for request in outside.requests] == ["/jwks.json", "/moved"]
    attack.traced("token", at_least=len(systems))


def exports_and_partners_name_none(attack: Attack, mine: Practice, port: str) -> None:
    """Ask for an export that is called back elsewhere, and name a partner at an address that is none."""
    for text in STRANGE:
        address = text.format(port)
        export = {"Prefer": "respond-async", "X-Callback": address}
        path = f"{FHIR}/$export?_outputFormat={address}"
        attack.call("get", path, headers=export, by=mine.logins["doctor"], status={400, 401, 403})
        body: dict[str, Any] = dict.fromkeys(("our_id", "our_group_id", "submitter_id"), "A")
        body |= dict.fromkeys(("their_id", "their_group_id", "receiver_name", "receiver_id"), "B")
        body |= {"name": "Evil", "transport": "https", "base_url": address, "secret_name": "x"}
        attack.call("post", f"{API}/trading-partners/", json=body, by=mine.logins["admin"], status=400)


def rows_lead_nowhere(attack: Attack, mine: Practice, port: str) -> None:
    """Let laboratories and clearinghouses stand at addresses inside, and ring for what is to be sent and fetched."""
    both = {"patient": mine.patient, "doctor": mine.doctor}
    put_off()
    doors = [partner(transport="https", base_url=f"https://{host}:{port}", inbound_folder="x") for host in HOSTS]
    doors += [partner(transport="https", base_url=f"http://127.0.0.1:{port}")]
    pinned = {"transport": "sftp", "port": int(port), "username": "us", "host_key": PIN}
    doors += [partner(host=host.strip("[]"), **pinned) for host in HOSTS]
    feeds = [make_order_feed(order_host=host.strip("[]"), order_port=int(port)) for host in HOSTS]
    orders = [make_order_message(lab_order=make_lab_order(status="ordered", **both), feed=feed) for feed in feeds]
    attack.may_change("laboratory_labordermessage", "laboratory_laborder")
    attack._look()
    for task in ("claims.collect", "lab_orders.send"):
        attack.stack.ring(task)
    sent = LabOrderMessage.objects.filter(pk__in=[row.pk for row in orders])
    until(lambda: not sent.filter(last_error="").exists())
    errors = set(sent.values_list("last_error", flat=True))
    assert {error.rpartition(" ")[2] for error in errors} == {"(mllp:egress)"}, errors
    told = Alert.objects.filter(kind="claims_partner", subject_id__in=[str(row.pk) for row in doors])
    until(lambda: told.count() == len(doors))
    assert {text.rpartition("(")[2] for text in told.values_list("sentence", flat=True)} == {
        "https:egress).",
        "sftp:egress).",
    }
    attack.lawful()
    for row in [*orders, *doors]:
        row.delete()
