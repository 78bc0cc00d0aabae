"""Foretells who is reminded on a day, when, and who is not and why; without it a change of the table were a guess."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import AWAITED, Appointment, AppointmentReminder, ReminderStatus, ReminderType
from backend.apps.appointments.planning import Expected, Planner, expected
from backend.apps.messaging import caps
from backend.apps.patients import contacts
from backend.apps.patients.models import Patient

FARTHEST = timedelta(hours=26)  # a text is moved by less; the ends of the earth lie that far apart
UNPLANNED = "It is not planned yet; `reminders plan --all` plans it."
TOLD_TOGETHER = "One text tells this number of several visits."
OUTCOMES = {
    ReminderStatus.SENT: "It has left.",
    ReminderStatus.DELIVERED: "It has arrived.",
    ReminderStatus.FAILED: "It could not be sent.",
    ReminderStatus.BOUNCED: "It came back.",
    ReminderStatus.SUPPRESSED: "It was not wanted when it was due.",
}


class Line(NamedTuple):
    """One reminder of a day. send_at: when it leaves, left or would have left.

    goes_out: whether it will, as things stand. reason: why not, or what may surprise about it; often empty.
    """

    send_at: datetime
    goes_out: bool
    reason: str
    offset_minutes: int
    channel: str
    wording: str
    visit_at: datetime
    appointment_id: Any
    patient_id: Any
    medical_record_number: str
    reminder_id: Any = None
    status: str = ""


def day(on: date, *, patient: Patient | None = None) -> list[Line]:
    """Return the reminders of a day of the clinic's calendar, in the order of time, those that do not leave too."""
    planner, now = Planner.load(), timezone.now()
    begin = datetime.combine(on, time(), planner.zone)
    end = datetime.combine(on + timedelta(days=1), time(), planner.zone)
    rows = _rows(begin, end, patient)
    lines = _by_number(_of_rows(rows, planner, now), rows, planner, begin)
    lines += _not_planned(planner, begin, end, patient, now)
    return sorted(lines, key=lambda line: (line.send_at, str(line.appointment_id), line.offset_minutes))


def counts(lines: Iterable[Line]) -> dict[str, int]:
    """Return how many go out by each channel, and how many do not for each reason, the most frequent first."""
    told = Counter(f"goes out by {line.channel}" if line.goes_out else line.reason for line in lines)
    return dict(told.most_common())


def _rows(begin: datetime, end: datetime, patient: Patient | None) -> list[AppointmentReminder]:
    found = AppointmentReminder.objects.filter(scheduled_send_time__gte=begin, scheduled_send_time__lt=end)
    if patient is not None:
        found = found.filter(appointment__patient=patient)
    found = found.exclude(status=ReminderStatus.SUPERSEDED).select_related("appointment__patient")
    return list(found.order_by("scheduled_send_time", "pk"))


def _of_rows(rows: Sequence[AppointmentReminder], planner: Planner, now: datetime) -> list[Line]:
    points = contacts.points_of(row.appointment.patient for row in rows)
    return [_line(row, *_fate(row, planner, points, now)) for row in rows]


def _fate(row: AppointmentReminder, planner: Planner, points: contacts.Points, now: datetime) -> tuple[bool, str]:
    """Return whether a planned reminder will leave, as things stand, and why not or what is unusual about it."""
    if row.status != ReminderStatus.PENDING:
        return False, " ".join(filter(None, [OUTCOMES.get(ReminderStatus(row.status), ""), row.status_reason]))
    reason = reminders.why_not(row, now=max(now, row.scheduled_send_time), points=points)
    return reason is None, reason or _moved(row, planner)


def _moved(row: AppointmentReminder, planner: Planner) -> str:
    start = row.appointment.appointment_datetime
    for alternatives in planner.policies.of(row.appointment.appointment_type):
        at = alternatives[0].send_at(start, planner.zone)
        if alternatives[0].minutes == row.offset_minutes and at != row.scheduled_send_time:
            return f"Moved from {at.astimezone(planner.zone):%a %H:%M} into the hours for texts."
    return ""


def _line(row: AppointmentReminder, goes_out: bool, reason: str) -> Line:
    visit = row.appointment
    return Line(
        row.scheduled_send_time, goes_out, reason, row.offset_minutes, row.reminder_type, row.wording,
        visit.appointment_datetime, visit.pk, visit.patient_id, visit.patient.medical_record_number, row.pk, row.status,
    )  # fmt: skip


def _by_number(lines: list[Line], rows: Sequence[AppointmentReminder], planner: Planner, begin: datetime) -> list[Line]:
    """Apply what holds for a number and not for a message: several visits in one text, and the caps.

    Counts what has left and what leaves on this day; what is still to leave on the days between is not foreseen.
    """
    texts = defaultdict[str, list[int]](list)
    for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if line.goes_out and line.channel == ReminderType.SMS:
            texts[row.appointment.patient.phone].append(place)
    earlier = caps.texts_to(list(texts), since=begin - timedelta(days=caps.WEEK_DAYS), but=[])
    for number, places in texts.items():
        zone, left, visits = planner.hours_of(rows[places[0]].appointment.patient).zones[0], earlier[number], set[Any]()
        for place in places:
            line = lines[place]
            if visits and line.appointment_id not in visits:
                lines[place] = line._replace(reason=TOLD_TOGETHER)
            elif why_not := caps.why_not(left, now=line.send_at, zone=zone, rules=planner.rules):
                lines[place] = line._replace(goes_out=False, reason=why_not)
                continue
            else:
                left = [*left, line.send_at]
            visits.add(line.appointment_id)
    return lines


def _not_planned(
    planner: Planner, begin: datetime, end: datetime, patient: Patient | None, now: datetime
) -> list[Line]:
    """Return what has no row: what the table does not send of the visits of which it would on this day, and why."""
    visits = _near(planner, begin, end, patient)
    people: Any = visits  # they read as patients
    points, planned = contacts.points_of(people), _planned_offsets(visits)
    found = [
        line
        for visit in visits
        for line in _missing(visit, planner, points, now)
        if begin <= line.send_at < end and (visit.pk, line.offset_minutes) not in planned
    ]
    numbers = dict(
        Patient.all_objects.filter(pk__in={line.patient_id for line in found}).values_list(
            "pk", "medical_record_number"
        )
    )
    return [line._replace(medical_record_number=numbers[line.patient_id]) for line in found]


def _near(planner: Planner, begin: datetime, end: datetime, patient: Patient | None) -> list[Expected]:
    """Return the awaited visits of which a reminder may be due between two moments."""
    offsets = {rules[0].minutes for table in planner.policies.by_type.values() for rules in table}
    due = Q(pk__in=[])
    for offset in (timedelta(minutes=minutes) for minutes in offsets):
        due |= Q(appointment_datetime__gte=begin + offset - FARTHEST, appointment_datetime__lt=end + offset + FARTHEST)
    rows = Appointment.objects.filter(due, status__in=AWAITED).order_by("appointment_datetime", "pk")
    return expected(rows.filter(patient=patient) if patient is not None else rows)


def _planned_offsets(visits: Sequence[Expected]) -> set[tuple[Any, int]]:
    """Return visit and offset of every reminder that was planned for these visits as they are now."""
    starts = {visit.pk: visit.start for visit in visits}
    rows = AppointmentReminder.objects.filter(appointment__in=starts).exclude(status=ReminderStatus.SUPERSEDED)
    return {
        (key, minutes)
        for key, minutes, start in rows.values_list("appointment_id", "offset_minutes", "visit_starts_at")
        if start in (None, starts[key])
    }


def _missing(visit: Expected, planner: Planner, points: contacts.Points, now: datetime) -> Iterator[Line]:
    about = (visit.start, visit.pk, visit.patient_id, "")
    plan = planner.plan(visit, points, now=now, carried={})
    for one in plan.planned:
        yield Line(one.send_at, False, UNPLANNED, one.offset_minutes, one.channel, one.wording, *about)
    for skipped in plan.skipped:
        rule = skipped.rule
        yield Line(skipped.at, False, skipped.reason, rule.minutes, rule.channel, rule.wording, *about)
