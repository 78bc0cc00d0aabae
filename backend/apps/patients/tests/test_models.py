"""Proves what a patient row may hold, in Python and in the database itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from backend.apps.core.models import Clinic
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        (date(1980, 5, 17), date(2026, 5, 16), 45),
        (date(1980, 5, 17), date(2026, 5, 17), 46),
        (date(2000, 2, 29), date(2025, 2, 28), 24),
        (date(2000, 2, 29), date(2025, 3, 1), 25),
        (date(2000, 2, 29), date(2024, 2, 29), 24),
        (date(2026, 1, 1), date(2026, 1, 1), 0),
        (date(1900, 1, 1), date(2026, 12, 31), 126),
    ],
)
def test_age_counts_whole_years(born: date, day: date, age: int) -> None:
    assert Patient(date_of_birth=born).age_on(day) == age


def test_age_follows_the_clock_of_the_clinic_not_of_the_server() -> None:
    Clinic.objects.create(name="West", time_zone="America/Los_Angeles")
    patient = Patient(date_of_birth=date(1990, 6, 15))
    with time_machine.travel(datetime(2026, 6, 15, 5, tzinfo=UTC), tick=False):  # still the 14th out west
        assert patient.age == 35
    with time_machine.travel(datetime(2026, 6, 15, 8, tzinfo=UTC), tick=False):
        assert patient.age == 36


def test_full_name_joins_both_names_and_str_names_nobody() -> None:
    patient = make_patient(first_name="Ada", last_name="Okafor")
    assert patient.full_name == "Ada Okafor"
    assert "Ada" not in str(patient)
    assert "Okafor" not in repr(patient)


IMPOSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("date_of_birth", {"date_of_birth": date(1899, 12, 31)}),
    ("date_of_birth", {"date_of_birth": date(2999, 1, 1)}),
    ("gender", {"gender": "x"}),
    ("first_name", {"first_name": ""}),
    ("last_name", {"last_name": ""}),
    ("country", {"country": "usa"[:2]}),
    ("medical_record_number", {"medical_record_number": "has space"}),
    ("medical_record_number", {"medical_record_number": ""}),
    ("insurance_info", {"insurance_info": ["not", "an", "object"]}),
    ("insurance_info", {"insurance_info": {"note": "x" * 5000}}),
]
SEALED: list[tuple[str, dict[str, Any]]] = [  # of which the database sees no more than that they are there
    ("phone", {"phone": "555-0100"}),
    ("emergency_contact_phone", {"emergency_contact_phone": "0044"}),
    ("email", {"email": "ada at example"}),
]


@pytest.mark.parametrize(("field", "over"), [*IMPOSSIBLE, *SEALED])
def test_python_names_the_field_that_is_wrong(field: str, over: dict[str, Any]) -> None:
    patient = make_patient()
    for name, value in over.items():
        setattr(patient, name, value)
    with pytest.raises(ValidationError) as refusal:
        patient.full_clean()
    assert field in refusal.value.message_dict


@pytest.mark.parametrize(("field", "over"), IMPOSSIBLE)
def test_the_database_refuses_it_too_when_python_is_passed_by(field: str, over: dict[str, Any]) -> None:
    whole = {"medical_record_number": "X1", "first_name": "A", "last_name": "B", "date_of_birth": date(1990, 1, 1)}
    with pytest.raises(IntegrityError), transaction.atomic():
        Patient.objects.bulk_create([Patient(**{**whole, **over})])
    assert Patient.all_objects.count() == 0


@pytest.mark.parametrize(
    "assignment", ["sms_consent = true", "email_consent = true", "is_deleted = true", "deleted_at = now()"]
)
def test_plain_sql_cannot_leave_a_consent_or_a_deletion_without_its_moment(assignment: str) -> None:
    patient = make_patient()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE patients_patient SET {assignment} WHERE id = %s", [patient.pk])  # noqa: S608 - our words


def test_a_record_number_is_given_to_one_patient_only_deleted_ones_included() -> None:
    make_patient(medical_record_number="A-1").delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_patient(medical_record_number="A-1")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"plan": {"nested": 1}}, "plain value"),
        ({f"n{i}": 1 for i in range(31)}, "30 short names"),
        ({"n" * 61: 1}, "short names"),
    ],
)
def test_insurance_info_is_small_and_flat(info: dict[str, Any], message: str) -> None:
    patient = make_patient()
    patient.insurance_info = info
    with pytest.raises(ValidationError, match=message):
        patient.full_clean()


def test_the_longest_insurance_info_python_takes_the_database_takes() -> None:
    patient = make_patient()
    patient.insurance_info = {f"name {i}": "é" * 18 for i in range(30)}
    patient.full_clean()
    patient.save()


def test_born_tomorrow_by_the_clinics_calendar_is_in_the_future() -> None:
    patient = make_patient()
    patient.date_of_birth = Clinic.today()
    patient.full_clean()
    patient.date_of_birth += timedelta(days=1)
    with pytest.raises(ValidationError, match="in the future"):
        patient.full_clean()


def test_only_a_patients_login_can_be_linked() -> None:
    patient = make_patient()
    patient.user = make_user(role="nurse")
    with pytest.raises(ValidationError, match="role patient"):
        patient.full_clean()
    patient.user = make_user(role="patient")
    patient.full_clean()


@pytest.mark.parametrize("state", ["New York", "ny", "N"])
def test_a_state_of_the_us_has_two_letters(state: str) -> None:
    patient = make_patient()
    patient.state = state
    with pytest.raises(ValidationError, match="two capital letters"):
        patient.full_clean()
    patient.country = "CA"
    patient.full_clean()


@pytest.mark.parametrize("bad", [{"time_zone": "Mars/Olympus"}, {"preferred_language": "english please"}])
def test_time_zone_and_language_are_real_names(bad: dict[str, str]) -> None:
    patient = make_patient()
    for name, value in bad.items():
        setattr(patient, name, value)
    with pytest.raises(ValidationError) as refusal:
        patient.full_clean()
    assert set(refusal.value.message_dict) == set(bad)


def test_deleting_hides_the_patient_and_keeps_the_row() -> None:
    patient = make_patient()
    patient.delete()
    assert not Patient.objects.filter(pk=patient.pk).exists()
    assert Patient.all_objects.get(pk=patient.pk).deleted_at is not None
