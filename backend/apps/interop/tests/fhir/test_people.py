"""Proves what people and places look like as FHIR, and what of them a role does not see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.core.serializers import ClinicProfileSerializer
from backend.apps.doctors.models import DoctorAvailability
from backend.apps.insurance.serializers import InsuranceProviderSerializer
from backend.apps.insurance.tests.factories import make_patient_insurance
from backend.apps.interop.fhir.source import Source, rows_among
from backend.apps.interop.fhir.sources import ALL, BY_NAME
from backend.apps.interop.tests.fhir import makers_of_people as makers
from backend.apps.laboratory.feed_views import LabFeedSerializer
from backend.apps.patients.models import Patient
from backend.apps.prescriptions.serializers import MedicationSerializer, PrescriptionSerializer
from tests.support.fhir_rows import GIVEN

pytestmark = pytest.mark.django_db


def told(name: str, row: Any, role: str = "") -> dict[str, Any]:
    source: Source = BY_NAME[name]
    (values,) = rows_among(source, source.model._base_manager.filter(pk=row.pk), role=role)
    return source.resource.as_dict(values, GIVEN)


def test_a_patient_has_what_us_core_must_support() -> None:
    found = told("patient", makers.full_patient())
    race, ethnicity, sex, interpreter = found["extension"]
    assert [part.get("valueCoding", {}).get("code") for part in race["extension"]] == ["2054-5", "2106-3", None]
    assert race["extension"][2]["valueString"] == "Black or African American, White"
    assert ethnicity["extension"][0]["valueCoding"]["code"] == "2186-5"
    assert sex["valueCode"] == "F"
    assert interpreter["valueCoding"]["display"] == "No"
    assert found["identifier"][0]["system"] == GIVEN["mrn_system"]
    assert found["name"][0]["given"] == ["Ada", "Ngozi"]
    assert found["deceasedDateTime"] == "2026-03-01T04:05:06.789Z"


def test_what_is_not_known_of_a_patient_leaves_no_trace() -> None:
    found = told("patient", makers.bare_patient())
    assert not found.keys() & {"extension", "telecom", "address", "contact", "communication", "deceasedDateTime"}


def test_the_laboratory_sees_who_a_patient_is_and_no_more() -> None:
    found = told("patient", makers.full_patient(), Role.LAB_TECH)
    assert found.keys() == {
        "resourceType", "id", "meta", "identifier", "active", "name", "gender", "birthDate",
    }  # fmt: skip


def test_a_doctor_is_reached_at_the_practice_and_not_at_the_login() -> None:
    doctor = makers.full_doctor()
    found = told("practitioner", doctor)
    assert found["identifier"][0]["value"] == doctor.npi_number
    assert {entry["value"] for entry in found["telecom"]} == {"+15182345678", "desk@clinic.example.org"}
    assert found["address"][0]["city"] == "Albany"
    assert doctor.user.email not in str(found)


def test_a_patient_sees_neither_the_numbers_nor_the_licence_of_a_doctor() -> None:
    doctor = makers.full_doctor()
    seen = str(told("practitioner", doctor, Role.PATIENT))
    assert doctor.npi_number not in seen
    assert doctor.license_number not in seen
    assert "Stone" in seen


def test_the_role_of_a_doctor_names_specialties_place_and_hours() -> None:
    doctor = makers.full_doctor()
    found = told("practitioner-role", doctor)
    clinic = Clinic.current()
    assert found["practitioner"]["reference"] == f"Practitioner/{doctor.pk}"
    assert found["organization"] == {"reference": f"Organization/{clinic.pk}"}
    assert found["location"] == [{"reference": f"Location/{clinic.pk}"}]
    assert found["specialty"][0]["coding"][0]["code"] == makers.TAXONOMY
    assert "coding" not in found["specialty"][1]
    assert found["availableTime"][1] == {
        "daysOfWeek": ["sun"], "availableStartTime": "08:30:00", "availableEndTime": "12:00:00",
    }  # fmt: skip


def test_other_hours_are_another_version_of_the_role() -> None:
    doctor = makers.full_doctor()
    before = told("practitioner-role", doctor)["meta"]
    DoctorAvailability.objects.filter(doctor=doctor).first().save()  # type: ignore[union-attr]  # it has hours
    after = told("practitioner-role", doctor)["meta"]
    assert after["versionId"] > before["versionId"]
    assert after["lastUpdated"] >= before["lastUpdated"]


def test_a_coverage_that_ended_yesterday_is_cancelled_and_one_that_ends_today_is_active() -> None:
    for days, status in ((1, "cancelled"), (0, "active")):
        ended = make_patient_insurance(termination_date=Clinic.today() - timedelta(days=days))
        assert told("coverage", ended)["status"] == status


def test_a_coverage_says_by_whom_and_as_what_its_patient_is_insured() -> None:
    row = makers.full_coverage()
    found = told("coverage", row)
    assert found["identifier"][0]["value"] == found["subscriberId"] == row.member_id
    assert found["relationship"]["coding"][0]["code"] == "child"
    assert "subscriber" not in found
    assert found["payor"][0]["reference"] == f"Organization/{row.insurance_plan.provider_id}"
    assert [(one["type"]["coding"][0]["code"], one["value"]) for one in found["class"]] == [
        ("group", "G-7"), ("plan", "HP-1"),
    ]  # fmt: skip
    assert found["period"] == {"start": "2024-01-01", "end": "2024-12-31"}


def test_a_group_lists_the_patients_who_are_still_on_file() -> None:
    row = makers.group()
    stays, goes = row.patients.order_by("pk")
    goes.delete()
    found = told("group", row)
    assert found["member"] == [{"entity": {"reference": f"Patient/{stays.pk}"}}]
    assert found["quantity"] == 1


@pytest.mark.parametrize(
    ("serializer", "fields"),
    [
        (ClinicProfileSerializer, {"clia_number"}),
        (InsuranceProviderSerializer, {"naic_code"}),
        (LabFeedSerializer, {"clia_number"}),
        (MedicationSerializer, {"rxnorm_code"}),
        (PrescriptionSerializer, {"dose_quantity", "dose_unit"}),
    ],
)
def test_what_fhir_tells_of_a_row_can_be_entered_by_the_api(serializer: Any, fields: set[str]) -> None:
    writable = {name for name, field in serializer().fields.items() if not field.read_only}
    assert fields <= writable


@pytest.mark.parametrize("source", [one for one in ALL if one.deleted], ids=lambda one: one.name)
def test_what_was_deleted_since_can_be_told(source: Source) -> None:
    with connection.cursor() as cursor:
        cursor.execute(source.deleted, [Clinic.today() - timedelta(days=1)])
        assert len(cursor.description) == 2


def test_a_patient_who_was_deleted_is_among_what_was_deleted_since() -> None:
    patient = makers.full_patient()
    began = Patient.objects.get(pk=patient.pk).updated_at
    patient.delete()
    with connection.cursor() as cursor:
        cursor.execute(BY_NAME["patient"].deleted, [began])
        assert [row[0] for row in cursor.fetchall()] == [str(patient.pk)]
