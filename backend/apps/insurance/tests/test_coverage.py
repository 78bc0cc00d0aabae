"""Proves that one plan at a time has each priority, that days of cover are the clinic's, and what verifying does."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import services
from backend.apps.insurance.models import InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance, make_plan, make_provider
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
DAY = date(2026, 6, 1)


def refused_by_the_database(do: Any, match: str | None = None) -> None:
    with pytest.raises(IntegrityError, match=match), transaction.atomic():
        do()


@pytest.mark.parametrize(
    ("first", "last", "priority", "refused"),
    [
        (0, None, 1, True),
        (-10, 0, 1, True),
        (-10, None, 1, True),
        (30, 40, 1, True),
        (-10, -1, 1, False),
        (31, None, 1, False),
        (0, None, 2, False),
    ],
)
def test_a_priority_is_held_by_one_coverage_at_a_time(
    first: int, last: int | None, priority: int, refused: bool
) -> None:
    held = make_patient_insurance(effective_date=DAY, termination_date=DAY + timedelta(days=30))
    fields = {
        "effective_date": DAY + timedelta(days=first),
        "termination_date": None if last is None else DAY + timedelta(days=last),
        "priority": priority,
        "insurance_plan": make_plan(),
        "policy_number": "P",
        "member_id": "M",
    }
    row = PatientInsurance(patient=held.patient, **fields)
    if refused:
        with pytest.raises(ValidationError, match="has this priority"):
            row.full_clean()
        refused_by_the_database(lambda: PatientInsurance.objects.bulk_create([row]), "one_per_priority")
    else:
        row.full_clean()
        row.save()
    make_patient_insurance(**fields)  # another patient may


def test_an_open_end_runs_on_and_a_deleted_coverage_frees_its_priority() -> None:
    held = make_patient_insurance(effective_date=DAY)
    later = {"patient": held.patient, "effective_date": DAY + timedelta(days=4000)}
    refused_by_the_database(lambda: make_patient_insurance(**later))
    held.delete()
    make_patient_insurance(**later)


HOLDER = {"policy_holder_name": "Sam Okafor", "policy_holder_dob": date(1975, 1, 1)}


@pytest.mark.parametrize(
    "broken",
    [
        {"policy_holder_relationship": "spouse"},
        {"policy_holder_relationship": "child", **HOLDER, "policy_holder_dob": None},
        {"policy_holder_relationship": "parent", **HOLDER, "policy_holder_name": ""},
        {"policy_holder_relationship": "cousin", **HOLDER},
        {"priority": 0},
        {"priority": 4},
        {"termination_date": DAY - timedelta(days=1)},
        {"verification_status": "maybe"},
        {"verification_status": "verified"},
        {"member_id": ""},
        {"policy_number": ""},
    ],
)
def test_a_coverage_that_makes_no_sense_is_refused(broken: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    fields = {"policy_number": "P", "member_id": "M", "effective_date": DAY, **broken}
    row = PatientInsurance(patient=make_patient(), insurance_plan=make_plan(), **fields)
    refused_by_the_database(lambda: PatientInsurance.objects.bulk_create([row]), "insurance_coverage")
    with pytest.raises(ValidationError):
        row.full_clean()
    assert caplog.records == []  # Django logs values when the database cannot answer a check


@pytest.mark.parametrize("relationship", ["spouse", "child", "parent", "other"])
def test_a_coverage_held_by_somebody_else_names_the_holder(relationship: str) -> None:
    coverage = make_patient_insurance(policy_holder_relationship=relationship, **HOLDER)
    coverage.full_clean()


@pytest.mark.parametrize(
    ("day", "covered"),
    [(-1, False), (0, True), (15, True), (30, True), (31, False)],
)
def test_both_ends_are_days_of_cover(day: int, covered: bool) -> None:
    coverage = PatientInsurance(effective_date=DAY, termination_date=DAY + timedelta(days=30))
    assert coverage.covers(DAY + timedelta(days=day)) is covered
    assert PatientInsurance(effective_date=DAY).covers(DAY + timedelta(days=day)) is (day >= 0)


@pytest.mark.parametrize(("moment", "active"), [("2026-06-01T03:59:00Z", False), ("2026-06-01T04:01:00Z", True)])
def test_a_day_begins_at_midnight_of_the_clinic(moment: str, active: bool) -> None:
    Clinic.objects.create(name="Clinic", time_zone="America/New_York")
    coverage = make_patient_insurance(effective_date=DAY)
    with time_machine.travel(moment, tick=False):
        assert coverage.is_coverage_active is active


@pytest.mark.parametrize(
    ("status", "days_ago", "needed"),
    [
        ("unverified", None, True),
        ("verified", 0, False),
        ("verified", 30, False),
        ("verified", 31, True),
        ("failed", 1, True),
        ("expired", 1, True),
    ],
)
def test_a_verification_lasts_thirty_days(status: str, days_ago: int | None, needed: bool) -> None:
    last = None if days_ago is None else Clinic.today() - timedelta(days=days_ago)
    coverage = make_patient_insurance(verification_status=status, last_verified_date=last)
    assert coverage.needs_verification is needed


def test_verifying_stamps_the_clinics_day() -> None:
    coverage = make_patient_insurance()
    coverage.verify()
    stored = PatientInsurance.objects.get(pk=coverage.pk)
    assert (stored.verification_status, stored.last_verified_date) == ("verified", Clinic.today())
    assert not stored.needs_verification


def test_a_failed_verification_keeps_the_last_good_day() -> None:
    coverage = make_patient_insurance(verification_status="verified", last_verified_date=DAY)
    services.verify(coverage, by=None, passed=False)
    stored = PatientInsurance.objects.get(pk=coverage.pk)
    assert (stored.verification_status, stored.last_verified_date) == ("failed", DAY)
    assert stored.needs_verification


def test_a_coverage_that_has_ended_is_not_verified() -> None:
    coverage = make_patient_insurance(termination_date=Clinic.today() - timedelta(days=1))
    with pytest.raises(DomainError, match="has ended"):
        coverage.verify()


@pytest.mark.parametrize(
    ("change", "status"),
    [({"member_id": "W999"}, "unverified"), ({"member_id": "W123456789"}, "verified"), ({"priority": 2}, "verified")],
)
def test_a_change_of_what_the_payer_confirmed_has_to_be_verified_again(change: dict[str, Any], status: str) -> None:
    coverage = make_patient_insurance()
    coverage.verify()
    services.change_coverage(coverage, by=None, **change)
    assert PatientInsurance.objects.get(pk=coverage.pk).verification_status == status


def test_a_coverage_stays_with_its_patient() -> None:
    coverage, other = make_patient_insurance(), make_patient()
    with pytest.raises(DomainError, match="stays with its patient"):
        services.change_coverage(coverage, by=None, patient=other)
    rows = PatientInsurance.objects.filter(pk=coverage.pk)
    refused_by_the_database(lambda: rows.update(patient=other), "stays with its patient")


@pytest.mark.parametrize("make", [make_claim, make_patient_insurance, make_plan])
def test_what_others_need_is_not_deleted(make: Any) -> None:
    row = make()
    parent = {"InsuranceClaim": "patient_insurance", "PatientInsurance": "insurance_plan", "InsurancePlan": "provider"}
    needed = getattr(row, parent[type(row).__name__])
    with pytest.raises(DomainError):
        needed.delete()
    row.delete()
    needed.delete()
    assert not type(needed).objects.filter(pk=needed.pk).exists()


def test_a_card_is_a_picture(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    coverage = make_patient_insurance()
    with pytest.raises(ValidationError, match="PNG or JPEG"):
        services.change_coverage(coverage, by=None, front_card_image=ContentFile(b"%PDF-1.7", name="card.png"))


@pytest.mark.parametrize(
    "broken",
    [
        {"plan_type": "club"},
        {"copay_specialist": Decimal(-1)},
        {"annual_deductible": Decimal(-1)},
        {"in_network_coverage": Decimal("100.01")},
        {"out_of_network_coverage": Decimal(-1)},
        {"annual_deductible": Decimal(500), "out_of_pocket_max": Decimal(499)},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    row = InsurancePlan(provider=make_provider(), **{"plan_name": "Silver", "plan_type": "ppo", **broken})
    with pytest.raises(ValidationError):
        row.full_clean()
    refused_by_the_database(lambda: InsurancePlan.objects.bulk_create([row]), "insurance_plan")


def test_a_payers_plan_number_stands_once_and_an_empty_one_often() -> None:
    plan = make_plan(plan_number="S-1")
    refused_by_the_database(lambda: make_plan(provider=plan.provider, plan_number="S-1"), "number_once")
    for _ in range(2):
        make_plan(provider=plan.provider)


@pytest.mark.parametrize("broken", [{"payer_id": "a b"}, {"payer_id": "X"}, {"company_name": ""}])
def test_a_payer_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    row = InsuranceProvider(**{"company_name": "Example", "payer_id": "P123", **broken})
    with pytest.raises(ValidationError):
        row.full_clean()
    refused_by_the_database(lambda: InsuranceProvider.objects.bulk_create([row]), "insurance_provider")


def test_a_payer_id_stands_once() -> None:
    refused_by_the_database(lambda: [make_provider(payer_id="SAME") for _ in "ab"])
