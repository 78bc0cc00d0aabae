"""The bulk of a demo day: many visits, messages of two laboratories, claims and an export, all at the same time."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.doubles.laboratory import control_of, msa
from integrations.errors import Transient, Unknown
from integrations.hl7.mllp import MllpClient, frame
from workers.cli import console, demo_billing, demo_counts, demo_fhir, demo_labs, demo_reminders, demo_trouble, stopping
from workers.cli.backend_service import BackendService
from workers.cli.demo_asked import Asked, ExportAsked, Invited, LabAsked
from workers.cli.demo_partners import A_SECOND, Partners
from workers.cli.desk import Desk
from workers.cli.errors import Refused
from workers.cli.state import Running

AHEAD, SLOT = timedelta(days=40), timedelta(minutes=5)  # where no other visit of the demo clinic is
BOOKED_AT_ONCE = 4
TURNED = {"sms": 1440, "email": 4320}  # minutes before the visit, by channel, of the reminders that are sent
TURN = """
    UPDATE appointments_appointmentreminder SET due_at = now(), scheduled_send_time = now()
    WHERE appointment_id = ANY(%s::uuid[]) AND offset_minutes = %s AND reminder_type = %s AND status = 'pending'"""
DEMO_LAB = b"DEMOLAB|DEMO LABORATORY"
LABS = {"DEMO LABORATORY": DEMO_LAB, "NORTH LABORATORY": b"NORTHLAB|NORTH LABORATORY"}
LAB_PATIENCE_S, MIDDLE_S, PARTS_S = 90.0, 40.0, 600.0
BAD = 2  # messages of each laboratory that wait for a person: a stranger's, and one without a patient
FEWEST = 12  # messages of all laboratories, with which each sends some of every kind
ANSWERED = frozenset({"AA", "AR"})  # anything else means: send it again
HANG_UPS = 3  # of each laboratory, on a day of faults


@dataclass(frozen=True)
class Size:
    """How many reminders, messages of laboratories and claims a day has. Raises Refused."""

    reminders: int = 200
    messages: int = 60
    claims: int = 20

    def __post_init__(self) -> None:
        if self.messages < FEWEST:
            raise Refused(f"With fewer than {FEWEST} messages the laboratories cannot send some of every kind.")

    @property
    def texts(self) -> int:
        """Every other reminder; the others are e-mails."""
        return self.reminders - self.reminders // 2

    @property
    def mails(self) -> int:
        return self.reminders // 2

    @property
    def sending_s(self) -> float:
        """Seconds that the messages need at the pace of the day, both channels at once."""
        return self.texts / A_SECOND


@dataclass
class Bulk:
    """The stack and its partners, what is asked of them, and whether things go wrong. under_way: the claims leave."""

    running: Running
    partners: Partners
    size: Size
    chaos: bool
    began: datetime  # of the whole day, by the clock of the database
    good: bool = True
    asked: Asked = field(default_factory=Asked)
    under_way: threading.Event = field(default_factory=threading.Event)

    def dice(self, name: str) -> random.Random:
        return random.Random(f"{self.partners.seed} {name}")  # noqa: S311 - a plan, not a secret


def play(bulk: Bulk) -> None:
    """Ask for everything at once and wait until it has been asked for; what becomes of it is waited for elsewhere."""
    book_all(bulk)
    bulk.asked.labs = [LabAsked(name) for name in LABS]
    with ThreadPoolExecutor(len(LABS) + 3) as pool:
        before = bulk.partners.sent
        turn(bulk)
        shares = shared_out(bulk.size.messages, len(LABS))
        others = [pool.submit(laboratory, bulk, *one) for one in zip(bulk.asked.labs, shares, strict=True)]
        others += [pool.submit(claims, bulk), pool.submit(export, bulk)]
        for part in (*others, pool.submit(trouble, bulk, before, others)):
            ended(bulk, part)


def shared_out(count: int, among: int) -> list[int]:
    """Return shares of `count` that differ by one at most."""
    return [(count + place) // among for place in range(among)]


def ended(bulk: Bulk, part: Future[None]) -> None:
    """Tell of a part that could not go on; the table shows what became of it."""
    try:
        part.result()
    except Exception as error:  # noqa: BLE001 - the others are played to their end, and the exit code tells
        said = str(error) if isinstance(error, Refused) else f"{type(error).__name__}; see the logs of the stack."
        console.say(f"{'broken off':16}{said}   <- NOT as it should be")
        bulk.good = False


def book_all(bulk: Bulk) -> None:
    """Register patients and book a visit for each; every other one is to get a text, the others an e-mail."""
    desk = Desk.of(bulk.running, "receptionist")
    doctors = [row["id"] for row in desk.get("doctors/", limit=50)["results"]]
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + AHEAD

    def book(number: int) -> Invited:
        patient = demo_reminders.registered(desk)
        place, doctor = divmod(number, len(doctors))
        visit = book_one(desk, patient["id"], doctors[doctor], start + place * SLOT)
        channel = "email" if number % 2 else "sms"
        return Invited(patient["id"], visit, patient["phone"], patient["email"], channel)

    with ThreadPoolExecutor(BOOKED_AT_ONCE) as pool:
        bulk.asked.invited = list(pool.map(book, range(bulk.size.reminders)))
    console.say(f"{'desk booked':16}{len(bulk.asked.invited)} visits of as many new patients")


def book_one(desk: Desk, patient: str, doctor: str, start: datetime) -> str:
    body = {
        "patient": patient, "doctor": doctor, "appointment_datetime": start.isoformat(), "duration_minutes": 5,
        "appointment_type": "consultation", "availability_override_reason": "demo visit",
    }  # fmt: skip
    return str(desk.post("appointments/", body)["id"])


def turn(bulk: Bulk) -> None:
    """Let the hour of one reminder of each visit be now, on the channel on which it is asked for."""
    visits = {channel: [one.visit for one in bulk.asked.invited if one.channel == channel] for channel in TURNED}
    with demo_counts.connected(bulk.running) as database:
        turned = {
            channel: database.execute(TURN, [visits[channel], minutes, channel]).rowcount
            for channel, minutes in TURNED.items()
        }
    console.say(f"{'their hour':16}is now: {turned['sms']} texts, {turned['email']} e-mails")
    if sum(turned.values()) != len(bulk.asked.invited):
        raise Refused("Not every visit has the reminders that were expected.")


def trouble(bulk: Bulk, before: int, others: Sequence[Future[None]]) -> None:
    """Kill the worker as the claims leave and once more when a quarter of the messages have left; then the broker.

    That is emptied when a half have. before: how many messages had left before the bulk. others: the parts whose work
    was killed, too; they end sooner when what was held is free.
    """
    if not bulk.chaos:
        return
    running, middle_s = bulk.running, MIDDLE_S + bulk.size.sending_s

    def sent() -> int:
        return bulk.partners.sent - before

    with demo_counts.connected(running) as database:
        demo_trouble.await_count(running, database, lambda: int(bulk.under_way.is_set()), 1, MIDDLE_S)
        killed = demo_trouble.now_running(running).pids["worker"]
        demo_trouble.kill_worker(running)
        demo_trouble.await_count(running, database, lambda: int(is_back(running, killed)), 1, MIDDLE_S)
        demo_trouble.await_count(running, database, sent, max(bulk.size.reminders // 4, sent() + 1), middle_s)
        demo_trouble.kill_worker(running)
        demo_trouble.await_count(running, database, sent, bulk.size.reminders // 2, middle_s)
        demo_trouble.wipe_broker(running)
        demo_trouble.await_count(running, database, lambda: sum(one.done() for one in others), len(others), PARTS_S)


def is_back(running: Running, killed: int) -> bool:
    """Tell whether another worker runs than the one that was killed."""
    return demo_trouble.now_running(running).pids.get("worker", killed) != killed


def laboratory(bulk: Bulk, asked: LabAsked, count: int) -> None:
    """Send versions out of order, duplicates, a stranger's result and a broken one, each until it is acknowledged."""
    patients = Desk.of(bulk.running, "doctor").get("patients/", limit=20)["results"]
    told = messages(patients, count, LABS[asked.facility])
    asked.endings = endings(told)
    broken = bulk.dice(asked.facility).sample(range(count), min(HANG_UPS, count)) if bulk.chaos else []
    client = MllpClient(*bulk.running.mllp_address, timeout_s=10)
    for number, raw in enumerate(told):
        if number in broken:
            break_off(bulk.running, raw, asked.facility)
        deliver(client, raw, asked)
    client.close()
    console.say(f"{'laboratory':16}{asked.facility}  {asked.sent.total()} messages, {len(asked.sent)} different ones")


def messages(patients: list[dict[str, Any]], count: int, sender: bytes) -> list[bytes]:
    """Return `count` messages: stories of final, late preliminary and corrected, some once more, and bad ones."""
    bad = [demo_labs.message(demo_labs.STRANGER, demo_labs.control()), headless()]
    again = max(count // 10, 1)
    told = [raw for number in range(count // 3 + 1) for raw in story(patients[number % len(patients)])]
    told = told[: count - again - BAD]
    return [raw.replace(DEMO_LAB, sender) for raw in [*told, *told[:again], *bad]]


def endings(told: list[bytes]) -> dict[str, str]:
    """Return by control id how the messages have to end: results filed, the bad ones before a person."""
    bad = {control_of(raw) for raw in told[-BAD:]}
    return {control_of(raw): "worklist" if control_of(raw) in bad else "filed" for raw in told}


def story(patient: dict[str, Any]) -> list[bytes]:
    now, filler = datetime.now(UTC), f"F{uuid.uuid4().hex[:10]}"
    taken = now - timedelta(hours=1)
    order = (("F", "4.6", -demo_labs.STEP), ("P", "4.4", -2 * demo_labs.STEP), ("C", "4.2", timedelta()))
    return [
        demo_labs.message(
            patient, demo_labs.control(), status=status, value=value, at=now + after, taken=taken, filler=filler
        )
        for status, value, after in order
    ]


def headless() -> bytes:
    """Return a result without the patient it is of."""
    whole = demo_labs.message(demo_labs.STRANGER, demo_labs.control())
    return b"\r".join(line for line in whole.split(b"\r") if not line.startswith(b"PID"))


def break_off(running: Running, raw: bytes, facility: str) -> None:
    """Send half of a message and hang up."""
    with socket.create_connection(running.mllp_address, timeout=10) as half:
        half.sendall(frame(raw)[: len(raw) // 2])
    console.say(f"{'fault':16}{facility}  hung up in the middle of a message")


def deliver(client: MllpClient, raw: bytes, asked: LabAsked) -> None:
    """Send one message until it is acknowledged, as laboratories do."""
    control, deadline = control_of(raw), time.monotonic() + LAB_PATIENCE_S
    asked.sent[control] += 1
    while time.monotonic() < deadline:
        stopping.pause(0)
        try:
            code, _ = msa(client.send(raw))
        except (Transient, Unknown, ValueError):
            code = ""
        if code in ANSWERED:
            asked.acknowledged[control] = code
            return
        stopping.pause(0.5)
        asked.sent[control] += 1
    raise Refused(f"No acknowledgement of a result within {LAB_PATIENCE_S:.0f} s; see the logs of the stack.")


def claims(bulk: Bulk) -> None:
    """Let claims go to a clearinghouse and be paid."""
    asked, count = bulk.asked.claims, bulk.size.claims
    demo_billing.play(bulk.running, asked, count, chaos=bulk.chaos, under_way=bulk.under_way)


def export(bulk: Bulk) -> None:
    """Let a data platform take everything out, and hold it against what was booked before."""
    asked = ExportAsked()
    bulk.asked.exports.append(asked)
    scene = demo_fhir.Scene(bulk.running, BackendService(f"{bulk.running.web_url}/fhir/R4"))
    with demo_fhir.registered(scene):
        taken = demo_fhir.exported(scene, kill=False)
    ids = {name: Counter(json.loads(line)["id"] for line in lines) for name, lines in taken.lines.items()}
    booked = {
        "Patient": [one.patient for one in bulk.asked.invited],
        "Appointment": [one.visit for one in bulk.asked.invited],
    }
    asked.came(ids, len(taken.manifest["output"]), booked)
    asked.fits = scene.good
