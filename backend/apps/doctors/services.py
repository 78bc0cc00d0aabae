"""Rules about doctors that touch several rows: without it nobody knows who practises what, proved by what, when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.doctors.models import (
    UNTIL_MIDNIGHT,
    Doctor,
    DoctorAvailability,
    DoctorCredential,
    DoctorSpecialization,
    Specialization,
)
from backend.apps.employees import filing

Span = tuple[datetime, datetime]


@transaction.atomic
def enrol(
    *,
    by: Any,
    specializations: Sequence[Specialization] = (),
    **fields: Any,
) -> Doctor:
    """Put a doctor on file; the first of `specializations` is the primary one."""
    doctor = _save(Doctor(), fields)
    _specialize(doctor, specializations)
    return doctor


@transaction.atomic
def revise(
    doctor: Doctor, *, by: Any, specializations: Sequence[Specialization] | None = None, **fields: Any
) -> Doctor:
    _only_own(by, doctor)
    doctor = _save(doctor, fields)
    if specializations is not None:
        _specialize(doctor, specializations)
    return doctor


def file_credential(*, by: Any, **fields: Any) -> DoctorCredential:
    return filing.file(DoctorCredential, by=by, **fields)


@transaction.atomic
def open_hours(*, by: Any, **fields: Any) -> DoctorAvailability:
    _only_own(by, fields["doctor"])
    return _save(DoctorAvailability(), fields)


@transaction.atomic
def change_hours(hours: DoctorAvailability, *, by: Any, **fields: Any) -> DoctorAvailability:
    _only_own(by, hours.doctor)
    _only_own(by, fields.get("doctor", hours.doctor))
    return _save(hours, fields)


def changeable(rows: QuerySet[DoctorAvailability], by: Any) -> QuerySet[DoctorAvailability]:
    """Return those of `rows` that `by` may change: a doctor's own ones, else all."""
    return rows.filter(doctor__user=by) if by.role == Role.DOCTOR else rows


def is_available(doctor: Doctor, starts_at: datetime, ends_at: datetime) -> bool:
    """Return whether the doctor sees patients during the whole of [starts_at, ends_at), both aware.

    Windows that touch count as one, over midnight too. They are read on the clinic's wall clock: on a day the clock
    changes, a time shown twice means its first showing, a time left out means as much later as the clock jumps.
    """
    if doctor.is_deleted or starts_at >= ends_at:
        return False
    zone = Clinic.current().zone
    first, last = starts_at.astimezone(zone).date(), ends_at.astimezone(zone).date()
    return any(start <= starts_at and ends_at <= end for start, end in working_hours(doctor, first, last, zone))


def working_hours(doctor: Doctor, first: date, last: date, zone: ZoneInfo) -> list[Span]:
    """Return when the doctor sees patients from day `first` to day `last`: separate spans in order, in UTC."""
    windows = list(DoctorAvailability.objects.filter(doctor=doctor, is_active=True))
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    spans = (_span(day, window, zone) for day in days for window in windows if window.day_of_week == day.weekday())
    return list(_joined(sorted(span for span in spans if span[0] < span[1])))


def _span(day: date, window: DoctorAvailability, zone: ZoneInfo) -> Span:
    start = datetime.combine(day, window.start_time, zone)
    end = datetime.combine(day, window.end_time, zone)
    if window.end_time >= UNTIL_MIDNIGHT:
        end = datetime.combine(day + timedelta(days=1), time(), zone)
    return start.astimezone(ZoneInfo("UTC")), end.astimezone(ZoneInfo("UTC"))


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield `spans`, sorted by their starts, with those that touch or overlap made one."""
    current: Span | None = None
    for start, end in spans:
        if current and start <= current[1]:
            current = current[0], max(current[1], end)
            continue
        if current:
            yield current
        current = start, end
    if current:
        yield current


def _only_own(by: Any, doctor: Doctor) -> None:
    """Refuse a doctor who writes another doctor's row."""
    if getattr(by, "role", None) == Role.DOCTOR and doctor.user_id != by.pk:
        raise PermissionDenied


def _specialize(doctor: Doctor, specializations: Sequence[Specialization]) -> None:
    DoctorSpecialization.objects.filter(doctor=doctor).delete()
    DoctorSpecialization.objects.bulk_create(
        DoctorSpecialization(doctor=doctor, specialization=specialization, position=position)
        for position, specialization in enumerate(dict.fromkeys(specializations))
    )


def _save(row: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    row.save()
    return row
