"""A licence that runs out: told once, then it bites, an exception, a renewal; without it nobody sees the ladder act."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from backend.apps.core.validators import luhn_ok
from workers.cli import console
from workers.cli.demo_labs import outbox
from workers.cli.desk import Desk, Line, until
from workers.cli.state import Running

DAYS, SWEEPS = 30, 3
SOON = timedelta(days=2)


@dataclass
class Scene:
    """The stack, who plays in it, the doctor and the licence, and whether all ended as it should so far."""

    stack: Running
    desk: Desk
    admin: Desk
    today: date
    doctor: str = ""
    licence: str = ""
    patient: str = ""
    good: bool = True
    visits: int = 0

    def tell(self, what: str, name: str, state: str, *, good: bool = True) -> None:
        """Print one fact, and remember when it is not as it should be."""
        console.say(f"{what:16}{name}  {state}{'' if good else '   <- NOT as it should be'}")
        self.good = self.good and good

    def day(self, days: int) -> str:
        return (self.today + timedelta(days=days)).isoformat()


def play(stack: Running) -> tuple[list[Line], bool]:
    """Let a licence run out and be renewed, told as it happens; return whether it all ended as it should."""
    admin = Desk.of(stack, "admin")
    zone = ZoneInfo(admin.get("clinics/")["results"][0]["time_zone"])
    scene = Scene(stack, Desk.of(stack, "receptionist"), admin, datetime.now(zone).date())
    with doctor(scene):
        told_once(scene)
        booked = [book(scene) for _ in range(2)]
        refused(scene, booked)
        excepted(scene)
        renewed(scene)
    return [], scene.good


@contextmanager
def doctor(scene: Scene) -> Iterator[None]:
    """Enrol a doctor whose licence ends in thirty days, and a patient; take the doctor off when the scene is over."""
    with enrolled(scene.admin) as scene.doctor:
        scene.licence = filed(scene, "state_license", DAYS, state="MA")
        born = {"first_name": "Sam", "last_name": f"Sample{secrets.token_hex(4)}", "date_of_birth": "1984-02-03"}
        scene.patient = scene.desk.post("patients/", born)["id"]
        scene.tell("licence filed", scene.licence, f"ends on {scene.day(DAYS)}")
        try:
            yield
        finally:
            for visit in ahead(scene):
                scene.desk.post(f"appointments/{visit['id']}/cancel/", {"reason": "demo"})


@contextmanager
def enrolled(admin: Desk) -> Iterator[str]:
    """Enrol a doctor without any paper, and take them off at the end; yield the id."""
    serial = secrets.token_hex(4)
    person = {"first_name": "Grace", "last_name": f"Lapse{serial}", "role": "doctor"}
    login = {**person, "email": f"grace.{serial}@demo.clinic", "password": secrets.token_urlsafe(24)}
    user = admin.post("users/", login)
    row = admin.post("doctors/", {"user": user["id"], "license_number": f"D{serial}", "npi_number": npi()})
    try:
        yield str(row["id"])
    finally:
        admin.delete(f"doctors/{row['id']}/")
        admin.post(f"users/{user['id']}/deactivate/", {"reason": "demo"})


def npi() -> str:
    body = f"1{secrets.randbelow(10**8):08d}"
    return next(body + digit for digit in "0123456789" if luhn_ok(f"80840{body}{digit}"))


def filed(scene: Scene, kind: str, days: int, **more: str) -> str:
    paper = {"credential_type": kind, "issuing_organization": "Demo board", "number": secrets.token_hex(4)}
    days_of = {"issue_date": scene.day(-700), "expiry_date": scene.day(days)}
    row = scene.admin.post("doctor-credentials/", {"doctor": scene.doctor, **paper, **days_of, **more})
    return checked(scene.admin, row)


def checked(admin: Desk, row: dict[str, Any]) -> str:
    """Let an administrator ask whoever issued a paper: before that it entitles nobody. Return its id."""
    admin.post(f"doctor-credentials/{row['id']}/verify/", {"method": "issuer"})
    return str(row["id"])


def told_once(scene: Scene) -> None:
    """Sweep several times: one alert, one e-mail. A later paper's alert tells that all sweeps before have looked."""
    sweep(scene)
    (alert,) = until(lambda: alerts(scene, scene.licence))
    (notice,) = until(lambda: [one for one in notices(scene, alert) if one["status"] == "sent"])
    text = outbox(scene.stack, notice["external_id"])
    scene.tell("e-mail sent", notice["id"], f"to the {notice['audience']}: {text[:90]}")
    for _ in range(SWEEPS):
        sweep(scene)
    later = filed(scene, "bls", DAYS)
    sweep(scene)
    until(lambda: alerts(scene, later))
    found = alerts(scene, scene.licence)
    sent = [one for alert in found for one in notices(scene, alert)]
    state = f"after {SWEEPS} more sweeps: {len(found)} alert of {alert['tier']} days, {len(sent)} notice"
    scene.tell("told once", alert["id"], state, good=(len(found), len(sent)) == (1, 1))


def refused(scene: Scene, booked: list[str]) -> None:
    """Let the licence have ended yesterday: no new visit, and the answer lists those that are booked."""
    scene.admin.patch(f"doctor-credentials/{scene.licence}/", {"expiry_date": scene.day(-1)})
    scene.tell("licence amended", scene.licence, f"ended on {scene.day(-1)}")
    said = scene.desk.refusal("appointments/", form(scene))
    listed = [one["id"] for one in said.get("booked", ())]
    scene.tell("booking refused", str(said["status"]), said["detail"], good=said["status"] == 422)
    for one in said.get("booked", ()):
        scene.tell("  to move", one["id"], one["appointment_datetime"])
    scene.tell("listed", str(len(listed)), "visits to move", good=sorted(listed) == sorted(booked))


def excepted(scene: Scene) -> None:
    """Let an administrator make an exception, book with it, and end it."""
    asked = {"doctor": scene.doctor, "credential_type": "state_license", "reason": "Confirmed by phone.", "hours": 2}
    row = scene.admin.post("credential-overrides/", asked)
    visit = book(scene)
    scene.tell("exception", row["id"], f"until {row['expires_at'][:16]}; booked {visit}")
    scene.admin.post(f"credential-overrides/{row['id']}/end/", {})
    said = scene.desk.refusal("appointments/", form(scene))
    scene.tell("exception ended", row["id"], f"refused again, {said['status']}", good=said["status"] == 422)


def renewed(scene: Scene) -> None:
    """Put the renewed licence on file, which closes the ladder; once it is verified visits are booked again."""
    sweep(scene)
    until(lambda: [one for one in alerts(scene, scene.licence) if one["tier"] <= 0])
    dates = {"issue_date": scene.day(0), "expiry_date": scene.day(730)}
    new = scene.admin.post(f"doctor-credentials/{scene.licence}/renew/", dates)
    still = [one for one in alerts(scene, scene.licence) if one["closed_at"] is None]
    why = ", ".join(sorted({one["closed_because"] for one in alerts(scene, scene.licence)}))
    scene.tell("renewed", new["id"], f"until {scene.day(730)}; alerts closed: {why}", good=not still)
    said = scene.desk.refusal("appointments/", form(scene))
    scene.tell("not yet checked", new["id"], f"refused still: {said['detail']}", good=said["status"] == 422)
    checked(scene.admin, new)
    scene.tell("booked again", book(scene), "without an exception")


def sweep(scene: Scene) -> None:
    scene.admin.ring("credential-alerts/sweep/")


def alerts(scene: Scene, credential: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = scene.admin.get("credential-alerts/", doctor_credential=credential)["results"]
    return rows


def notices(scene: Scene, alert: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = scene.admin.get("credential-notices/", alert=alert["id"])["results"]
    return rows


def ahead(scene: Scene) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = scene.desk.get("appointments/", doctor=scene.doctor, status="scheduled")["results"]
    return rows


def form(scene: Scene) -> dict[str, Any]:
    """Return what a visit is booked with, each at an hour of its own."""
    scene.visits += 1
    start = datetime.now(UTC).replace(microsecond=0) + SOON + timedelta(hours=scene.visits)
    return {
        "patient": scene.patient, "doctor": scene.doctor, "appointment_datetime": start.isoformat(),
        "duration_minutes": 30, "appointment_type": "consultation", "availability_override_reason": "demo visit",
    }  # fmt: skip


def book(scene: Scene) -> str:
    return str(scene.desk.post("appointments/", form(scene))["id"])
