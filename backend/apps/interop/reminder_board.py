"""Asks what became of the reminders of a day, each number by one query; without it the board would count by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import MAXYEAR, MINYEAR, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, When
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date

from backend.apps.appointments.models import AWAITED, Appointment, AppointmentReminder, ReminderStatus
from backend.apps.core.work import WorkState
from backend.apps.interop import failure_words
from backend.apps.interop.reminder_states import FAILED, SETTLED, Chip
from backend.apps.messaging.models import Channel, PatientMessage, Sender
from backend.apps.patients.models import ContactConsent

MOST_CODES, MOST_CHIPS = 12, 1000
EARLY = timedelta(days=8)  # a message leaves at most so long after its time: lets the index by time answer
UNKNOWN = Q(uncertain_since__isnull=False) | Q(work_state=WorkState.HELD)
TROUBLE = Q(status__in=FAILED) | UNKNOWN
CODE = Case(
    When(error_code__gt="", then=F("error_code")), When(last_error__gt="", then=F("last_error")),
    default=F("status_reason"),
)  # fmt: skip
STATES = {
    ReminderStatus.PENDING.value: "not sent yet",
    **{status.value: word for status, (word, _) in SETTLED.items() if status != ReminderStatus.SUPERSEDED},
    "unknown": "nobody knows",
    "none": "no reminder",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the board is asked for. by: the day of the "visit" or of the "reminder"; span: "day" or "month"."""

    day: date
    by: str = "visit"
    span: str = "day"
    state: str = ""
    channel: str = ""
    doctor: UUID | None = None
    code: str = ""
    problems: str = ""

    @classmethod
    def of(cls, query: QueryDict, today: date) -> Asked:
        """Read the query; what is not understood is left out."""
        known = {"by": ("reminder",), "span": ("month",), "state": STATES, "channel": ("sms", "email")}
        found: dict[str, Any] = {name: query[name] for name, values in known.items() if query.get(name) in values}
        return cls(
            day=day_of(query.get("day", "")) or today,
            doctor=_key(query.get("doctor", "")),
            code=query.get("code", "")[:300],
            problems="1" if query.get("problems") else "",
            **found,
        )

    def query(self, **over: Any) -> str:
        """Return the query of this page with something else asked for."""
        asked = {each.name: getattr(self, each.name) for each in fields(self)} | over
        query = QueryDict(mutable=True)
        plain = {"by": "visit", "span": "day"}
        for name, value in asked.items():
            if value and plain.get(name) != value:
                query[name] = str(value)
        return query.urlencode()

    @property
    def moments(self) -> tuple[datetime, datetime]:
        """Return when the day or month begins and ends on the clinic's clock."""
        first, last = self.day, self.day + timedelta(days=1)
        if self.span == "month":
            first = self.day.replace(day=1)
            last = (first + timedelta(days=32)).replace(day=1)
        zone = timezone.get_current_timezone()
        return datetime.combine(first, time(), zone), datetime.combine(last, time(), zone)

    @property
    def bare(self) -> Asked:
        """The same day without what narrows it."""
        return Asked(day=self.day, by=self.by, span=self.span, doctor=self.doctor)

    @property
    def narrows(self) -> bool:
        """Whether it asks for reminders and not only for visits."""
        return bool(self.state or self.channel or self.code or self.problems)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that leads to its rows."""

    label: str
    visits: int
    messages: int
    query: str
    here: bool = False


def visits(user: Any, asked: Asked) -> QuerySet[Appointment]:
    """Return the visits with reminders as asked for."""
    rows = _of_day(Appointment.objects.visible_to(user), asked)
    if not asked.narrows:
        return rows
    if asked.state == "none":
        return rows.filter(~Exists(_reminders_of_visit()))
    wanted = Q(Exists(_narrowed(_reminders_of_visit(), asked)))
    only_problems = asked.problems and not (asked.state or asked.channel or asked.code)
    return rows.filter(wanted | _unreached() if only_problems else wanted)


def reminders(user: Any, asked: Asked) -> QuerySet[AppointmentReminder]:
    """Return all reminders of the day that stand, whatever else is asked for."""
    rows = AppointmentReminder.objects.visible_to(user).filter(appointment__is_deleted=False)
    rows = rows.exclude(status=ReminderStatus.SUPERSEDED).filter(_in_time(asked))
    if asked.by == "visit":
        begins, ends = asked.moments
        rows = rows.filter(appointment__appointment_datetime__gte=begins, appointment__appointment_datetime__lt=ends)
    return rows.filter(appointment__doctor=asked.doctor) if asked.doctor else rows


def chips(rows: Iterable[Appointment]) -> dict[Any, list[Chip]]:
    """Return by visit its reminders in the order of their times; one query."""
    found = AppointmentReminder.objects.filter(appointment__in=[row.pk for row in rows])
    told = defaultdict[Any, list[Chip]](list)
    for row in found.exclude(status=ReminderStatus.SUPERSEDED).order_by("scheduled_send_time", "pk")[:MOST_CHIPS]:
        told[row.appointment_id].append(Chip.of(row))
    return told


def counts(user: Any, asked: Asked) -> list[Number]:
    """Return how many visits and messages are in each state, each with the query that shows them; three queries."""
    rows = reminders(user, asked).order_by()
    both = {"messages": Count("pk"), "visits": Count("appointment", distinct=True)}
    found: dict[str, Any] = {row["status"]: row for row in rows.values("status").annotate(**both)}
    found["unknown"] = rows.filter(UNKNOWN).aggregate(**both)
    every = _of_day(Appointment.objects.visible_to(user), asked).annotate(is_lone=~Exists(_reminders_of_visit()))
    total = every.aggregate(all=Count("pk"), lone=Count("pk", filter=Q(is_lone=True)))
    found["none"] = {"visits": total["lone"], "messages": 0}
    bare = asked.bare
    return [Number("visits", total["all"], 0, bare.query(), here=not asked.narrows)] + [
        Number(word, found[state]["visits"], found[state]["messages"], bare.query(state=state), asked.state == state)
        for state, word in STATES.items()
        if found.get(state, {}).get("visits")
    ]


def failures(user: Any, asked: Asked) -> list[dict[str, Any]]:
    """Return the failures by code, the most frequent first, each with what it means and the query that shows them."""
    rows = reminders(user, asked).filter(status__in=FAILED).order_by().values(reason=CODE)
    found = rows.annotate(messages=Count("pk"), visits=Count("appointment", distinct=True))
    return [
        {**row, "sentence": failure_words.sentence(row["reason"]), "query": asked.bare.query(code=row["reason"] or "-")}
        for row in found.order_by("-messages", "reason")[:MOST_CODES]
    ]


def segments(today: date) -> dict[str, int]:
    """Return how many texts were paid for today and since the first of the month, by the clinic's calendar."""
    begins = datetime.combine(today, time(), timezone.get_current_timezone())
    first = begins.replace(day=1)
    sums = {"today": Sum("segments", filter=Q(sent_at__gte=begins)), "month": Sum("segments")}
    texts = Q(sent_at__gte=first, scheduled_send_time__gte=first - EARLY, digest_of__isnull=True)
    told = [
        AppointmentReminder.all_objects.filter(texts, reminder_type=Channel.SMS).aggregate(**sums),
        PatientMessage.all_objects.filter(texts, channel=Channel.SMS).aggregate(**sums),
    ]
    return {name: sum(each[name] or 0 for each in told) for name in sums}


def opt_outs(today: date) -> int:
    """Return how many consents were taken back today."""
    begins = datetime.combine(today, time(), timezone.get_current_timezone())
    return int(ContactConsent.objects.filter(given=False, created_at__gte=begins).count())


def senders() -> list[dict[str, Any]]:
    """Return each sender, since when it is stopped and why."""
    rows = Sender.objects.order_by("channel", "name")[:20]
    return [{"row": row, "why": failure_words.sentence(row.paused_code) if row.paused_since else ""} for row in rows]


def _of_day(rows: QuerySet[Appointment], asked: Asked) -> QuerySet[Appointment]:
    begins, ends = asked.moments
    if asked.doctor:
        rows = rows.filter(doctor=asked.doctor)
    if asked.by == "visit":
        return rows.filter(appointment_datetime__gte=begins, appointment_datetime__lt=ends)
    return rows.filter(Exists(_reminders_of_visit().filter(_in_time(asked))))


def _reminders_of_visit() -> QuerySet[AppointmentReminder]:
    rows = AppointmentReminder.objects.filter(appointment=OuterRef("pk"))
    return rows.exclude(status=ReminderStatus.SUPERSEDED)


def _unreached() -> Q:
    """Whether nobody can tell the patient of a visit that is still ahead."""
    ahead = Q(status__in=AWAITED, appointment_datetime__gt=timezone.now())
    return ahead & Q(~Exists(_reminders_of_visit()))


def _in_time(asked: Asked) -> Q:
    begins, ends = asked.moments
    if asked.by == "visit":
        return Q()
    return Q(scheduled_send_time__gte=begins, scheduled_send_time__lt=ends)


def _narrowed(rows: QuerySet[AppointmentReminder], asked: Asked) -> QuerySet[AppointmentReminder]:
    """Return those of `rows` in the state, on the channel and with the code that is asked for."""
    rows = rows.filter(_in_time(asked))
    if asked.channel:
        rows = rows.filter(reminder_type=asked.channel)
    if asked.state:
        rows = rows.filter(UNKNOWN if asked.state == "unknown" else Q(status=asked.state))
    if asked.code:
        rows = rows.alias(reason=CODE).filter(status__in=FAILED, reason="" if asked.code == "-" else asked.code)
    return rows.filter(TROUBLE) if asked.problems else rows


def day_of(text: str) -> date | None:
    """Return a day written as 2026-03-02; None for what is no day or lies at the ends of time."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and MINYEAR + 1 < day.year < MAXYEAR - 1 else None


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
