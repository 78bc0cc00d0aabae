"""Proves when a doctor works, clock changes and midnight included, and the rules over several rows."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import Clinic
from backend.apps.doctors import services
from backend.apps.doctors.models import DoctorAvailability
from backend.apps.doctors.tests.factories import (
    make_always_available,
    make_availability,
    make_credential,
    make_doctor,
    make_npi,
    make_specialization,
)
from backend.apps.employees import filing
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
MONDAY, SATURDAY, SUNDAY = 0, 5, 6


def ny(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK, fold=fold)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "free"),
    [
        (ny("2026-06-15T09:00"), ny("2026-06-15T09:30"), True),
        (ny("2026-06-15T08:59"), ny("2026-06-15T09:30"), False),
        (ny("2026-06-15T16:30"), ny("2026-06-15T17:00"), True),
        (ny("2026-06-15T16:30"), ny("2026-06-15T17:01"), False),
        (ny("2026-06-15T11:30"), ny("2026-06-15T12:30"), True),  # over the seam of two windows
        (ny("2026-06-16T09:00"), ny("2026-06-16T09:30"), False),  # a Tuesday
        (utc("2026-06-15T13:00"), utc("2026-06-15T13:30"), True),  # 9:00 in summer
        (utc("2026-12-14T13:00"), utc("2026-12-14T13:30"), False),  # 8:00 in winter
        (utc("2026-12-14T14:00"), utc("2026-12-14T14:30"), True),
        (ny("2026-06-15T10:00"), ny("2026-06-15T10:00"), False),
        (ny("2026-06-15T11:00"), ny("2026-06-15T10:00"), False),
        (ny("2026-06-15T10:00"), ny("2026-06-22T10:00"), False),  # from Monday to Monday
    ],
)
def test_a_visit_must_lie_in_the_hours_of_its_day(starts_at: datetime, ends_at: datetime, free: bool) -> None:
    doctor = make_availability(start_time=time(9), end_time=time(12)).doctor
    make_availability(doctor=doctor, start_time=time(12), end_time=time(17))
    assert services.is_available(doctor, starts_at, ends_at) is free


@pytest.mark.parametrize(
    ("sunday_until", "monday_from", "free"),
    [(time(23, 59), time(0), True), (time(23, 59, 59), time(0), True), (time(23, 58), time(0), False),
     (time(23, 59), time(0, 1), False)],
)  # fmt: skip
def test_a_visit_over_midnight_needs_hours_on_both_days(sunday_until: time, monday_from: time, free: bool) -> None:
    doctor = make_availability(day_of_week=SUNDAY, start_time=time(20), end_time=sunday_until).doctor
    make_availability(doctor=doctor, day_of_week=MONDAY, start_time=monday_from, end_time=time(4))
    assert services.is_available(doctor, ny("2026-06-14T23:30"), ny("2026-06-15T00:30")) is free


@pytest.mark.parametrize(
    ("window", "visit", "free"),
    [
        # 8 March 2026: 2:00 becomes 3:00. A window from 1:00 to 4:00 lasts two hours.
        ((time(1), time(4)), (utc("2026-03-08T06:00"), utc("2026-03-08T08:00")), True),
        ((time(1), time(4)), (utc("2026-03-08T06:00"), utc("2026-03-08T08:01")), False),
        ((time(3), time(4)), (utc("2026-03-08T07:00"), utc("2026-03-08T08:00")), True),
        ((time(2, 30), time(4)), (utc("2026-03-08T07:00"), utc("2026-03-08T08:00")), False),
        ((time(2, 30), time(4)), (utc("2026-03-08T07:30"), utc("2026-03-08T08:00")), True),
        ((time(2, 30), time(3)), (utc("2026-03-08T07:00"), utc("2026-03-08T07:10")), False),
        # 1 November 2026: 2:00 becomes 1:00. A window from 0:00 to 3:00 lasts four hours.
        ((time(0), time(3)), (utc("2026-11-01T04:00"), utc("2026-11-01T08:00")), True),
        ((time(0), time(3)), (utc("2026-11-01T04:00"), utc("2026-11-01T08:01")), False),
        ((time(0), time(1, 30)), (ny("2026-11-01T01:00"), ny("2026-11-01T01:30")), True),
        ((time(0), time(1, 30)), (ny("2026-11-01T01:00", fold=1), ny("2026-11-01T01:30", fold=1)), False),
        ((time(0), time(23, 59)), (utc("2026-11-01T04:00"), utc("2026-11-02T05:00")), True),  # the 25-hour day
    ],
)
def test_the_day_the_clock_changes(window: tuple[time, time], visit: tuple[datetime, datetime], free: bool) -> None:
    doctor = make_availability(day_of_week=SUNDAY, start_time=window[0], end_time=window[1]).doctor
    assert services.is_available(doctor, *visit) is free


def test_hours_are_those_of_the_clinics_zone() -> None:
    Clinic.objects.create(name="East", time_zone="Asia/Tokyo")
    doctor = make_availability(day_of_week=MONDAY).doctor
    assert services.is_available(doctor, utc("2026-06-15T00:00"), utc("2026-06-15T01:00"))  # 9:00 in Tokyo
    assert not services.is_available(doctor, utc("2026-06-15T13:00"), utc("2026-06-15T14:00"))


def test_sleeping_or_deleted_hours_and_a_deleted_doctor_are_not_available() -> None:
    visit = (ny("2026-06-15T10:00"), ny("2026-06-15T10:30"))
    hours = make_availability()
    assert services.is_available(hours.doctor, *visit)
    DoctorAvailability.objects.filter(pk=hours.pk).update(is_active=False)
    assert not services.is_available(hours.doctor, *visit)
    DoctorAvailability.objects.filter(pk=hours.pk).update(is_active=True)
    hours.doctor.delete()
    assert not services.is_available(hours.doctor, *visit)


def test_asking_costs_two_queries_however_many_windows_there_are() -> None:
    doctor = make_always_available(make_doctor())
    with CaptureQueriesContext(connection) as queries:
        assert services.is_available(doctor, ny("2026-06-13T08:00"), ny("2026-06-16T08:00"))
    assert len(queries) == 2


class TestSpecializations:
    def test_the_order_they_are_given_in_is_kept(self) -> None:
        admin = make_user(role="admin")
        first, second = make_specialization(), make_specialization()
        user = make_user(role="doctor")
        doctor = services.enrol(
            by=admin, user=user, license_number="L1", npi_number=make_npi(), specializations=[second, first, second]
        )
        assert doctor.ordered_specializations == [second, first]
        services.revise(doctor, by=admin, specializations=[first])
        assert doctor.ordered_specializations == [first]
        services.revise(doctor, by=admin, bio="Speaks of hearts.")
        assert doctor.primary_specialization == first


class TestCredentials:
    @pytest.mark.parametrize(
        ("change", "still_verified"),
        [({"number": "new"}, False), ({"issuing_organization": "Another board"}, False), ({"state": "NY"}, True)],
    )
    def test_what_was_verified_is_not_once_it_changes(self, change: dict[str, Any], still_verified: bool) -> None:
        admin, row = make_user(role="admin"), make_credential(state="NY")
        filing.verify(row, by=admin, method="issuer")
        filing.amend(row, by=admin, **change)
        row.refresh_from_db()
        assert row.is_verified is still_verified
        assert (row.verified_by is not None) is still_verified

    def test_a_doctor_files_and_amends_only_the_own_ones(self) -> None:
        mine, other = make_doctor(), make_credential()
        with pytest.raises(PermissionDenied):
            filing.amend(other, by=mine.user, number="x")
        with pytest.raises(PermissionDenied):
            filing.amend(make_credential(doctor=mine), by=mine.user, doctor=other.doctor)


def test_a_doctor_changes_only_the_own_hours_and_cannot_give_them_away() -> None:
    mine, other = make_availability(), make_availability()
    with pytest.raises(PermissionDenied):
        services.change_hours(other, by=mine.doctor.user, end_time=time(18))
    with pytest.raises(PermissionDenied):
        services.change_hours(mine, by=mine.doctor.user, doctor=other.doctor)
    assert services.change_hours(mine, by=mine.doctor.user, end_time=time(18)).end_time == time(18)
