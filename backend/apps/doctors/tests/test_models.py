"""Proves what rows about doctors may hold, in Python and in the database itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorCredential, Specialization, validate_dea
from backend.apps.doctors.tests.factories import (
    make_availability,
    make_credential,
    make_dea,
    make_doctor,
    make_npi,
    make_specialization,
)
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", ["AB1234563", "F91234563", "BJ6125341", "AP5836727"])
def test_a_dea_number_with_its_check_digit_is_taken(number: str) -> None:
    validate_dea(number)


@pytest.mark.parametrize("number", ["AB1234564", "ab1234563", "A1234563", "AB12345630", "1B1234563", "AB123456٣", ""])
def test_a_dea_number_with_a_slip_is_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        validate_dea(number)


def test_every_single_wrong_digit_in_a_dea_number_changes_the_verdict_unless_it_cancels() -> None:
    right = "AB1234563"
    missed = 0
    for place in range(2, 9):
        for digit in "0123456789":
            wrong = right[:place] + digit + right[place + 1 :]
            try:
                validate_dea(wrong)
            except ValidationError:
                continue
            missed += wrong != right
    assert missed == 3  # an even place counts double, so that a slip by five there is not seen: one for each of three


@pytest.mark.parametrize(
    ("last_name", "number", "fits"),
    [("Stone", "BS", True), ("stone", "BS", True), ("Stone", "BT", False), ("Stone", "B9", True), ("", "BS", False)],
)
def test_a_dea_letter_that_is_not_the_names_is_only_a_warning(last_name: str, number: str, fits: bool) -> None:
    doctor = make_doctor(user=make_user(role="doctor", last_name=last_name), dea_number=make_dea(number))
    doctor.full_clean()
    assert doctor.dea_fits_name is fits


IMPOSSIBLE_DOCTORS: list[tuple[str, dict[str, Any]]] = [
    ("npi_number", {"npi_number": "123456789"}),
    ("npi_number", {"npi_number": "12345678AB"}),
    ("npi_number", {"npi_number": "3234567893"}),
    ("dea_number", {"dea_number": "AB12345"}),
    ("license_number", {"license_number": ""}),
    ("consultation_fee", {"consultation_fee": -1}),
    ("years_of_experience", {"years_of_experience": 81}),
]


@pytest.mark.parametrize(("field", "over"), IMPOSSIBLE_DOCTORS)
def test_python_names_the_field_of_a_doctor_that_is_wrong(field: str, over: dict[str, Any]) -> None:
    doctor = make_doctor()
    for name, value in over.items():
        setattr(doctor, name, value)
    with pytest.raises(ValidationError) as refusal:
        doctor.full_clean()
    assert field in refusal.value.message_dict


@pytest.mark.parametrize(("field", "over"), [one for one in IMPOSSIBLE_DOCTORS if one[0] != "dea_number"])
def test_the_database_refuses_the_doctor_too(field: str, over: dict[str, Any]) -> None:
    whole = {"user": make_user(role="doctor"), "license_number": "L1", "npi_number": make_npi()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Doctor.objects.bulk_create([Doctor(**{**whole, **over})])
    assert not Doctor.all_objects.exists()


@pytest.mark.parametrize("field", ["npi_number", "license_number", "dea_number"])
def test_numbers_of_doctors_are_unique(field: str) -> None:
    first = make_doctor()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_doctor(**{field: getattr(first, field)})


def test_two_doctors_may_both_lack_a_dea_number() -> None:
    make_doctor(dea_number="")
    make_doctor(dea_number="").full_clean()


@pytest.mark.parametrize("languages", ["en", ["english!"], ["en", "en"], [1], {"en": 1}, ["en"] * 21])
def test_languages_are_a_list_of_tags(languages: Any) -> None:
    doctor = make_doctor()
    doctor.languages = languages
    with pytest.raises(ValidationError) as refusal:
        doctor.full_clean()
    assert list(refusal.value.message_dict) == ["languages"]


def test_only_a_doctors_login_belongs_to_a_doctor() -> None:
    doctor = make_doctor()
    doctor.user = make_user(role="nurse")
    with pytest.raises(ValidationError, match="role doctor"):
        doctor.full_clean()


def test_the_primary_specialization_is_the_first_and_costs_no_query_when_prefetched() -> None:
    cardiology, internal = make_specialization(name="Cardiology"), make_specialization(name="Internal medicine")
    for _ in range(3):
        make_doctor(specializations=[internal, cardiology])
    assert make_doctor().primary_specialization is None
    with CaptureQueriesContext(connection) as queries:
        doctors = list(Doctor.objects.select_related("user").prefetch_related("specialization_links"))
        found = [(doctor.full_name, doctor.primary_specialization) for doctor in doctors]
    assert len(queries) == 2
    assert found.count(("Grace Stone", internal)) == 3
    with CaptureQueriesContext(connection) as queries:
        assert Doctor.objects.filter(specializations=cardiology)[0].primary_specialization == internal
    assert len(queries) == 2


def test_a_specialization_exists_once_however_it_is_written_until_it_is_deleted() -> None:
    first = make_specialization(name="Cardiology", medical_code="207RC0000X")
    for same in ({"name": "CARDIOLOGY"}, {"name": "Heart", "medical_code": "207RC0000X"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Specialization.objects.bulk_create([Specialization(**same)])
    first.delete()
    make_specialization(name="cardiology", medical_code="207RC0000X")


TODAY = date(2026, 6, 15)


@pytest.mark.parametrize(
    ("expires_in", "expired", "soon"),
    [
        (-1, True, False),
        (0, False, True),
        (1, False, True),
        (30, False, True),
        (31, False, False),
        (None, False, False),
    ],
)
def test_a_credential_holds_through_its_last_day_and_warns_for_thirty(
    expires_in: int | None, expired: bool, soon: bool
) -> None:
    expiry = None if expires_in is None else TODAY + timedelta(days=expires_in)
    row = make_credential(expiry_date=expiry)
    with time_machine.travel(datetime(2026, 6, 15, 16, tzinfo=UTC), tick=False):
        assert (row.is_expired, row.is_expiring_soon) == (expired, soon)
    assert DoctorCredential.objects.expired(TODAY).exists() is expired
    assert DoctorCredential.objects.expiring_soon(TODAY).exists() is soon


def test_a_credential_expires_at_the_clinics_midnight() -> None:
    Clinic.objects.create(name="West", time_zone="America/Los_Angeles")
    row = make_credential(expiry_date=TODAY)
    with time_machine.travel(datetime(2026, 6, 16, 6, 59, tzinfo=UTC), tick=False):
        assert not row.is_expired
    with time_machine.travel(datetime(2026, 6, 16, 7, 0, tzinfo=UTC), tick=False):
        assert row.is_expired


@pytest.mark.parametrize(
    "over",
    [
        {"expiry_date": date(2020, 1, 1)},
        {"expiry_date": date(2019, 1, 1)},
        {"credential_type": "driving"},
        {"is_verified": True},
        {"verified_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_the_database_refuses_an_impossible_credential(over: dict[str, Any]) -> None:
    row = make_credential()
    row.pk = None
    whole = {
        "doctor": row.doctor,
        "credential_type": "bls",
        "issuing_organization": "AHA",
        "issue_date": date(2020, 1, 1),
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        DoctorCredential.objects.bulk_create([DoctorCredential(**{**whole, **over})])


def test_the_same_credential_is_filed_once_and_its_renewal_is_another() -> None:
    row = make_credential(number="77")
    again = {"doctor": row.doctor, "number": "77", "credential_type": row.credential_type}
    with pytest.raises(IntegrityError), transaction.atomic():
        make_credential(**again)
    make_credential(**again, issue_date=date(2022, 1, 1))


def test_verifying_notes_who_and_when_and_happens_once() -> None:
    admin, row = make_user(role="admin"), make_credential()
    row.verify(admin)
    row.refresh_from_db()
    assert (row.is_verified, row.verified_by) == (True, admin)
    assert row.verified_at is not None
    with pytest.raises(DomainError, match="already"):
        row.verify(admin)


def test_an_expired_credential_is_verified_for_the_days_it_held() -> None:
    row = make_credential(expiry_date=Clinic.today() - timedelta(days=1))
    row.verify(make_user(role="admin"))
    row.refresh_from_db()
    assert row.is_verified


MORNING = {"day_of_week": 0, "start_time": time(9), "end_time": time(12)}


@pytest.mark.parametrize(
    ("over", "stands"),
    [
        ({"start_time": time(12), "end_time": time(17)}, True),
        ({"start_time": time(8), "end_time": time(9)}, True),
        ({"start_time": time(11, 59), "end_time": time(13)}, False),
        ({"start_time": time(8), "end_time": time(9, 0, 1)}, False),
        ({"start_time": time(10), "end_time": time(11)}, False),
        ({"start_time": time(8), "end_time": time(18)}, False),
        ({"day_of_week": 1, "start_time": time(10), "end_time": time(11)}, True),
        ({"start_time": time(10), "end_time": time(11), "is_active": False}, True),
    ],
)
def test_active_hours_of_one_doctor_and_day_do_not_overlap(over: dict[str, Any], stands: bool) -> None:
    doctor = make_availability(**MORNING).doctor
    row = DoctorAvailability(doctor=doctor, **{**MORNING, **over})
    if stands:
        row.full_clean()
        row.save()
        return
    with pytest.raises(ValidationError, match="overlap"):
        row.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        DoctorAvailability.objects.bulk_create([row])


def test_another_doctor_may_work_the_same_hours_and_deleted_hours_do_not_count() -> None:
    first = make_availability(**MORNING)
    make_availability(**MORNING)
    first.delete()
    make_availability(doctor=first.doctor, **MORNING)


def test_waking_a_sleeping_window_that_overlaps_is_refused_by_the_database() -> None:
    awake = make_availability(**MORNING)
    asleep = make_availability(doctor=awake.doctor, start_time=time(10), end_time=time(11), is_active=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        DoctorAvailability.objects.filter(pk=asleep.pk).update(is_active=True)


@pytest.mark.parametrize(
    "over",
    [
        {"start_time": time(12), "end_time": time(12)},
        {"start_time": time(13), "end_time": time(12)},
        {"day_of_week": 7},
        {"is_active": False},  # the same start twice, even asleep
    ],
)
def test_the_database_refuses_impossible_hours(over: dict[str, Any]) -> None:
    doctor = make_availability(**MORNING).doctor
    free_day = {} if over == {"is_active": False} else {"day_of_week": 3}
    with pytest.raises(IntegrityError), transaction.atomic():
        DoctorAvailability.objects.bulk_create([DoctorAvailability(doctor=doctor, **{**MORNING, **free_day, **over})])
