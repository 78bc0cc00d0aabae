"""Brings the reminders of visits in line with what is wanted now: the one place that adds, moves or takes back rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderStatus, ReplanRequest
from backend.apps.appointments.planning import Expected, Planner, expected
from backend.apps.appointments.timing import PAST, Plan, Planned
from backend.apps.core import dispatch
from backend.apps.core.arrays import among_ids, array_of
from backend.apps.core.bases import uuid7_text
from backend.apps.core.bulk import write_each
from backend.apps.core.work import WorkState
from backend.apps.patients import contacts

CHANGED_FIRST = "The appointment changed first."
PLANNED_OTHERWISE = "The patient or the clinic's table of reminders changed first."
TOLD = (ReminderStatus.PENDING, ReminderStatus.SENT, ReminderStatus.DELIVERED)
HOLD_PATIENTS = (
    "SELECT FROM patients_patient WHERE id = ANY(%s::uuid[]) ORDER BY id FOR SHARE"  # others may plan them too
)
# Visit by visit, which OFFSET 0 asks for: PostgreSQL would rather read all reminders than those of thousands of visits.
STANDING = """
    SELECT standing.id FROM unnest(%s::uuid[]) AS visit (id) CROSS JOIN LATERAL (
        SELECT id FROM appointments_appointmentreminder WHERE appointment_id = visit.id
        AND (status = 'pending' OR visit_starts_at > %s OR visit_starts_at IS NULL) OFFSET 0
    ) AS standing"""
COLUMNS = (
    "pk", "appointment_id", "appointment_version", "offset_minutes", "reminder_type",
    "status", "work_state", "begun_at", "scheduled_send_time", "useful_until", "wording", "visit_starts_at",
    "fallback_of_id",
)  # fmt: skip
WRITTEN = (  # of a new row; the other columns have defaults in the database
    "id", "created_at", "updated_at", "is_deleted", "status", "status_reason", "recipient_email", "recipient_phone",
    "external_id", "appointment_id", "appointment_version", "visit_starts_at", "offset_minutes", "reminder_type",
    "wording", "scheduled_send_time", "due_at", "useful_until", "lane", "dedupe_key",
)  # fmt: skip


class Row(NamedTuple):
    """What of a reminder that stands must be known, in the order of COLUMNS."""

    pk: Any
    appointment_id: Any
    version: int
    minutes: int
    channel: str
    status: str
    work_state: str
    begun_at: datetime | None
    send_at: datetime
    useful_until: datetime | None
    wording: str
    starts_at: datetime | None
    fallback_of_id: Any

    @property
    def waits(self) -> bool:
        """Whether nobody has begun to send it: NOT_BEGUN, of a row in hand."""
        leased = self.work_state == WorkState.RUNNING and self.begun_at is None
        return self.status == ReminderStatus.PENDING and (leased or self.work_state == WorkState.WAITING)

    @property
    def told(self) -> bool:
        """Whether it reached somebody, or may have: its outcome is not known yet."""
        return self.status in TOLD and not self.waits

    @property
    def is_superseded(self) -> bool:
        return self.status == ReminderStatus.SUPERSEDED

    def says(self, visit: Expected, one: Planned) -> bool:
        """Whether it is what is planned now."""
        mine = (self.starts_at, self.send_at, self.useful_until, self.wording)
        return mine == (visit.start, one.send_at, one.useful_until, one.wording)


@dataclass
class Changes:
    """What there is to do: rows to add, to give another time or words (or life again), and to take back."""

    new: list[tuple[Expected, Planned]] = field(default_factory=list)
    moved: list[tuple[Row, Expected, Planned]] = field(default_factory=list)
    gone: list[tuple[Row, str]] = field(default_factory=list)  # and the sentence why
    kept: list[Row] = field(default_factory=list)  # not of the table any more, but what would replace it is past


@transaction.atomic(savepoint=False)
def bring_in_line(
    keys: Collection[Any], planner: Planner, *, now: datetime, dry_run: bool = False, skip_locked: bool = False
) -> Changes:
    """Plan the visits of these keys as they are now; return what was done. Doing it twice does it once.

    The visits are locked meanwhile, and then their patients: whoever plans one of them too waits, and finds it planned;
    who changes a patient waits, and plans after us. Both are read only then.

    skip_locked: leave the visits that somebody holds at this moment to a worker, which waits for them: who holds one
    may let go of it without planning it.
    dry_run: only compare, and lock nothing.
    """
    if dry_run:
        return compare(expected(_visits(keys)), planner, now=now)
    visits = expected(_locked(keys, skip_locked))
    changes = compare(visits, planner, now=now, locked=True)
    _apply(changes, now)
    if skip_locked:
        ReplanRequest.ask(sorted(set(keys) - {visit.pk for visit in visits}))
    return changes


def _visits(keys: Collection[Any]) -> QuerySet[Appointment]:
    return Appointment.all_objects.filter(among_ids("pk", keys)).order_by("pk")


def _locked(keys: Collection[Any], skip_locked: bool) -> QuerySet[Appointment]:
    rows = _visits(keys).select_for_update(no_key=True, skip_locked=skip_locked)
    held = rows.values_list("pk", "patient_id")
    visits, patients = zip(*held, strict=True) if held else ((), ())
    with connection.cursor() as cursor:
        cursor.execute(HOLD_PATIENTS, [array_of(set(patients))])
    return _visits(visits)


def compare(visits: Sequence[Expected], planner: Planner, *, now: datetime, locked: bool = False) -> Changes:
    """Return what there is to do about `visits`. locked: hold their reminders, to do it."""
    people: Any = visits  # they read as patients
    points, standing, changes = contacts.points_of(people), _standing(visits, now, locked), Changes()
    for visit in visits:
        rows = [row for key in (visit.pk, *visit.moved_from) for row in standing.get(key, ())]
        plan = planner.plan(visit, points, now=now, carried=_carried(visit, rows, now))
        if kept := _outliving(visit, rows, plan, points):
            changes.kept += kept
            rows = [row for row in rows if row not in kept]
        _compare(visit, rows, plan.planned, changes)
    return changes


def _carried(visit: Expected, rows: Iterable[Row], now: datetime) -> dict[int, datetime]:
    """Return, by offset, when what waits for this start of the visit was to leave, if that still helps."""
    return {
        row.minutes: row.send_at
        for row in rows
        if row.appointment_id == visit.pk and row.starts_at == visit.start and row.waits and not row.fallback_of_id
        if row.useful_until is None or row.useful_until > now
    }


def _compare(visit: Expected, rows: Iterable[Row], planned: Iterable[Planned], changes: Changes) -> None:
    """Add to `changes` what there is to do about one visit; rows: those of the visits it was moved from too.

    What left for this start of the visit on any channel, for an older version or before a move there and back too, is
    not planned again; nor is what staff muted.
    """
    done = settled(visit, rows)
    wanted = {(one.offset_minutes, one.channel): one for one in planned if one.offset_minutes not in done}
    own = [row for row in rows if row.appointment_id == visit.pk]
    for row in own:
        stands = row.version == visit.version and (row.minutes, row.channel) in wanted
        if row.waits and not stands and not _replaces(row, visit):
            same = row.version == visit.version and visit.is_awaited
            changes.gone.append((row, PLANNED_OTHERWISE if same else CHANGED_FIRST))
    there = {(row.minutes, row.channel): row for row in own if row.version == visit.version}
    for key, one in wanted.items():
        stood = there.get(key)
        if stood is None:
            changes.new.append((visit, one))
        elif stood.is_superseded or (stood.waits and not stood.says(visit, one)):
            changes.moved.append((stood, visit, one))


def settled(visit: Expected, rows: Iterable[Row]) -> set[int]:
    """Return the offsets nobody plans again; of another visit at this time only what it told counts."""
    return {
        row.minutes
        for row in rows
        if row.starts_at == visit.start and not (row.waits or row.is_superseded)
        if row.appointment_id == visit.pk or row.told
    }


def _outliving(visit: Expected, rows: Iterable[Row], plan: Plan, points: contacts.Points) -> list[Row]:
    """Return what stays although the table has its offset no more: the next one above came too late for this visit."""
    past = {skip.rule.minutes for skip in plan.skipped if PAST in skip.reason} - settled(visit, rows)
    if not past:
        return []
    offsets = {one.offset_minutes for one in plan.planned} | {skip.rule.minutes for skip in plan.skipped}
    patient: Any = visit  # it reads as one
    return [
        row
        for row in rows
        if row.waits and row.appointment_id == visit.pk and row.starts_at == visit.start and not row.fallback_of_id
        if row.minutes not in offsets and min((above for above in offsets if above > row.minutes), default=0) in past
        if contacts.why_unreachable(patient, row.channel, points) is None
    ]


def _replaces(row: Row, visit: Expected) -> bool:
    """Whether it stands for a message that failed: nobody plans that one again, so it is decided late."""
    return bool(row.fallback_of_id) and row.starts_at == visit.start and visit.is_awaited


def _standing(visits: Iterable[Expected], now: datetime, locked: bool) -> dict[Any, list[Row]]:
    """Return by visit every reminder that may matter: it waits, or is of a start ahead or one that nobody wrote down.

    One of the version of now is of the start of now; where that is past, nothing is planned any more.
    """
    found: dict[Any, list[Row]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(STANDING, [array_of({key for visit in visits for key in (visit.pk, *visit.moved_from)}), now])
        keys = [key for (key,) in cursor.fetchall()]
    if not keys:
        return found
    matters = Q(status=ReminderStatus.PENDING) | Q(visit_starts_at__gt=now) | Q(visit_starts_at__isnull=True)
    rows = AppointmentReminder.all_objects.filter(matters, among_ids("pk", keys)).order_by("pk")
    for values in (rows.select_for_update(of=("self",)) if locked else rows).values_list(*COLUMNS):
        row = Row(*values)
        found[row.appointment_id].append(row)
    return found


def _apply(changes: Changes, now: datetime) -> None:
    for reason in (CHANGED_FIRST, PLANNED_OTHERWISE):
        take_back([row.pk for row, why in changes.gone if why == reason], reason)
    _move(changes.moved)
    _add(changes.new)
    planned = [one for _, one in changes.new] + [one for _, _, one in changes.moved]
    if any(one.send_at <= now for one in planned):
        dispatch.ring(AppointmentReminder.task_name)


def take_back(keys: Collection[Any], reason: str = CHANGED_FIRST) -> int:
    """Supersede rows nobody has begun to send; a worker that leased one learns from `begin()` that it is gone."""
    if not keys:
        return 0
    return AppointmentReminder.all_objects.filter(pk__in=keys).update(
        status=ReminderStatus.SUPERSEDED,
        status_reason=reason,
        work_state=WorkState.DONE,
        leased_until=None,
        updated_at=timezone.now(),
    )


def _move(moved: Collection[tuple[Row, Expected, Planned]]) -> None:
    """Give rows their new time and words, and put them back in line; a worker that leased one loses its lease."""
    if not moved:
        return
    write_each(
        AppointmentReminder,
        [row.pk for row, _, _ in moved],
        {
            "visit_starts_at": [visit.start for _, visit, _ in moved],
            "wording": [one.wording for _, _, one in moved],
            "scheduled_send_time": [one.send_at for _, _, one in moved],
            "due_at": [one.send_at for _, _, one in moved],
            "useful_until": [one.useful_until for _, _, one in moved],
            "lane": [one.lane for _, _, one in moved],
        },
        also="status = 'pending', status_reason = '', work_state = 'waiting', leased_until = NULL, begun_at = NULL, "
        "attempts = 0, last_error = '', updated_at = now()",
    )


def _add(new: Collection[tuple[Expected, Planned]]) -> None:
    """Write new rows with one COPY, as text of our own making: a million visits have four million of them.

    Nothing in a row needs an escape: it is made of ids, numbers, moments and our own words.
    """
    if not new:
        return
    now, table = timezone.now(), connection.ops.quote_name(AppointmentReminder._meta.db_table)
    statement = f"COPY {table} ({', '.join(WRITTEN)}) FROM STDIN"
    head = f"{now}\t{now}\tf\tpending\t\t\t\t\t"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write("".join(_lines(new, head)))


def _lines(new: Iterable[tuple[Expected, Planned]], head: str) -> Iterator[str]:
    """Yield rows in the order of WRITTEN, the earliest to send first: indexes by time then grow at one place at a time.

    A dedupe key names the visit, its version, the offset and the channel.
    """
    rows, last, what = [], None, dict[int, str]()
    for visit, one in new:
        if visit is not last:
            last, pk = visit, str(visit.pk)
            about, key = f"{head}{pk}\t{visit.version}\t{visit.start}\t", f"reminder:{pk}:{visit.version}"
        said = what.get(id(one)) or what.setdefault(id(one), _line(one))
        rows.append((one.send_at, f"\t{about}{said}\t{key}:{one.offset_minutes}:{one.channel}\n"))
    rows.sort(key=itemgetter(0))
    return (f"{uuid7_text()}{row}" for _, row in rows)


def _line(one: Planned) -> str:
    return (
        f"{one.offset_minutes}\t{one.channel}\t{one.wording}\t{one.send_at}\t{one.send_at}\t"
        f"{one.useful_until}\t{one.lane}"
    )
