"""Makes patients, doctors, places, coverages and groups for the sources that turn them into resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor, Specialization
from backend.apps.doctors.tests.factories import make_availability, make_doctor, make_specialization
from backend.apps.insurance.models import InsuranceProvider, PatientInsurance
from backend.apps.insurance.tests.factories import (
    TAXONOMY,
    make_patient_insurance,
    make_plan,
    make_provider,
    service_facility,
)
from backend.apps.interop.models import PatientGroup
from backend.apps.laboratory.models import LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from backend.apps.patients.models import BirthSex, Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

ADDRESS: dict[str, Any] = {
    "address_line1": "200 Main Street",
    "address_line2": "Suite 4",
    "city": "Albany",
    "state": "NY",
    "postal_code": "12207",
}


def full_patient() -> Patient:
    return make_patient(
        middle_name="Ngozi",
        name_suffix="III",
        birth_sex=BirthSex.FEMALE,
        races=["2054-5", "2106-3"],
        ethnicity="2186-5",
        needs_interpreter=False,
        deceased_at=datetime(2026, 3, 1, 4, 5, 6, 789000, tzinfo=UTC),
        emergency_contact_name="Chidi Okafor",
        emergency_contact_phone="+14155550101",
        emergency_contact_relationship="brother",
    )


def bare_patient() -> Patient:
    names = ("phone", "email", "address_line1", "city", "state", "postal_code")
    return make_patient(**dict.fromkeys(names, ""), preferred_language="")


def clinic() -> Clinic:
    """Save the practice's profile, or change it to a full one."""
    row = Clinic.current()
    told = {"name": "Elm Street Clinic", "npi_number": "1234567893", "clia_number": "33D1234567", **ADDRESS}
    for field, value in {**told, "phone": "+15182345678", "email": "desk@clinic.example.org"}.items():
        setattr(row, field, value)
    row.save()
    return row


def bare_clinic() -> Clinic:
    row = Clinic.current()
    for field in (*ADDRESS, "npi_number", "clia_number", "phone", "email"):
        setattr(row, field, "")
    row.save()
    return row


def full_payer() -> InsuranceProvider:
    return make_provider(
        naic_code="12345", phone="+18005550100", fax="+18005550101", email="x@payer.example", **ADDRESS
    )


def full_laboratory() -> LabFeed:
    return make_lab_feed(clia_number="33D7654321", sending_application="FULL LAB")


def specialization() -> Specialization:
    return Specialization.objects.filter(medical_code=TAXONOMY).first() or make_specialization(medical_code=TAXONOMY)


def full_doctor() -> Doctor:
    clinic()
    doctor = make_doctor(specializations=[specialization(), make_specialization()], languages=["en", "es-MX"])
    make_availability(doctor=doctor, day_of_week=0)
    make_availability(doctor=doctor, day_of_week=6, start_time=time(8, 30), end_time=time(12))
    return doctor


def bare_doctor() -> Doctor:
    """Save a doctor without a name, of a practice that has no profile yet; who no longer signs in."""
    Clinic.objects.all().delete()
    login = make_user(role="doctor", first_name="", last_name="", is_active=False)
    return make_doctor(user=login, languages=[])


def full_coverage() -> PatientInsurance:
    plan = make_plan(plan_type="medicare", plan_number="HP-1", group_number="G-7")
    return make_patient_insurance(
        insurance_plan=plan,
        policy_holder_relationship="child",
        policy_holder_name="Chidi Okafor",
        policy_holder_dob=date(1950, 2, 3),
        termination_date=date(2024, 12, 31),
    )


def group() -> PatientGroup:
    made = PatientGroup.objects.create(name="Diabetes panel", description="Patients with an HbA1c over 9")
    made.patients.set([make_patient(), make_patient()])
    return made


def make_group(*patients: Patient) -> PatientGroup:
    made = PatientGroup.objects.create(name="Panel")
    made.patients.set(patients)
    return made


def empty_group() -> PatientGroup:
    return PatientGroup.objects.create(name="Nobody yet", is_active=False)


MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "patient": (full_patient, bare_patient),
    "organization-clinic": (clinic, bare_clinic),
    "organization-payer": (full_payer, make_provider),
    "organization-laboratory": (full_laboratory, make_lab_feed),
    "location-clinic": (clinic, bare_clinic),
    "location-facility": (service_facility, lambda: service_facility(is_active=False, npi="")),
    "practitioner": (full_doctor, bare_doctor),
    "practitioner-role": (full_doctor, bare_doctor),
    "coverage": (full_coverage, make_patient_insurance),
    "group": (group, empty_group),
})  # fmt: skip
