"""Plans many visits by the same table, hours and zones; without it each visit would read them all again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from backend.apps.appointments import timing, zones
from backend.apps.appointments.models import AWAITED, Appointment, AppointmentStatus, AppointmentType
from backend.apps.appointments.reminder_policies import Policies
from backend.apps.appointments.timing import Alternatives, Hours, Plan, Terms, Visit
from backend.apps.core import closed_values, sealed
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.models import Clinic
from backend.apps.messaging.models import ContactRules
from backend.apps.messaging.models.outgoing import Channel
from backend.apps.patients.contacts import Points, why_unreachable

CHANNELS = tuple(Channel.values)
COLUMNS = (
    "pk", "version", "status", "is_deleted", "appointment_datetime", "appointment_type", "patient_id",
    *(f"patient__{name}" for name in (
        "is_deleted", "time_zone", "country", "state", "phone", "email", "sms_consent", "email_consent"
    )), "moved_from",
)  # fmt: skip
SAME_TIME = Appointment.all_objects.filter(
    patient=OuterRef("patient"), appointment_datetime=OuterRef("appointment_datetime")
)


class Expected(NamedTuple):
    """What planning must know of a visit and its patient, in the order of COLUMNS. Many times lighter than the rows.

    The names of the patient's fields are those of Patient: `patients.contacts` and `zones` read both alike.
    moved_from: other visits of the patient at this very time, now cancelled: rescheduled away and back, say.
    """

    pk: Any
    version: int
    status: str
    is_deleted: bool
    start: datetime
    appointment_type: str
    patient_id: Any
    patient_is_deleted: bool
    time_zone: str
    country: str
    state: str
    phone: str
    email: str
    sms_consent: bool
    email_consent: bool
    moved_from: list[Any]

    @property
    def is_awaited(self) -> bool:
        return self.status in AWAITED and not self.is_deleted and not self.patient_is_deleted


def expected(rows: QuerySet[Appointment]) -> list[Expected]:
    given_up = SAME_TIME.filter(status=AppointmentStatus.CANCELLED).exclude(pk=OuterRef("pk"))
    found = rows.annotate(moved_from=ArraySubquery(given_up.values("pk")))
    return [_opened(Expected(*values)) for values in found.values_list(*COLUMNS)]


def _opened(visit: Expected) -> Expected:
    return visit._replace(phone=plain(visit.phone, visit.patient_id), email=plain(visit.email, visit.patient_id))


def plain(value: Any, patient: Any) -> str:
    """Return a number or mailbox, empty where it does not open: who has that one costs nobody else their reminders."""
    try:
        return str(sealed.opened(value, patient))
    except CannotOpen as closed:
        closed_values.tell(closed)
        return ""


@dataclass(frozen=True)
class Planner:
    """The clinic's zone, rules and table as they stood when it was loaded, in three queries."""

    zone: ZoneInfo
    rules: ContactRules
    policies: Policies
    _hours: dict[tuple[str, str, str], Hours] = field(default_factory=dict)
    _terms: dict[tuple[Any, ...], Terms] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Planner:
        return cls(Clinic.current().zone, ContactRules.current(), Policies.load())

    def plan(self, visit: Expected, points: Points, *, now: datetime, carried: Mapping[int, datetime]) -> Plan:
        """Return what goes out about a visit and what does not; nothing about one that nobody awaits.

        carried: by offset, when what waits already was to leave.
        """
        if not visit.is_awaited:
            return Plan([], [])
        terms = self._terms_of(visit, points, now)
        if carried:
            terms = replace(terms, carried=carried)
        confirmed = visit.status == AppointmentStatus.CONFIRMED
        video = visit.appointment_type == AppointmentType.TELEMEDICINE
        return timing.plan(Visit(visit.pk, visit.start, confirmed, video), self.rules_of(visit), terms)

    def rules_of(self, visit: Expected) -> tuple[Alternatives, ...]:
        return self.policies.of(visit.appointment_type)

    def _terms_of(self, visit: Expected, points: Points, now: datetime) -> Terms:
        """Return the terms of all whose clock is the same and who can be reached alike."""
        patient: Any = visit  # it reads as one
        hours, whys = self.hours_of(visit), tuple([why_unreachable(patient, channel, points) for channel in CHANNELS])
        key = (hours, whys, now)
        if key not in self._terms:
            reach = dict(zip(CHANNELS, whys, strict=True)).get
            self._terms[key] = Terms(self.zone, hours, timedelta(hours=self.rules.least_gap_hours), now, reach)
        return self._terms[key]

    def hours_of(self, patient: zones.Lives) -> Hours:
        """Return when texts may reach a patient; the windows of a zone are worked out once."""
        key = (patient.time_zone, patient.country, patient.state)
        if key not in self._hours:
            where = zones.recipient_zones(patient, self.zone)
            self._hours[key] = Hours(self.rules.opens_at, self.rules.closes_at, where)
        return self._hours[key]
