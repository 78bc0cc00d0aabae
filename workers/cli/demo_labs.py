"""A laboratory at work: versions, a duplicate, a stranger, a critical result; without it nobody sees them end well."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from workers.cli import console
from workers.cli.desk import Desk, Line, until
from workers.cli.errors import Refused
from workers.cli.state import HOST, Running

POTASSIUM = "2823-3"
DANGEROUS = "7.1"
STEP = timedelta(minutes=5)
STRANGER = {
    "medical_record_number": "NOBODY-0", "first_name": "No", "last_name": "Body", "date_of_birth": "1990-01-01",
    "gender": "female",
}  # fmt: skip
STATUSES = {"P": "preliminary", "F": "final", "C": "corrected"}
TIERS = ("the doctor who ordered it", "the covering doctor", "an administrator")
ORU = """MSH|^~\\&|DEMOLAB|DEMO LABORATORY|CARERELAY|CLINIC|{now}||ORU^R01^ORU_R01|{control}|P|2.5.1\r\
PID|1||{mrn}^^^CARERELAY^MR||{last}^{first}||{born}|{sex}\r\
ORC|RE|{placer}|{filler}^DEMOLAB\r\
OBR|1|{placer}|{filler}^DEMOLAB|24326-1^Electrolytes^LN|||{taken}|||||||||||||||{now}|||{status}\r\
OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L^^UCUM|3.5-5.1|{flag}|||{status}|||{taken}\r\
OBX|2|NM|2345-7^Glucose^LN||105|mg/dL^^UCUM|70-99|H|||{status}|||{taken}\r"""  # HL7 v2.5.1, chapter 7, ORU^R01


@dataclass
class Scene:
    """The stack, who plays in it, and what has been seen so far."""

    stack: Running
    doctor: Desk
    lab: Desk
    good: bool = True
    sent: list[str] = field(default_factory=list)  # control ids

    def tell(self, what: str, name: str, state: str, *, good: bool = True) -> None:
        """Print one fact, and remember when it is not as it should be."""
        console.say(f"{what:16}{name}  {state}{'' if good else '   <- NOT as it should be'}")
        self.good = self.good and good


def play(stack: Running) -> tuple[list[Line], bool]:
    """Send, file, page, acknowledge and replay, told as it happens; return whether it all ended as it should."""
    scene = Scene(stack, Desk.of(stack, "doctor"), Desk.of(stack, "lab_tech"))
    patient = scene.doctor.get("patients/", limit=1)["results"][0]
    order = ordered(scene, patient)
    versions(scene, patient, order)
    stranger(scene)
    critical(scene, patient)
    replay(scene)
    return [], scene.good


def ordered(scene: Scene, patient: dict[str, Any]) -> dict[str, Any]:
    """Let the doctor order potassium for the patient."""
    tests = scene.doctor.get("lab-tests/", search=POTASSIUM, limit=200)["results"]
    test = next((row for row in tests if row["test_code"] == POTASSIUM), None)
    if test is None:
        raise Refused(f"There is no laboratory test {POTASSIUM}; is this the demo clinic?")
    order: dict[str, Any] = scene.doctor.post("lab-orders/", {"patient": patient["id"], "tests": [test["id"]]})
    scene.doctor.post(f"lab-orders/{order['id']}/place/", {})
    scene.tell("doctor ordered", order["order_number"], "placed")
    return order


def versions(scene: Scene, patient: dict[str, Any], order: dict[str, Any]) -> None:
    """Send preliminary, final and corrected, and the final once more; show every version in the chart."""
    now, numbers = datetime.now(UTC), {"filler": f"F{uuid.uuid4().hex[:10]}", "placer": order["order_number"]}
    taken = now - timedelta(hours=1)
    reports = {
        letter: message(patient, control(), status=letter, value=value, at=now + after, taken=taken, **numbers)
        for letter, value, after in (("P", "4.4", -2 * STEP), ("F", "4.6", -STEP), ("C", "4.2", 0 * STEP))
    }
    for letter, raw in reports.items():
        send(scene, raw, STATUSES[letter])
    twice = send(scene, reports["F"], "the final once more")
    rows = until(lambda: at_rest(scene, scene.sent))
    (again,) = (row for row in rows if row["control_id"] == twice)
    scene.tell("duplicate", again["control_id"], f"one row, {again['repeats']} repeat", good=again["repeats"] == 1)
    history(scene, order)


def history(scene: Scene, order: dict[str, Any]) -> None:
    found = scene.doctor.get("lab-results/", lab_order=order["id"], code_as_sent=POTASSIUM, limit=50)["results"]
    rows = sorted(found, key=lambda row: row["version"])
    for row in rows:
        current = ", current" if row["is_current"] else ""
        scene.tell(f"version {row['version']}", row["id"], f"{row['status']} {row['reported_at'][:19]}{current}")
    seen = [(row["status"], row["is_current"]) for row in rows]
    good = seen == [("preliminary", False), ("final", False), ("corrected", True)]
    state = scene.doctor.get(f"lab-orders/{order['id']}/")["status"]
    scene.tell("order", order["order_number"], state, good=good and state == "completed")


def stranger(scene: Scene) -> None:
    """Send a result of somebody the clinic does not know; it must wait for a person, with the reason."""
    name = send(scene, message(STRANGER, control()), "unknown patient")
    (row,) = until(lambda: at_rest(scene, [name]))
    scene.tell("worklist entry", name, f"{row['status']}: {row['status_reason']}", good=row["status"] == "worklist")


def critical(scene: Scene, patient: dict[str, Any]) -> None:
    """Send a dangerous value; show the page that went out and let the doctor read the value back."""
    order = ordered(scene, patient)
    raw = message(patient, control(), value=DANGEROUS, flag="HH", placer=order["order_number"])
    send(scene, raw, "critical result")
    (row,) = until(lambda: criticals(scene, order))
    page = until(lambda: sent_pages(scene, row))[0]
    scene.tell("page", page["id"], f"{page['channel']} to {TIERS[page['tier']]}, {page['status']}")
    text = outbox(scene.stack, page["external_id"])
    scene.tell("its text", page["external_id"], text, good=DANGEROUS not in text and patient["last_name"] not in text)
    acknowledge(scene, row)


def acknowledge(scene: Scene, row: dict[str, Any]) -> None:
    try:
        scene.doctor.post(f"critical-results/{row['id']}/acknowledge/", {"read_back": "4.1"})
        scene.tell("read back wrong", row["id"], "accepted", good=False)
    except Refused as refusal:
        scene.tell("read back wrong", row["id"], str(refusal).rpartition(". ")[2] or str(refusal))
    done = scene.doctor.post(f"critical-results/{row['id']}/acknowledge/", {"read_back": DANGEROUS})
    scene.tell("read back right", row["id"], done["status"], good=done["status"] == "acknowledged")


def replay(scene: Scene) -> None:
    """File all that was sent once more on trial; a chart that would change would be told here."""
    ids = [row["id"] for row in at_rest(scene, scene.sent)]
    asked = scene.lab.post("lab-replays/", {"messages": ids, "dry_run": True})
    (done,) = until(lambda: finished(scene, asked["id"]))
    changes = f"{done['appears']} would appear, {done['changes']} change, {done['disappears']} disappear"
    outcomes = ", ".join(f"{count} {name}" for name, count in done["outcomes"].items())
    empty = done["status"] == "finished" and not (done["appears"] or done["changes"] or done["disappears"])
    scene.tell("replay on trial", done["id"], f"{done['done']} messages ({outcomes}): {changes}", good=empty)


def send(scene: Scene, raw: bytes, what: str) -> str:
    """Send one message by `mllp_send`, print the acknowledgement and return the control id."""
    name = raw.split(b"|")[9].decode()
    told = mllp_send(scene.stack.ports.mllp, raw)
    code = told.partition("MSA|")[2][:2] or "none"
    scene.sent += [] if name in scene.sent else [name]
    scene.tell("lab sent", name, f"{what}, acknowledged {code}", good=code == "AA")
    return name


def at_rest(scene: Scene, names: list[str]) -> list[Any]:
    """Return the messages with these control ids once none of them waits to be filed."""
    rows = [
        row for name in dict.fromkeys(names) for row in scene.lab.get("inbound-messages/", control_id=name)["results"]
    ]
    return [] if any(row["status"] == "received" for row in rows) else rows


def criticals(scene: Scene, order: dict[str, Any]) -> list[Any]:
    rows = scene.doctor.get("critical-results/", status="open", limit=200)["results"]
    return [row for row in rows if row["lab_order"] == order["id"]]


def sent_pages(scene: Scene, row: dict[str, Any]) -> list[Any]:
    rows: list[Any] = scene.lab.get("critical-pages/", critical_result=row["id"])["results"]
    return [page for page in rows if page["status"] != "waiting" and page["external_id"]]


def finished(scene: Scene, replay_id: str) -> list[Any]:
    found = scene.lab.get(f"lab-replays/{replay_id}/")
    return [found] if found["status"] != "pending" else []


def outbox(stack: Running, external_id: str) -> str:
    """Return the text the sandbox would have sent; a provider's own is not ours to read."""
    path = Path(stack.env.get("CARERELAY_DATA_DIR", ""), "outbox", f"{external_id}.json")
    if not path.exists():
        return "sent by a provider; its text is not kept here"
    record = json.loads(path.read_text())
    return " ".join(f"{record.get('subject', '')} {record.get('body') or record.get('text', '')}".split())


def control() -> str:
    return uuid.uuid4().hex[:16]


def message(
    patient: dict[str, Any],
    control: str,
    *,
    status: str = "F",
    value: str = "4.1",
    flag: str = "N",
    at: datetime | None = None,
    taken: datetime | None = None,
    filler: str = "",
    placer: str = "",
) -> bytes:
    """Return an ORU^R01 with two observations for this patient, reported at `at` (now), taken at `taken` (then)."""
    moment = at or datetime.now(UTC)
    text = ORU.format(
        now=stamp(moment),
        taken=stamp(taken or moment),
        control=control,
        filler=filler or f"F{control}",
        placer=placer,
        status=status,
        value=value,
        flag=flag,
        mrn=patient["medical_record_number"],
        first=patient["first_name"],
        last=patient["last_name"],
        born=patient["date_of_birth"].replace("-", ""),
        sex=patient["gender"][:1].upper(),
    )
    return text.encode()


def stamp(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S+0000")


def mllp_send(port: int, raw: bytes) -> str:
    """Send one message with the client of the `hl7` package; return what it printed."""
    with tempfile.NamedTemporaryFile(suffix=".hl7") as file:
        file.write(raw)
        file.flush()
        client = Path(sys.executable).parent / "mllp_send"
        words = [str(client), "--loose", "--file", file.name, "--port", str(port), HOST]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.replace("\r", "\n")
