"""Proves that the demo clinic bills what it did: its claims stand the edits and wait for the sandbox."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.employees.models import EmployeeCredential
from backend.apps.insurance import scrubbing
from backend.apps.insurance.models import InsuranceClaim, Submission, TradingPartner
from backend.apps.interop.models import PatientGroup
from backend.demo import people
from backend.demo.billing import LEFT_AS_DRAFTS, medicare_number
from backend.demo.clinical import catalog

pytestmark = pytest.mark.django_db


def test_the_demo_clinic_has_claims_in_line_and_people_whose_credentials_lapse(settings: Any, tmp_path: Path) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    call_command("seed", "--patients", "40", verbosity=0)
    claims = InsuranceClaim.objects.all()
    assert claims.count() >= 20
    assert Submission.objects.filter(status="queued").count() == claims.count() - LEFT_AS_DRAFTS
    assert PatientGroup.objects.get().patients.count() == 4
    waiting = scrubbing.scrub_each(claims.filter(submissions=None).values_list("pk", flat=True))
    assert waiting == {}
    entitling = DoctorCredential.objects.filter(credential_type__in=["state_license", "dea"])
    assert entitling.count() == entitling.filter(is_verified=True).count() == 2 * Doctor.objects.count()
    assert not entitling.filter(expiry_date__lt=Clinic.today() + timedelta(days=90)).exists()
    assert DoctorCredential.objects.expiring_soon(Clinic.today()).exists()
    assert EmployeeCredential.objects.expiring_soon(Clinic.today()).exists()
    folders = TradingPartner.objects.get()
    assert all((tmp_path / one).is_dir() for one in (folders.outbound_folder, folders.inbound_folder))


def test_the_demo_clinic_has_what_fhir_tells_of_patients_drugs_and_doctors() -> None:
    assert len({tuple(people.patient(n).races) for n in range(200)}) >= 5
    for n in range(50):
        people.patient(n).clean_fields(exclude=["user"])
    for medication in catalog()[1]:
        assert medication.rxnorm_code.isdigit()


def test_medicare_numbers_of_the_demo_clinic_are_all_different() -> None:
    assert len({medicare_number(n) for n in range(50_000)}) == 50_000
