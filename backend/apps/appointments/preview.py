"""Foretells who is reminded on a day, when, and who is not and why; without it a change of the table were a guess."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import AWAITED, Appointment, AppointmentReminder, ReminderStatus, ReminderType
from backend.apps.appointments.planning import Expected, Planner, expected, plain
from backend.apps.appointments.replanning import COLUMNS, Row
from backend.apps.messaging import caps
from backend.apps.messaging.models import MessageStatus, PatientMessage
from backend.apps.patients import contacts
from backend.apps.patients.models import Patient

FARTHEST = timedelta(hours=26)  # a text is moved by less; the ends of the earth lie that far apart
CAPPED = (caps.TODAY, caps.THIS_WEEK)
UNPLANNED = "It is not planned yet; `reminders plan --all` plans it."
INSTEAD = "It stands in for a message that did not arrive."
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
    instead: the channel by which the same is told then, if it does not go out and there is one.
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
    instead: str = ""


def day(on: date, *, patient: Patient | None = None) -> list[Line]:
    """Return the reminders of a day of the clinic's calendar, in the order of time, those that do not leave too."""
    planner, now = Planner.load(), timezone.now()
    begin = datetime.combine(on, time(), planner.zone)
    end = datetime.combine(on + timedelta(days=1), time(), planner.zone)
    rows = _rows(begin, end, patient)
    points = contacts.points_of(row.appointment.patient for row in rows)
    newer = reminders.planned_anew(row for row in rows if row.status == ReminderStatus.PENDING)
    lines = [_line(row, *_fate(row, planner, points, newer, now)) for row in rows]
    _count_by_number(lines, rows, planner, begin, end)
    lines = [
        line if line.goes_out else _otherwise(line, row, planner, points) for line, row in zip(lines, rows, strict=True)
    ]
    lines += _not_planned(planner, begin, end, patient, now)
    return sorted(lines, key=lambda line: (line.send_at, str(line.appointment_id), line.offset_minutes))


def counts(lines: Iterable[Line]) -> dict[str, int]:
    """Return how many go out by each channel, and how many do not for each reason, the most frequent first."""
    told = Counter(f"goes out by {line.channel}" if line.goes_out else told_otherwise(line) for line in lines)
    return dict(told.most_common())


def told_otherwise(line: Line) -> str:
    """Return the reason, and by which channel it goes out instead if it does."""
    return f"{line.reason} It goes out by {line.instead} instead." if line.instead else line.reason


def _rows(begin: datetime, end: datetime, patient: Patient | None) -> list[AppointmentReminder]:
    found = AppointmentReminder.objects.filter(scheduled_send_time__gte=begin, scheduled_send_time__lt=end)
    if patient is not None:
        found = found.filter(appointment__patient=patient)
    found = found.exclude(status=ReminderStatus.SUPERSEDED).select_related("appointment__patient")
    return list(found.order_by("scheduled_send_time", "pk"))


def _fate(
    row: AppointmentReminder, planner: Planner, points: contacts.Points, newer: set[Any], now: datetime
) -> tuple[bool, str]:
    """Return whether a planned reminder will leave, as things stand, and why not or what is unusual about it."""
    if row.status != ReminderStatus.PENDING:
        return False, " ".join(filter(None, [OUTCOMES.get(ReminderStatus(row.status), ""), row.status_reason]))
    reason = reminders.why_not(row, now=max(now, row.scheduled_send_time), points=points, newer=newer)
    return reason is None, reason or _moved(row, planner)


def _otherwise(line: Line, row: AppointmentReminder, planner: Planner, points: contacts.Points) -> Line:
    """Note by which channel delivery tells it when this one is closed: one other, and nothing that is late."""
    reach = contacts.why_unreachable(row.appointment.patient, row.reminder_type, points)
    if row.status != ReminderStatus.PENDING or row.fallback_of_id or line.reason not in (reach, *CAPPED):
        return line
    return line._replace(instead=reminders.channel_after(row, planner, points, now=line.send_at) or "")


def _moved(row: AppointmentReminder, planner: Planner) -> str:
    """Return why it leaves at another time than the table says, as a sentence."""
    if row.fallback_of_id:
        return INSTEAD
    if row.reminder_type != ReminderType.SMS:
        return ""
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


def _count_by_number(
    lines: list[Line], rows: Sequence[AppointmentReminder], planner: Planner, begin: datetime, end: datetime
) -> None:
    """Apply what holds for a number and not for a message: several visits in one text, and the caps.

    Counts what has left and what leaves on this day; what is still to leave on the days between is not foreseen.
    """
    texts = defaultdict[str, list[int]](list)
    for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if line.goes_out and line.channel == ReminderType.SMS:
            texts[row.appointment.patient.phone].append(place)
    earlier = caps.texts_to(list(texts), since=begin - timedelta(days=caps.WEEK_DAYS), but=[])
    others = _others(texts, begin, end)
    for number, places in texts.items():
        zone = planner.hours_of(rows[places[0]].appointment.patient).zones[0]
        over = partial(caps.why_not, zone=zone, rules=planner.rules)
        due: list[tuple[datetime, int | None]] = [(lines[place].send_at, place) for place in places]
        due += [(at, None) for at in others[number]]
        _count(lines, sorted(due, key=itemgetter(0)), earlier[number], over)


def _count(
    lines: list[Line],
    due: Iterable[tuple[datetime, int | None]],
    earlier: Iterable[datetime],
    over: Callable[..., str | None],
) -> None:
    """Go through what is due at one number in the order of time; by place in `lines`, None for what is no reminder."""
    left, visits = list(earlier), set[Any]()
    for at, place in due:
        line = None if place is None else lines[place]
        if line is not None and visits and line.appointment_id not in visits:
            reason = TOLD_TOGETHER
        elif reason := over(left, now=at) or "":
            line = line and line._replace(goes_out=False)
        else:
            left.append(at)
        if line is not None and place is not None:
            lines[place] = line._replace(reason=reason or line.reason)
            visits |= {line.appointment_id} if line.goes_out else set()


def _others(numbers: Iterable[str], begin: datetime, end: datetime) -> dict[str, list[datetime]]:
    """Return by number when texts are due there on a day that are no reminders: recalls, offers, missed visits."""
    rows = PatientMessage.objects.filter(
        contacts.with_numbers(numbers, path="patient__"),
        status=MessageStatus.PENDING, channel=ReminderType.SMS, due_at__gte=begin, due_at__lt=end,
    )  # fmt: skip
    found = defaultdict[str, list[datetime]](list)
    counted = rows.exclude(wording__in=caps.UNCOUNTED)
    for patient, number, at in counted.values_list("patient_id", "patient__phone", "due_at"):
        found[plain(number, patient)].append(at)
    return found


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
    """Return visit and offset of every reminder nobody plans again, for these visits as they are now."""
    whose = {key: visit for visit in visits for key in (visit.pk, *visit.moved_from)}
    rows = AppointmentReminder.objects.filter(appointment__in=whose).exclude(status=ReminderStatus.SUPERSEDED)
    found = [(whose[row.appointment_id], row) for row in (Row(*values) for values in rows.values_list(*COLUMNS))]
    return {
        (visit.pk, row.minutes)
        for visit, row in found
        if row.starts_at in (None, visit.start) and (row.appointment_id == visit.pk or row.told)
    }


def _missing(visit: Expected, planner: Planner, points: contacts.Points, now: datetime) -> Iterator[Line]:
    about = (visit.start, visit.pk, visit.patient_id, "")
    plan = planner.plan(visit, points, now=now, carried={})
    for one in plan.planned:
        reason = f"{UNPLANNED} {one.note}".rstrip()
        yield Line(one.send_at, False, reason, one.offset_minutes, one.channel, one.wording, *about)
    for skipped in plan.skipped:
        rule = skipped.rule
        yield Line(skipped.at, False, skipped.reason, rule.minutes, rule.channel, rule.wording, *about)
