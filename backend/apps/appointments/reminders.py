"""Plans the reminders of a visit, takes them back when it changes, and decides late whether one still helps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from threading import Barrier
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from backend.apps.appointments import timing
from backend.apps.appointments.models import (
    AWAITED,
    Appointment,
    AppointmentReminder,
    AppointmentStatus,
    ReminderStatus,
)
from backend.apps.appointments.planning import Planner
from backend.apps.appointments.replanning import bring_in_line, take_back
from backend.apps.core.work import NOT_BEGUN
from backend.apps.messaging.models import MessageKind
from backend.apps.patients import contacts
from backend.apps.patients.contacts import Points
from backend.apps.patients.models import Patient

__all__ = [
    "NOT_BEGUN", "channel_after", "next_channel", "plan", "plan_all", "planned_anew", "replan", "replan_ahead",
    "replan_patient", "supersede", "why_not", "why_not_wording",
]  # fmt: skip

TOO_LATE = "It is too late for this reminder."
CHUNK = 2000  # visits planned in one transaction
AT_ONCE = 2  # such transactions


def replan(appointment: Appointment) -> None:
    """Take back what is planned for older versions of this visit and plan for this one, if it is still awaited.

    What was due but not begun is planned again while it helps, so that a confirmation in that moment does not swallow
    it; what left already for this start of the visit is not.
    """
    plan(appointment, now=timezone.now())


def plan(appointment: Appointment, *, now: datetime) -> None:
    """Bring the reminders of a visit in line with the table, the patient's consent and zone. Safe to repeat."""
    bring_in_line([appointment.pk], Planner.load(), now=now)


@transaction.atomic
def supersede(appointment: Appointment) -> int:
    """Take back the reminders nobody has begun to send; return how many.

    A worker that leased one loses its lease, and `begin()` tells it so before it speaks to the provider.
    """
    rows = AppointmentReminder.objects.filter(NOT_BEGUN, appointment=appointment, status=ReminderStatus.PENDING)
    return take_back([key for (key,) in rows.order_by("pk").select_for_update().values_list("pk")])


def replan_patient(patient: Patient) -> None:
    """Plan every visit ahead of a patient anew: their zone, numbers or consents have changed, or two records are one.

    What somebody holds at this moment is planned by a worker after us, since booking locks visits before patients: to
    wait for it here, with the patient locked, would be a deadlock.
    """
    now = timezone.now()
    ahead = Appointment.objects.filter(patient=patient, status__in=AWAITED, appointment_datetime__gt=now)
    if keys := list(ahead.values_list("pk", flat=True)):
        bring_in_line(keys, Planner.load(), now=now, skip_locked=True)


def plan_all(
    appointments: QuerySet[Appointment] | Iterable[Appointment],
    *,
    now: datetime,
    progress: Callable[[int], Any] = int,
) -> int:
    """Plan many visits, as after an import; return how many reminders were added. Repeating adds none.

    Each chunk is a transaction of its own, two at once; `progress` is told how many visits each held. Inside of a
    transaction it is all part of that.
    """
    work = partial(_plan_chunk, planner=Planner.load(), now=now)
    added = 0
    for visits, found in _each(work, _chunks(appointments)):
        added += found
        progress(visits)
    return added


def _plan_chunk(keys: list[Any], *, planner: Planner, now: datetime) -> tuple[int, int]:
    return len(keys), len(bring_in_line(keys, planner, now=now).new)


def _each(work: Callable[[list[Any]], tuple[int, int]], chunks: Iterator[list[Any]]) -> Iterator[tuple[int, int]]:
    """Yield what `work` returns of each chunk; several at once, unless they are to be part of our own transaction.

    While one waits for the database another computes: on two cores that is nearly twice as fast.
    """
    if connection.in_atomic_block:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            running = deque(pool.submit(work, keys) for keys in islice(chunks, AT_ONCE + 1))
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(work, keys) for keys in islice(chunks, 1))
        finally:
            _leave_no_connection(pool)


def _leave_no_connection(pool: ThreadPoolExecutor) -> None:
    """Close the connection of each thread; they wait for each other, so that none does it twice and another never."""
    all_here = Barrier(AT_ONCE)

    def close() -> None:
        all_here.wait()
        connection.close()

    for _ in range(AT_ONCE):
        pool.submit(close)


class Tally(NamedTuple):
    """What planning anew did, or would do; `after`: where to go on, None at the end.

    kept: what the table no longer has, but nothing of it comes in time to replace it.
    """

    visits: int
    added: int
    moved: int
    taken_back: int
    kept: int
    after: Any


def replan_ahead(*, after: Any = None, dry_run: bool = False) -> Tally:
    """Plan the next visits that are still awaited anew, as after a change of the table; at most CHUNK of them.

    after: the key at which the call before this one ended. dry_run: only count.
    """
    now = timezone.now()
    ahead = Appointment.objects.filter(status__in=AWAITED, appointment_datetime__gt=now).order_by("pk")
    keys = list((ahead.filter(pk__gt=after) if after else ahead).values_list("pk", flat=True)[:CHUNK])
    done = bring_in_line(keys, Planner.load(), now=now, dry_run=dry_run)
    last = keys[-1] if len(keys) == CHUNK else None
    return Tally(len(keys), len(done.new), len(done.moved), len(done.gone), len(done.kept), last)


def _chunks(appointments: QuerySet[Appointment] | Iterable[Appointment]) -> Iterator[list[Any]]:
    if not isinstance(appointments, QuerySet) or appointments.query.is_sliced:
        keys = (row.pk for row in appointments)
        yield from iter(lambda: list(islice(keys, CHUNK)), [])
        return
    rows, last = appointments.order_by("pk").values_list("pk", flat=True), None
    while found := list((rows.filter(pk__gt=last) if last else rows)[:CHUNK]):
        last = found[-1]
        yield found


def why_not(
    reminder: AppointmentReminder,
    *,
    now: datetime,
    points: Points | None = None,
    newer: Collection[Any] | None = None,
) -> str | None:
    """Return why this reminder must not go out now, as a sentence without a patient's data; None when it must.

    points: what is known of the addresses of many patients, newer: `planned_anew` of many reminders; without them one
    query each asks for this one's.
    """
    appointment = reminder.appointment
    if appointment.is_deleted or appointment.status not in AWAITED:
        return f"The appointment is {'deleted' if appointment.is_deleted else appointment.status}."
    if _moved_on(reminder, newer):
        return "The appointment has changed since this was planned."
    if appointment.appointment_datetime <= now:
        return "The appointment has already begun."
    if now > _useful_until(reminder):
        return TOO_LATE
    known = contacts.points_of([appointment.patient]) if points is None else points
    return contacts.why_unreachable(appointment.patient, reminder.reminder_type, known)


def why_not_wording(reminder: AppointmentReminder) -> str | None:
    """Return why its words no longer fit, as a sentence; those of a plain reminder then do."""
    confirmed = reminder.appointment.status == AppointmentStatus.CONFIRMED
    if confirmed and reminder.wording == MessageKind.ASK_TO_CONFIRM:
        return "The visit is confirmed; nobody asks again."
    return None


def next_channel(reminder: AppointmentReminder) -> str | None:
    """Return the next channel of the same offset, by the order of the table, that reaches the patient now.

    A text is none at an hour at which it may not reach them, nor is a mail when it no longer helps.
    """
    points = contacts.points_of([reminder.appointment.patient])
    return channel_after(reminder, Planner.load(), points, now=timezone.now())


def channel_after(reminder: AppointmentReminder, planner: Planner, points: Points, *, now: datetime) -> str | None:
    """Do what `next_channel` does, of many at another moment."""
    patient = reminder.appointment.patient
    welcome = planner.hours_of(patient).allow(now)
    for channel in _after(planner, reminder):
        reachable = contacts.why_unreachable(patient, channel, points) is None
        if reachable and (welcome if channel == timing.SMS else now <= reminder.mail_until):
            return channel
    return None


def _after(planner: Planner, reminder: AppointmentReminder) -> list[str]:
    """Return the channels after this one; all others when the table no longer has this one."""
    for alternatives in planner.policies.of(reminder.appointment.appointment_type):
        if alternatives[0].minutes == reminder.offset_minutes:
            channels = [rule.channel for rule in alternatives]
            mine = reminder.reminder_type
            return channels[channels.index(mine) + 1 :] if mine in channels else channels
    return []


def planned_anew(rows: Iterable[AppointmentReminder]) -> set[Any]:
    """Return the keys of those rows that a newer version of their visit has planned too; the visits are loaded."""
    older = [row.pk for row in rows if row.appointment_version != row.appointment.version]
    newer = AppointmentReminder.objects.filter(
        appointment=OuterRef("appointment"),
        offset_minutes=OuterRef("offset_minutes"),
        appointment_version__gt=OuterRef("appointment_version"),
    ).exclude(status=ReminderStatus.SUPERSEDED)
    found = AppointmentReminder.objects.filter(Exists(newer), pk__in=older)
    return set(found.values_list("pk", flat=True)) if older else set()


def _moved_on(reminder: AppointmentReminder, newer: Collection[Any] | None) -> bool:
    """Whether the visit is at another time now, or a newer version of it has this reminder planned.

    Neither holds when the visit was confirmed, say, just after a worker began with this one: then nobody else sends it.
    """
    appointment = reminder.appointment
    if reminder.visit_starts_at not in (None, appointment.appointment_datetime):
        return True
    if reminder.appointment_version == appointment.version:
        return False
    return reminder.visit_starts_at is None or reminder.pk in (planned_anew([reminder]) if newer is None else newer)


def _useful_until(reminder: AppointmentReminder) -> datetime:
    stored = reminder.useful_until
    return stored or reminder.scheduled_send_time + timing.usable_for(reminder.offset_minutes)
