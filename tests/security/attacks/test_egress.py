"""Attack 46: leading us to call an address inside."""

from __future__ import annotations

from backend.apps.interop.tests.fhir.systems import make_system
from tests.security.attacks.attack import Attack
from tests.security.attacks.trap import Trap
from tests.security.matrix import Practice

API, FHIR = "/api/v1", "/fhir/R4"


def addresses_inside(port: str) -> list[str]:
    return [
        f"http://127.0.0.1:{port}/",
        f"http://[::1]:{port}/",
        f"http://2130706433:{port}/",
        f"http://0x7f000001:{port}/",
        f"http://0177.0.0.1:{port}/",
        f"http://0:{port}/",
        f"http://localhost:{port}/",
        "http://169.254.169.254/latest/",
        "gopher://127.0.0.1:6379/_x",
        "file:///etc/passwd",
        f"http://user@127.0.0.1:{port}/",
        f"//127.0.0.1:{port}/",
        "ftp://127.0.0.1/",
        f"http://127.0.0.1.nip.io:{port}/",
    ]


def test_attack_46_we_call_no_address_inside_because_somebody_says_so(
    attack: Attack, mine: Practice, trap: Trap
) -> None:
    port = trap.url.rpartition(":")[2]
    inside = addresses_inside(port)
    system = make_system()
    for address in inside:
        for head in ({"jku": address}, {"x5u": address}):
            form = {
                "grant_type": "client_credentials",
                "scope": "system/*.rs",
                "client_assertion": system.assertion(header=head),
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            }
            attack.call("post", "/fhir/token", data=form, status={400, 401})
        export = {"Prefer": "respond-async", "X-Callback": address}
        attack.call(
            "get",
            f"{FHIR}/$export?_outputFormat={address}",
            headers=export,
            by=mine.logins["doctor"],
            status={400, 401, 403},
        )
    for address in inside:
        if not address.startswith(
            ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
        ):  # where a demo's partners are
            body = {
                "name": "Evil",
                "transport": "https",
                "base_url": address,
                "our_id": "A",
                "their_id": "B",
                "our_group_id": "A",
                "their_group_id": "B",
                "submitter_id": "S",
                "receiver_name": "R",
                "receiver_id": "R",
                "secret_name": "x",
            }
            attack.call("post", f"{API}/trading-partners/", json=body, by=mine.logins["admin"], status=400)
    assert trap.requests == []
    attack.traced("token", at_least=20)
