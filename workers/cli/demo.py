"""One clinic day, end to end: a lab sends a result, a patient gets a reminder; without it nobody sees it work."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from workers.cli import console
from workers.cli.errors import Refused
from workers.cli.state import HOST, Running

PASSWORD = "demo-clinic-2026"  # printed in the README
PATIENCE_S = 90.0
REMINDER_BEFORE = timedelta(hours=2)
ORU = """MSH|^~\\&|DEMOLAB|DEMO LABORATORY|CARERELAY|CLINIC|{now}||ORU^R01^ORU_R01|{control}|P|2.5.1\r\
PID|1||{mrn}^^^CARERELAY^MR||{last}^{first}||{born}|{sex}\r\
ORC|RE||{filler}^DEMOLAB\r\
OBR|1||{filler}^DEMOLAB|2823-3^Potassium^LN|||{now}|||||||||||||||{now}|||F\r\
OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L^^UCUM|3.5-5.1|N|||F|||{now}\r\
OBX|2|NM|2345-7^Glucose^LN||105|mg/dL^^UCUM|70-99|H|||F|||{now}\r"""  # HL7 v2.5.1, chapter 7, ORU^R01

Line = tuple[str, str, str]  # what, id, state


@dataclass(frozen=True)
class Desk:
    """A signed-in member of the demo clinic."""

    base: str
    token: str

    @classmethod
    def of(cls, stack: Running, role: str) -> Desk:
        base = f"{stack.web_url}/api/v1"
        login = {"email": f"{role}@demo.clinic", "password": PASSWORD}
        answer = requests.post(f"{base}/auth/token/", json=login, timeout=30)
        if answer.status_code != 200:
            raise Refused(f"The demo login of the {role} is refused ({answer.status_code}); is this the demo clinic?")
        return cls(base, answer.json()["access"])

    def get(self, path: str, **params: Any) -> Any:
        return self._checked(requests.get(f"{self.base}/{path}", params=params, headers=self._headers(), timeout=30))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {**self._headers(), "Idempotency-Key": uuid.uuid4().hex}
        return self._checked(requests.post(f"{self.base}/{path}", json=body, headers=headers, timeout=30))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _checked(self, answer: requests.Response) -> Any:
        if not answer.ok:
            detail = answer.json().get("detail", "") if "json" in answer.headers.get("Content-Type", "") else ""
            raise Refused(f"{answer.request.method} {answer.request.path_url} answered {answer.status_code}. {detail}")
        return answer.json()


def run(stack: Running, names: Sequence[str]) -> int:
    """Play the named scenes (all without names) on `stack`; return 0 when every one ended as it should."""
    unknown = sorted(set(names) - set(SCENES))
    if unknown:
        raise Refused(f"There is no scene {unknown[0]!r}; there are: {', '.join(SCENES)}.")
    console.say(f"Demo on {stack.web_url}")
    lines, good = list[Line](), True
    for name in names or SCENES:
        told, ended_well = SCENES[name](stack)
        lines += told
        good = good and ended_well
    console.table("What happened", ("what", "id", "state"), lines)
    console.say("Everything ended as it should." if good else "Something did not end as it should; see the table.")
    return 0 if good else 1


def lab_result(stack: Running) -> tuple[list[Line], bool]:
    """A laboratory sends a result by `mllp_send` of the `hl7` package; a worker files it in the chart."""
    patient = Desk.of(stack, "receptionist").get("patients/", limit=1)["results"][0]
    control = uuid.uuid4().hex[:16]
    acknowledged = mllp_send(stack.ports.mllp, message(patient, control))
    code = acknowledged.partition("MSA|")[2][:2] or "none"
    console.say(f"lab     sent ORU^R01 {control}, acknowledged {code}")
    desk = Desk.of(stack, "lab_tech")
    rows = until(lambda: results_of(desk, control))
    lines = [("lab message", control, f"acknowledged {code}")]
    lines += [(f"lab result {row['code_as_sent']}", row["id"], row["status"]) for row in rows]
    return lines, code == "AA" and len(rows) == 2


def results_of(desk: Desk, control: str) -> list[Any]:
    """Return the results filed from the message with this control id."""
    messages = desk.get("inbound-messages/", control_id=control)["results"]
    if not messages or messages[0]["status"] == "received":
        return []
    found: list[Any] = desk.get("lab-results/", source_message=messages[0]["id"])["results"]
    return found


def reminder(stack: Running) -> tuple[list[Line], bool]:
    """The front desk books a visit; its two-hour text message falls due in a moment and leaves."""
    desk = Desk.of(stack, "receptionist")
    patient = next(row for row in desk.get("patients/", limit=200)["results"] if row["sms_consent"] and row["phone"])
    doctor = desk.get("doctors/", limit=1)["results"][0]
    start = datetime.now(UTC) + REMINDER_BEFORE + timedelta(seconds=10)
    visit = book(desk, patient["id"], doctor["id"], start)
    console.say(f"desk    booked {visit['id']}, reminders planned")
    row = until(lambda: sent_reminder(desk, visit["id"]))[0]
    console.say(f"worker  sent {row['id']} as {row['external_id']}")
    desk.post(f"appointments/{visit['id']}/cancel/", {"reason": "demo"})
    lines = [
        ("appointment", visit["id"], visit["status"]),
        (f"reminder {row['reminder_type']}", row["id"], row["status"]),
    ]
    return [*lines, ("provider's id", row["external_id"], "kept")], row["status"] == "sent" and bool(row["external_id"])


def book(desk: Desk, patient: str, doctor: str, start: datetime) -> Any:
    body = {
        "patient": patient,
        "doctor": doctor,
        "appointment_datetime": start.isoformat(),
        "duration_minutes": 5,
        "appointment_type": "consultation",
        "availability_override_reason": "demo visit",
    }
    return desk.post("appointments/", body)


def sent_reminder(desk: Desk, visit: str) -> list[Any]:
    rows = desk.get("appointment-reminders/", appointment=visit)["results"]
    return [row for row in rows if row["status"] in {"sent", "delivered", "failed"}]


def message(patient: dict[str, Any], control: str) -> bytes:
    """Return an ORU^R01 with two observations for this patient."""
    text = ORU.format(
        now=datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000"),
        control=control,
        filler=f"F{control}",
        mrn=patient["medical_record_number"],
        first=patient["first_name"],
        last=patient["last_name"],
        born=patient["date_of_birth"].replace("-", ""),
        sex=patient["gender"][:1].upper(),
    )
    return text.encode()


def mllp_send(port: int, raw: bytes) -> str:
    """Send one message with the client of the `hl7` package; return what it printed."""
    with tempfile.NamedTemporaryFile(suffix=".hl7") as file:
        file.write(raw)
        file.flush()
        client = Path(sys.executable).parent / "mllp_send"
        words = [str(client), "--loose", "--file", file.name, "--port", str(port), HOST]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.replace("\r", "\n")


def until(look: Callable[[], list[Any]]) -> list[Any]:
    """Return what `look` finds as soon as it finds something; refuse after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise Refused(f"Nothing came within {PATIENCE_S:.0f} s; see the logs of the stack.")


SCENES: dict[str, Callable[[Running], tuple[list[Line], bool]]] = {"labs": lab_result, "reminders": reminder}
