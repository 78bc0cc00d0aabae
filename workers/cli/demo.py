"""One clinic day, end to end: a lab sends a result, a patient gets a reminder; without it nobody sees it work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.cli import console, demo_labs
from workers.cli.desk import Desk, Line, until
from workers.cli.errors import Refused
from workers.cli.state import Running

REMINDER_BEFORE = timedelta(hours=2)


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
    if lines:
        console.table("What happened", ("what", "id", "state"), lines)
    console.say("Everything ended as it should." if good else "Something did not end as it should; see above.")
    return 0 if good else 1


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


SCENES: dict[str, Callable[[Running], tuple[list[Line], bool]]] = {"labs": demo_labs.play, "reminders": reminder}
