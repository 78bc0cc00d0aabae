"""The bulk of a demo day: many visits, messages of two laboratories, claims and an export, all at the same time."""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from integrations.doubles.laboratory import msa
from integrations.errors import Transient, Unknown
from integrations.hl7.mllp import MllpClient, frame
from integrations.x12.fake import FakeClearinghouse
from workers.cli import console, demo_claims, demo_counts, demo_fhir, demo_labs, demo_reminders, demo_trouble
from workers.cli.backend_service import BackendService
from workers.cli.demo_counts import Asked, LabAsked
from workers.cli.demo_partners import Partners
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
CLAIM_PATIENCE_S, LAB_PATIENCE_S, MIDDLE_S = 150.0, 90.0, 40.0
ANSWERED = frozenset({"AA", "AR"})  # anything else means: send it again
HANG_UPS = 3  # of each laboratory, on a day of faults


@dataclass(frozen=True)
class Size:
    reminders: int = 200
    messages: int = 60
    claims: int = 20


@dataclass
class Bulk:
    """The stack and its partners, what is asked of them, and whether things go wrong."""

    running: Running
    partners: Partners
    size: Size
    chaos: bool
    began: datetime  # of the whole day, by the clock of the database
    good: bool = True
    asked: Asked = field(default_factory=Asked)

    def dice(self, name: str) -> random.Random:
        return random.Random(f"{self.partners.seed} {name}")  # noqa: S311 - a plan, not a secret


def play(bulk: Bulk) -> Asked:
    """Ask for everything at once and wait until it has been asked for; what becomes of it is waited for elsewhere."""
    visits = booked(bulk)
    bulk.asked.labs = [LabAsked(name) for name in LABS]
    with ThreadPoolExecutor(len(LABS) + 2) as pool:
        before = len(bulk.partners.twilio.sent) + len(bulk.partners.sendgrid.sent)
        turn(bulk, visits)
        others = [pool.submit(laboratory, bulk, lab) for lab in bulk.asked.labs]
        others += [pool.submit(claims, bulk), pool.submit(export, bulk)]
        trouble(bulk, before)
        for other in others:
            ended(bulk, other)
    return bulk.asked


def ended(bulk: Bulk, part: Future[None]) -> None:
    """Tell of a part that could not go on; the table shows what became of it."""
    try:
        part.result()
    except Refused as refusal:
        console.say(f"{'broken off':16}{refusal}   <- NOT as it should be")
        bulk.good = False


def booked(bulk: Bulk) -> list[str]:
    """Register patients and book a visit for each; return the ids of the visits."""
    desk = Desk.of(bulk.running, "receptionist")
    doctors = [row["id"] for row in desk.get("doctors/", limit=50)["results"]]
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + AHEAD

    def book(number: int) -> str:
        patient = demo_reminders.registered(desk)
        place, doctor = divmod(number, len(doctors))
        return book_one(desk, patient["id"], doctors[doctor], start + place * SLOT)

    with ThreadPoolExecutor(BOOKED_AT_ONCE) as pool:
        visits = list(pool.map(book, range(bulk.size.reminders)))
    console.say(f"{'desk booked':16}{len(visits)} visits of as many new patients")
    return visits


def book_one(desk: Desk, patient: str, doctor: str, start: datetime) -> str:
    body = {
        "patient": patient, "doctor": doctor, "appointment_datetime": start.isoformat(), "duration_minutes": 5,
        "appointment_type": "consultation", "availability_override_reason": "demo visit",
    }  # fmt: skip
    return str(desk.post("appointments/", body)["id"])


def turn(bulk: Bulk, visits: list[str]) -> None:
    """Let the hour of one reminder of each visit be now: of half of them the text, of the others an e-mail."""
    halves = {"sms": visits[::2], "email": visits[1::2]}
    with demo_counts.connected(bulk.running) as database:
        turned = {
            channel: database.execute(TURN, [halves[channel], minutes, channel]).rowcount
            for channel, minutes in TURNED.items()
        }
    console.say(f"{'their hour':16}is now: {turned['sms']} texts, {turned['email']} e-mails")
    if sum(turned.values()) != len(visits):
        raise Refused("Not every visit has the reminders that were expected.")


def trouble(bulk: Bulk, before: int) -> None:
    """Kill the worker when a quarter of the messages have left, and empty the broker when a half have."""
    if not bulk.chaos:
        return

    def sent() -> int:
        return len(bulk.partners.twilio.sent) + len(bulk.partners.sendgrid.sent) - before

    with demo_counts.connected(bulk.running) as database:
        for share, what in ((4, demo_trouble.kill_worker), (2, demo_trouble.wipe_broker)):
            demo_trouble.await_count(bulk.running, database, sent, bulk.size.reminders // share, MIDDLE_S)
            what(bulk.running)


def laboratory(bulk: Bulk, asked: LabAsked) -> None:
    """Send versions out of order, duplicates, a stranger's result and a broken one, each until it is acknowledged."""
    patients = Desk.of(bulk.running, "doctor").get("patients/", limit=20)["results"]
    count = bulk.size.messages // len(LABS)
    broken = bulk.dice(asked.facility).sample(range(count), min(HANG_UPS, count)) if bulk.chaos else []
    client = MllpClient(*bulk.running.mllp_address, timeout_s=10)
    for number, raw in enumerate(messages(patients, count, LABS[asked.facility])):
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
    told = told[: max(count - again - len(bad), 0)]
    return [raw.replace(DEMO_LAB, sender) for raw in [*told, *told[:again], *bad]]


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
    control, deadline = raw.split(b"|")[9].decode(), time.monotonic() + LAB_PATIENCE_S
    asked.sent[control] += 1
    while time.monotonic() < deadline:
        try:
            code, _ = msa(client.send(raw))
        except (Transient, Unknown, ValueError):
            code = ""
        if code in ANSWERED:
            asked.acknowledged[control] = code
            return
        time.sleep(0.5)
        asked.sent[control] += 1
    raise Refused(f"No acknowledgement of a result within {LAB_PATIENCE_S:.0f} s; see the logs of the stack.")


def claims(bulk: Bulk) -> None:
    """Submit claims, wait until they are accepted, then let the payer pay them."""
    with tempfile.TemporaryDirectory() as folder, FakeClearinghouse(demo_claims.numbered(Path(folder))) as house:
        house.order(at_once=list(demo_claims.ACKNOWLEDGEMENTS), checks=False)
        if bulk.chaos:
            house.order(next_cuts=[200])
        desks = Desk.of(bulk.running, "receptionist"), Desk.of(bulk.running, "admin")
        scene = demo_claims.Scene(bulk.running, *desks, house)
        with demo_claims.partner(scene):
            coverage = demo_claims.covered(scene)
            made = [demo_claims.drafted(scene, coverage, **line(number)) for number in range(bulk.size.claims)]
            for one in made:
                scene.desk.post(f"insurance-claims/{one['id']}/submit/", {})
            console.say(f"{'claims':16}{len(made)} submitted")
            try:
                settle(bulk, scene, made)
            finally:
                bulk.asked.claims.taken = taken_of(house)


def line(number: int) -> dict[str, Any]:
    """Return what keeps a claim from looking like the one before it: a day of its own."""
    return {"service_date": (datetime.now(UTC) - timedelta(days=3 + number)).date().isoformat()}


def settle(bulk: Bulk, scene: demo_claims.Scene, made: list[dict[str, Any]]) -> None:
    """Wait for the acknowledgements and, after those, for the payment; on a day of faults its file comes twice."""
    if bulk.chaos:
        console.say(f"{'fault':16}clearinghouse  cuts the next upload off")
    ask(scene, "build_now")
    reached(scene, made, {"accepted", "paid"})
    bulk.asked.claims.numbers = {one["id"]: demo_claims.control_number(scene, one) for one in made}
    for path in scene.house.answer("835"):
        if bulk.chaos:
            shutil.copyfile(path, path.with_name(f"again_{path.name}"))
            console.say(f"{'fault':16}clearinghouse  delivers {path.name} twice")
    reached(scene, made, {"paid"})


def reached(scene: demo_claims.Scene, made: list[dict[str, Any]], wanted: set[str]) -> None:
    """Collect what the clearinghouse has written until each claim is as wanted."""
    deadline, left = time.monotonic() + CLAIM_PATIENCE_S, made
    while left := [one for one in left if demo_claims.now(scene, one)["status"] not in wanted]:
        if time.monotonic() > deadline:
            raise Refused(f"{len(left)} claims are not {' or '.join(sorted(wanted))}; see the logs of the stack.")
        ask(scene, "collect_now")
        time.sleep(2)


def ask(scene: demo_claims.Scene, verb: str) -> None:
    """Ask for what the beat would begin later; that it is on its way already is as good."""
    try:
        scene.admin.post(f"trading-partners/{scene.partner}/{verb}/", {})
    except Refused as refusal:
        if " 409" not in str(refusal):
            raise


def taken_of(house: FakeClearinghouse) -> Counter[str]:
    return Counter(number for entry in house.ledger() if entry.verdict == "taken" for number in entry.claims)


def export(bulk: Bulk) -> None:
    """Let a data platform take everything out."""
    scene = demo_fhir.Scene(bulk.running, BackendService(f"{bulk.running.web_url}/fhir/R4"))
    demo_fhir.register(scene)
    taken = demo_fhir.exported(scene, kill=False)
    count = sum(map(len, taken.lines.values()))
    bulk.asked.exports.append((count, len(taken.manifest["output"]), scene.good))
