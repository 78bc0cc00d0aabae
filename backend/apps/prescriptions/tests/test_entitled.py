"""Proves that a doctor whose licence lapsed prescribes nothing, and that what was prescribed before is dispensed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import Clinic
from backend.apps.credentials.entitlement import NotEntitled
from backend.apps.credentials.tests.override_factories import lapsed_doctor, make_override
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.prescriptions import services
from backend.apps.prescriptions.models import Prescription
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/prescriptions/"


def prescribed(doctor: Doctor, schedule: str = "") -> Any:
    drug, patient = make_medication(controlled_substance_schedule=schedule), make_appointment(doctor=doctor).patient
    form = {
        "patient": str(patient.pk), "medication": str(drug.pk), "dosage": "1", "frequency": "daily",
        "quantity": "30", "refills_allowed": 0,
    }  # fmt: skip
    return client_for(doctor.user).post(URL, form, format="json")


def test_prescribing_needs_a_licence_and_an_exception_lets_it_through() -> None:
    doctor = lapsed_doctor()
    answer = prescribed(doctor)
    assert answer.status_code == 422
    assert [one["credential_type"] for one in answer.data["missing"]] == ["state_license"]
    assert "cannot prescribe until" in answer.data["detail"]
    assert not Prescription.objects.exists()
    make_override(doctor)
    assert prescribed(doctor).status_code == 201


def test_a_controlled_substance_needs_the_dea_registration_too_and_any_other_drug_does_not() -> None:
    doctor = make_doctor()
    DoctorCredential.objects.filter(doctor=doctor, credential_type="dea").update(
        expiry_date=Clinic.today() - timedelta(days=1)
    )
    assert prescribed(doctor).status_code == 201
    answer = prescribed(doctor, schedule="II")
    assert answer.status_code == 422
    assert [one["credential_type"] for one in answer.data["missing"]] == ["dea"]


def test_what_was_prescribed_while_the_licence_held_is_filled_held_and_cancelled_but_not_resumed_or_revised() -> None:
    row = make_prescription(doctor=lapsed_doctor(), refills_allowed=2)
    with pytest.raises(NotEntitled):
        services.revise(row, by=row.doctor.user, quantity=90)
    services.fill(row, by=None)
    services.hold(row, by=None)
    with pytest.raises(NotEntitled):
        services.resume(row, by=row.doctor.user)
    make_override(row.doctor)
    services.resume(row, by=row.doctor.user)
    assert services.cancel(row, by=row.doctor.user, reason="Another drug").status == "cancelled"


def test_a_refill_is_approved_by_a_doctor_with_a_licence_and_dispensed_without_asking_again() -> None:
    prescription = make_prescription(doctor=lapsed_doctor())
    refill = make_refill(prescription=prescription)
    with pytest.raises(NotEntitled):
        services.approve(refill, by=prescription.doctor.user)
    refill = services.approve(refill, by=make_doctor().user)
    assert services.mark_as_filled(refill, by=make_user(role="pharmacist")).status == "filled"
