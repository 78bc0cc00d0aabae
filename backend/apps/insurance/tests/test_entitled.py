"""Proves that a claim stays here whose doctor had no licence on the day, or whom a registry excludes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import Clinic
from backend.apps.credentials.tests.override_factories import make_override
from backend.apps.credentials.tests.registry_factories import make_registry_check
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.insurance import fact_parts, scrubbing, submitting
from backend.apps.insurance.models import InsuranceClaim, Submission
from backend.apps.insurance.tests.factories import (
    billing_entity,
    line,
    make_patient_insurance,
    ready_claim,
    referring_provider,
)

pytestmark = pytest.mark.django_db


def found(claim: InsuranceClaim) -> list[tuple[str, str]]:
    rules = {"rendering-not-entitled", "rendering-excluded"}
    return [(one.rule, one.path) for one in scrubbing.scrub(claim) if one.rule in rules]


def claim_of_one() -> InsuranceClaim:
    return ready_claim(procedure_codes=[line()])


def lapse(doctor: Doctor | None, on: date) -> None:
    DoctorCredential.objects.filter(doctor=doctor, credential_type="state_license").update(expiry_date=on)


def test_the_day_of_service_counts_and_not_the_day_of_the_claim() -> None:
    claim = claim_of_one()
    lapse(claim.rendering_doctor, claim.service_date)
    assert found(claim) == []
    lapse(claim.rendering_doctor, claim.service_date - timedelta(days=1))
    assert found(claim) == [("rendering-not-entitled", "lines[1].rendering")]
    [told] = submitting.submit_each([claim], by=None)
    assert (told.outcome, told.reason.startswith("The doctor had no valid licence on this day")) == ("refused", True)
    assert not Submission.objects.exists()


def test_an_exception_on_that_day_lets_the_claim_go() -> None:
    claim = claim_of_one()
    lapse(claim.rendering_doctor, claim.service_date - timedelta(days=1))
    noon = datetime.combine(claim.service_date, datetime.min.time(), Clinic.current().zone) + timedelta(hours=12)
    make_override(claim.rendering_doctor, granted_at=noon - timedelta(days=4), expires_at=noon - timedelta(days=1))
    assert len(found(claim)) == 1
    make_override(claim.rendering_doctor, granted_at=noon, expires_at=noon + timedelta(hours=1))
    assert found(claim) == []


def test_the_doctor_of_a_line_is_held_to_it_and_a_referring_provider_is_not_ours_to_check() -> None:
    unlicensed = make_doctor(licensed=False)
    claim = ready_claim(
        procedure_codes=[line(), line(code="36415", rendering_doctor=str(unlicensed.pk))],
        referring_provider=referring_provider(),
    )
    assert found(claim) == [("rendering-not-entitled", "lines[2].rendering")]


def test_who_gave_it_is_the_doctor_of_the_visit_or_who_bills_in_person_where_the_claim_names_nobody() -> None:
    doctor = make_doctor(licensed=False)
    since = {"by": "npi", "lines": [7], "entries": ["00ff"], "excluded_on": "2020-01-01"}
    make_registry_check(doctor.user, outcome="excluded", finding=since)
    both = [("rendering-not-entitled", "lines[1].rendering"), ("rendering-excluded", "lines[1].rendering")]
    billed: dict[str, Any] = {"procedure_codes": [line()], "rendering_doctor": None}
    coverage = make_patient_insurance()
    visit = make_appointment(doctor=doctor, patient=coverage.patient)
    assert found(ready_claim(appointment=visit, patient_insurance=coverage, **billed)) == both
    person = billing_entity(first_name="Grace", name="Stone", npi=doctor.npi_number)
    assert found(ready_claim(billing_entity=person, **billed)) == both
    someone = billing_entity(first_name="Rosa", name="Lind")
    assert found(ready_claim(billing_entity=someone, **billed)) == []


def test_what_an_excluded_doctor_did_since_then_is_not_billed_until_somebody_settles_that_it_is_another() -> None:
    claim = claim_of_one()
    since = {"by": "npi", "lines": [7], "entries": ["00ff"], "excluded_on": claim.service_date.isoformat()}
    assert claim.rendering_doctor is not None
    check = make_registry_check(claim.rendering_doctor.user, outcome="excluded", finding=since)
    assert found(claim) == [("rendering-excluded", "lines[1].rendering")]
    check.finding = {**since, "excluded_on": (claim.service_date + timedelta(days=1)).isoformat()}
    check.save()
    assert found(claim) == []
    check.finding = since
    check.settled_as, check.settled_at = "clear", timezone.now()
    check.save()
    assert found(claim) == []


def test_the_days_of_all_doctors_cost_as_many_statements_as_those_of_one() -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            fact_parts.parts()
        return len(queries)

    make_doctor()
    few = asked()
    for _ in range(4):
        make_override(make_doctor())
    assert asked() == few


def test_a_day_is_one_of_the_clinics_clock() -> None:
    claim = claim_of_one()
    Clinic.objects.update_or_create(defaults={"time_zone": "Pacific/Honolulu", "name": "Beach Clinic"})
    lapse(claim.rendering_doctor, claim.service_date - timedelta(days=1))
    late: Any = datetime.combine(claim.service_date, datetime.min.time(), ZoneInfo("Pacific/Honolulu"))
    make_override(claim.rendering_doctor, granted_at=late + timedelta(hours=22), expires_at=late + timedelta(hours=23))
    assert found(claim) == []
