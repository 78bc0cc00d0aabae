"""Three claims on their way to money: one refused at the desk, one paid, one denied; without it nobody sees them go."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from integrations.x12.counterpart import arrivals
from integrations.x12.fake import FakeClearinghouse
from workers.cli import console
from workers.cli.desk import Desk, Line, until
from workers.cli.errors import Refused
from workers.cli.state import Running

ACKNOWLEDGEMENTS = ("999", "277CA", "277CA-payer")
VISIT = {"code": "99213", "units": 1, "charge": "125.00", "diagnosis_pointers": [1]}
BLOOD = {"code": "36415", "units": 1, "charge": "25.00", "diagnosis_pointers": [1], "modifiers": ["59"]}
LEAVE_AGAIN_S = 3.0  # the file that claims were just put into has left by then
ADDRESS = {"address_line1": "12 Oak Street", "city": "Austin", "state": "TX", "postal_code": "78702-1234"}
HOLDER = {
    "policy_holder_name": "Robin Sample",
    "policy_holder_dob": "1980-03-04",
    "policy_holder_sex": "F",
    **{f"policy_holder_{name}": value for name, value in ADDRESS.items()},
}


@dataclass
class Scene:
    """The stack, who plays in it, the clearinghouse, what was drafted, and whether all ended as it should so far."""

    stack: Running
    desk: Desk
    admin: Desk
    house: FakeClearinghouse
    good: bool = True
    partner: str = ""
    plan: str = ""
    drafts: list[str] = field(default_factory=list)

    def tell(self, what: str, name: str, state: str, *, good: bool = True) -> None:
        """Print one fact, and remember when it is not as it should be."""
        console.say(f"{what:16}{name}  {state}{'' if good else '   <- NOT as it should be'}")
        self.good = self.good and good


def play(stack: Running) -> tuple[list[Line], bool]:
    """Scrub, send, acknowledge, pay and deny, told as it happens; return whether it all ended as it should."""
    with tempfile.TemporaryDirectory() as folder, FakeClearinghouse(numbered(Path(folder))) as house:
        scene = Scene(stack, Desk.of(stack, "receptionist"), Desk.of(stack, "admin"), house)
        with partner(scene):
            own, child = claim(scene, "self", covered(scene)), claim(scene, "dependent", covered(scene, **child_of()))
            refused(scene)
            for one in (own, child):
                sent_off(scene, one)
            transmitted(scene, [own, child])
            acknowledged(scene, [own, child])
            settled(scene, own, child)
            for one in (own, child):
                timeline(scene, one)
    return [], scene.good


def numbered(folder: Path) -> Path:
    """Let a clearinghouse count from anywhere: two payments under one trace number would be one, told twice."""
    (folder / "number").write_text(str(secrets.randbelow(10**7)))
    return folder


@contextmanager
def partner(scene: Scene) -> Iterator[None]:
    """Set up the clearinghouse and a payer it reaches; stop asking it and forget its key when the scene is over."""
    name = f"demo-{secrets.token_hex(4)}"
    key = keep_key(scene, name)
    try:
        scene.partner = scene.admin.post("trading-partners/", terms(scene.house, name))["id"]
        set_up_payer(scene, name)
        scene.tell("clearinghouse", scene.partner, f"SFTP on port {scene.house.port}, its key pinned")
        yield
    except BaseException:
        take_back(scene)
        leave_at_last(scene)
        raise
    else:
        leave(scene)
    finally:
        key.unlink(missing_ok=True)


def take_back(scene: Scene) -> None:
    """Take back what waits for a file still: a partner for whom claims are in line cannot be left."""
    for one in scene.drafts:
        with suppress(Refused):  # it does not wait
            scene.desk.post(f"insurance-claims/{one}/withdraw/", {})


def leave(scene: Scene) -> None:
    """Ask the clearinghouse of the scene no more."""
    if scene.partner:
        scene.admin.patch(f"trading-partners/{scene.partner}/", {"is_active": False})


def leave_at_last(scene: Scene) -> None:
    """Leave the clearinghouse after all broke off, at the second try perhaps; what came first is told as the error."""
    for wait_s in (LEAVE_AGAIN_S, 0.0):
        try:
            leave(scene)
        except Refused as refusal:
            why = refusal
            time.sleep(wait_s)  # also while the command is to end
        else:
            return
    scene.tell("clearinghouse", scene.partner, f"is asked for answers still: {why}", good=False)


def set_up_payer(scene: Scene, name: str) -> None:
    payer = scene.admin.post("insurance-providers/", {"company_name": f"Demo Health {name}", "payer_id": payer_id()})
    reaches = {"partner": scene.partner, "provider": payer["id"], "payer_id": payer["payer_id"]}
    scene.admin.post("partner-payers/", reaches)
    plan = {"provider": payer["id"], "plan_name": "Gold", "plan_type": "ppo", "timely_filing_days": 180}
    scene.plan = scene.admin.post("insurance-plans/", plan)["id"]


def terms(house: FakeClearinghouse, name: str) -> dict[str, Any]:
    ours, theirs = f"CLINIC{secrets.randbelow(10**6):06d}", "DEMOHOUSE"
    return {
        "name": name, "transport": "sftp", "host": house.host, "port": house.port, "username": house.username,
        "host_key": house.host_key, "secret_name": name, "outbound_folder": "inbound", "inbound_folder": "outbound",
        "our_id": ours, "their_id": theirs, "our_group_id": ours, "their_group_id": theirs, "submitter_id": ours,
        "receiver_name": "DEMO HOUSE", "receiver_id": theirs,
    }  # fmt: skip


def keep_key(scene: Scene, name: str) -> Path:
    """Put our private key where the stack looks for the secrets of partners; return its file."""
    data = scene.stack.env.get("CARERELAY_DATA_DIR", "")
    if not data:
        raise Refused("This stack keeps its data elsewhere; the demo cannot give it a key.")
    folder = Path(scene.stack.env.get("CARERELAY_PARTNER_SECRETS") or Path(data, "partner-secrets"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(scene.house.client_key)
    return path


def payer_id() -> str:
    return f"D{secrets.randbelow(10**8):08d}"


def child_of() -> dict[str, Any]:
    return {"policy_holder_relationship": "child", **HOLDER}


def covered(scene: Scene, **more: Any) -> str:
    """Register somebody and their coverage; return the id of the coverage."""
    digits = f"{secrets.randbelow(10**7):07d}"
    born = "2015-06-01" if more else "1984-02-03"
    patient = scene.desk.post(
        "patients/",
        {
            "first_name": "Sam",
            "last_name": f"Sample{secrets.token_hex(4)}",
            "date_of_birth": born,
            "gender": "male",
            **ADDRESS,
        }
        | {"medical_record_number": f"DEMO-{digits}"},
    )
    coverage = {
        "patient": patient["id"], "insurance_plan": scene.plan, "policy_number": f"POL{digits}",
        "member_id": f"W{digits}", "effective_date": "2024-01-01", **more,
    }  # fmt: skip
    return str(scene.desk.post("patient-insurances/", coverage)["id"])


def claim(scene: Scene, kind: str, coverage: str, **more: Any) -> dict[str, Any]:
    row = drafted(scene, coverage, **more)
    scene.tell("claim drafted", row["claim_number"], f"{kind}, {row['billed_amount']}")
    return row


def drafted(scene: Scene, coverage: str, **more: Any) -> dict[str, Any]:
    doctor = scene.desk.get("doctors/", limit=1)["results"][0]["id"]
    day = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    body = {
        "patient_insurance": coverage, "service_date": day, "rendering_doctor": doctor,
        "diagnosis_codes": ["E11.9", "I10"], "procedure_codes": [VISIT, BLOOD], **more,
    }  # fmt: skip
    row: dict[str, Any] = scene.desk.post("insurance-claims/", body)
    scene.drafts.append(row["id"])
    return row


def refused(scene: Scene) -> None:
    """Draft a claim for a day before the cover began, that names a fall first: it must not leave."""
    wrong = {"service_date": "2023-12-29", "diagnosis_codes": ["W19.XXXA", "I10"]}
    bad = claim(scene, "bad", covered(scene), **wrong)
    scrubbed = scene.desk.post(f"insurance-claims/{bad['id']}/scrub/", {})
    for finding in scrubbed["findings"]:
        scene.tell("  finding", f"{finding['severity']} {finding['rule']}", f"{finding['path']}: {finding['message']}")
    try:
        scene.desk.post(f"insurance-claims/{bad['id']}/submit/", {})
        scene.tell("bad claim", bad["claim_number"], "submitted", good=False)
    except Refused as refusal:
        said = str(refusal).rpartition("422. ")[2]
        scene.tell("bad claim", bad["claim_number"], f"refused: {said}", good=" 422" in str(refusal))


def sent_off(scene: Scene, one: dict[str, Any]) -> None:
    row = scene.desk.post(f"insurance-claims/{one['id']}/submit/", {})
    state = f"scrubbed and {row['submission_state']}"
    scene.tell("claim submitted", one["claim_number"], state, good=row["submission_state"] == "queued")


def transmitted(scene: Scene, claims: list[dict[str, Any]]) -> None:
    """Make the file now, wait until it lies at the clearinghouse, and let readers of others look at it."""
    scene.admin.post(f"trading-partners/{scene.partner}/build_now/", {})
    until(lambda: [] if any(now(scene, one)["status"] == "draft" for one in claims) else claims)
    (entry,) = scene.house.ledger()
    scene.tell("file sent", entry.name, f"{len(entry.claims)} claims, {entry.size} bytes", good=len(entry.claims) == 2)
    content = (scene.house.inbound() / entry.name).read_bytes()
    note, faults = arrivals.faults(arrivals.read(content))
    count = sum(map(len, faults.values()))
    scene.tell("x12valid", entry.name, f"{count} findings", good=note == "000" and count == 0)


def acknowledged(scene: Scene, claims: list[dict[str, Any]]) -> None:
    scene.house.answer(*ACKNOWLEDGEMENTS)
    collect(scene)
    until(lambda: claims if all(now(scene, one)["status"] == "accepted" for one in claims) else [])
    for one in claims:
        row = now(scene, one)
        scene.tell("999, 277CA", one["claim_number"], f"{row['status']}, {row['insurance_reference_number']} there")


def settled(scene: Scene, paid: dict[str, Any], denied: dict[str, Any]) -> None:
    """Let the payer pay one and deny the other, and wait for the ledger."""
    (number,) = [name for name in scene.house.ledger()[0].claims if name == control_number(scene, denied)]
    scene.house.order(denied={number: "CO-197"})
    scene.house.answer("835")
    collect(scene)
    until(lambda: [one for one in [now(scene, denied)] if one["status"] == "denied"])
    for one, wanted in ((paid, "paid"), (denied, "denied")):
        row = now(scene, one)
        amounts = f"{row['status']}: paid {row['paid_amount']}, patient owes {row['patient_responsibility']}"
        scene.tell("835 posted", one["claim_number"], amounts, good=row["status"] == wanted)


def control_number(scene: Scene, one: dict[str, Any]) -> str:
    rows = scene.desk.get("submissions/", claim=one["id"])["results"]
    return str(rows[0]["claim_control_number"])


def collect(scene: Scene) -> None:
    scene.admin.post(f"trading-partners/{scene.partner}/collect_now/", {})


def now(scene: Scene, one: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = scene.desk.get(f"insurance-claims/{one['id']}/")
    return row


def timeline(scene: Scene, one: dict[str, Any]) -> None:
    scene.tell("timeline of", one["claim_number"], now(scene, one)["status"])
    told = scene.desk.get(f"insurance-claims/{one['id']}/timeline/")
    for event in told["events"]:
        codes = f" ({', '.join(event['details'])})" if event["details"] else ""
        console.say(f"  {event['at'][:19]}  {event['kind']:6} {event['code']:8} {event['sentence']}{codes}")
