"""A patient who answers: asked by text, confirms with "1", then wants no more texts; without it nobody sees it act."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from twilio.request_validator import RequestValidator

from workers.cli import console, demo_credentials, demo_ground
from workers.cli.demo_labs import outbox
from workers.cli.desk import Desk, Line, until
from workers.cli.errors import Refused
from workers.cli.stack import secret
from workers.cli.state import Running

ASKED_BEFORE, REMINDED_BEFORE = timedelta(hours=24), timedelta(hours=2)
SOON, LATER = timedelta(seconds=8), timedelta(seconds=30)  # until the two texts fall due
GONE = ("sent", "delivered")  # the second where a provider reports
NOON = 13  # an hour at which texts are welcome


@dataclass
class Scene:
    """The stack, the front desk, the patient with a phone of their own, and whether all ended as it should so far."""

    stack: Running
    desk: Desk
    patient: dict[str, Any]
    good: bool = True

    def tell(self, what: str, name: str, state: str, *, good: bool = True) -> None:
        """Print one fact, and remember when it is not as it should be."""
        console.say(f"{what:16}{name}  {state}{'' if good else '   <- NOT as it should be'}")
        self.good = self.good and good


def play(stack: Running) -> tuple[list[Line], bool]:
    """Book, send, take the answer, stop; told as it happens. Return whether it all ended as it should."""
    front_desk = Desk.of(stack, "receptionist")
    scene = Scene(stack, front_desk, registered(front_desk))
    scene.tell("desk registered", scene.patient["id"], "agreed to texts and e-mail")
    with free_doctor(stack) as doctor:
        visits = [confirmed_by_text(scene, doctor), stopped_by_text(scene, doctor)]
        for visit in visits:
            scene.desk.post(f"appointments/{visit}/cancel/", {"reason": "demo"})
    return [], scene.good


@contextmanager
def free_doctor(stack: Running) -> Iterator[str]:
    """Yield a doctor with a licence who has no visits: those of the demo clinic may be busy at the very minute."""
    admin, today = Desk.of(stack, "admin"), datetime.now(UTC).date()
    with demo_credentials.enrolled(admin) as doctor:
        days = {"issue_date": f"{today - timedelta(days=700)}", "expiry_date": f"{today + timedelta(days=700)}"}
        paper = {"credential_type": "state_license", "state": "MA", "issuing_organization": "Demo board"}
        row = admin.post("doctor-credentials/", {"doctor": doctor, "number": secrets.token_hex(4), **paper, **days})
        demo_credentials.checked(admin, row)
        yield doctor


def registered(front_desk: Desk, **more: Any) -> dict[str, Any]:
    """Register somebody with a number nobody had before, in a zone where it is early afternoon now."""
    digits = f"{secrets.randbelow(10**7):07d}"
    west = (datetime.now(UTC).hour - NOON) % 24
    zone = f"Etc/GMT+{west}" if west <= 12 else f"Etc/GMT-{24 - west}"
    patient: dict[str, Any] = front_desk.post(
        "patients/",
        {
            "first_name": "Robin",
            "last_name": f"Demo{digits}",
            "date_of_birth": "1990-04-12",
            "phone": f"+1202{2 + int(digits[0]) % 8}{digits[1:]}",
            "email": f"robin{digits}@example.org",
            "time_zone": zone,
            "sms_consent": True,
            "email_consent": True,
            **more,
        },
    )
    return patient


def confirmed_by_text(scene: Scene, doctor: str) -> str:
    """Tomorrow's visit is asked about by text; the patient answers "1" and it is confirmed."""
    visit = book(scene, doctor, datetime.now(UTC) + ASKED_BEFORE + SOON)
    (row,) = until(lambda: gone_out(scene, visit, "sms"))
    scene.tell("text sent", row["id"], outbox(scene.stack, row["external_id"]), good=row["status"] in GONE)
    told = text_from_patient(scene, "1")
    scene.tell("patient texts", told, '"1", signed as the provider signs')
    (done,) = until(lambda: now_confirmed(scene, visit))
    scene.tell("appointment", visit, done["status"], good=done["status"] == "confirmed")
    return visit


def stopped_by_text(scene: Scene, doctor: str) -> str:
    """The patient wants no more texts: the next reminder, planned as a text, comes by e-mail."""
    visit = book(scene, doctor, datetime.now(UTC) + REMINDED_BEFORE + LATER)
    planned = [row["reminder_type"] for row in reminders(scene, visit)]
    scene.tell("planned", visit, ", ".join(planned), good=planned == ["sms"])
    told = text_from_patient(scene, "STOP")
    scene.tell("patient texts", told, '"STOP"')
    until(lambda: opted_out(scene))
    (mail,) = until(lambda: gone_out(scene, visit, "email"))
    (text,) = [row for row in reminders(scene, visit) if row["reminder_type"] == "sms"]
    scene.tell("text", text["id"], f"{text['status']}: {text['status_reason']}", good=text["status"] == "suppressed")
    scene.tell("e-mail instead", mail["id"], outbox(scene.stack, mail["external_id"]), good=mail["status"] in GONE)
    return visit


def book(scene: Scene, doctor: str, start: datetime) -> str:
    body = {
        "patient": scene.patient["id"],
        "doctor": doctor,
        "appointment_datetime": start.isoformat(),
        "duration_minutes": 5,
        "appointment_type": "consultation",
        "availability_override_reason": "demo visit",
    }
    visit = str(scene.desk.post("appointments/", body)["id"])
    scene.tell("desk booked", visit, f"{start:%a %d %b %H:%M} UTC")
    return visit


def text_from_patient(scene: Scene, body: str) -> str:
    """Post an inbound text as the provider by which the stack sends does, signed with its token; return its id."""
    env = scene.stack.env
    address = f"{scene.stack.web_url}/webhooks/twilio/inbound"
    sid = f"SM{secrets.token_hex(16)}"
    form = {
        "MessageSid": sid,
        "AccountSid": env.get("TWILIO_ACCOUNT_SID") or "sandbox",
        "From": scene.patient["phone"],
        "To": env.get("TWILIO_FROM", ""),
        "Body": body,
    }
    public = env.get("CARERELAY_PUBLIC_BASE_URL", scene.stack.web_url).rstrip("/")
    token = secret(env, "TWILIO_AUTH_TOKEN" if demo_ground.texts_by(env) == "twilio" else "CARERELAY_SANDBOX_TOKEN")
    signature: str = RequestValidator(token).compute_signature(f"{public}/webhooks/twilio/inbound", form)
    answer = requests.post(address, data=form, headers={"X-Twilio-Signature": signature}, timeout=30)
    if not answer.ok:
        raise Refused(f"The webhook for texts answered {answer.status_code}.")
    return sid


def reminders(scene: Scene, visit: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = scene.desk.get("appointment-reminders/", appointment=visit)["results"]
    return rows


def gone_out(scene: Scene, visit: str, channel: str) -> list[dict[str, Any]]:
    rows = reminders(scene, visit)
    return [row for row in rows if row["reminder_type"] == channel and row["status"] not in ("pending", "superseded")]


def now_confirmed(scene: Scene, visit: str) -> list[dict[str, Any]]:
    row = scene.desk.get(f"appointments/{visit}/")
    return [row] if row["status"] != "scheduled" else []


def opted_out(scene: Scene) -> list[Any]:
    row = scene.desk.get(f"patients/{scene.patient['id']}/")
    return [row] if not row["sms_consent"] else []
