"""Proves what people and places look like as FHIR, and what of them a role does not see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core.audit import patient_of
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.core.serializers import ClinicProfileSerializer
from backend.apps.doctors.models import Doctor, DoctorAvailability
from backend.apps.insurance.models import InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.insurance.serializers import InsuranceProviderSerializer
from backend.apps.insurance.tests.factories import make_patient_insurance, service_facility
from backend.apps.interop.fhir.search.query import find
from backend.apps.interop.fhir.source import Source, count_among, rows_among
from backend.apps.interop.fhir.sources import ALL, BY_NAME
from backend.apps.interop.tests.fhir import makers_of_people as makers
from backend.apps.interop.tests.fhir.makers import MAKERS
from backend.apps.laboratory.feed_views import LabFeedSerializer
from backend.apps.patients.merging import merge
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.serializers import MedicationSerializer, PrescriptionSerializer
from backend.apps.prescriptions.tests.factories import make_medication
from backend.apps.users.tests.factories import make_user
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


def test_a_patient_sees_the_public_number_of_a_doctor_and_not_the_licence() -> None:
    doctor = makers.full_doctor()
    seen = str(told("practitioner", doctor, Role.PATIENT))
    assert doctor.npi_number in seen  # US Core wants an identifier, and the register of these is open to all
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


def test_a_doctor_nobody_can_reach_does_not_claim_to_be_what_us_core_wants() -> None:
    whole, bare = told("practitioner-role", makers.full_doctor()), told("practitioner-role", makers.bare_doctor())
    assert whole["meta"]["profile"] == ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-practitionerrole"]
    assert "profile" not in bare["meta"]
    assert "display" not in whole["specialty"][0]["coding"][0]  # the name is ours, not the list's


def test_what_a_row_should_not_hold_does_no_harm() -> None:
    doctor, patient = makers.full_doctor(), make_patient(races=["2106-3", "9999-9", 5])
    Doctor.objects.filter(pk=doctor.pk).update(languages="en")
    assert "communication" not in told("practitioner", doctor)
    assert told("patient", patient)["extension"][0]["extension"][-1]["valueString"] == "White, 9999-9"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("practitioner", makers.full_doctor),
        ("practitioner-role", makers.full_doctor),
        ("organization-payer", makers.full_payer),
        ("organization-laboratory", makers.full_laboratory),
        ("location-facility", service_facility),
        ("medication", make_medication),
    ],
)
def test_what_others_refer_to_stays_when_it_is_removed_and_is_not_active(name: str, make: Any) -> None:
    row, source = make(), BY_NAME[name]
    before = told(name, row)
    row.delete()
    after = told(name, row)
    assert [one.get("active", one.get("status")) for one in (before, after)] in ([True, False], ["active", "inactive"])
    assert after["meta"]["versionId"] > before["meta"]["versionId"]
    word, no = ("active", "false") if "active" in after else ("status", "inactive")
    for params, is_found in ([], False), ([(word, no)], True), ([("_id", str(row.pk))], True):
        found = find(source, params, make_user(role="admin"))
        assert found is not None
        assert bool(rows_among(source, found.rows, also=found.also, values=found.values)) is is_found, params


def test_everybody_may_read_what_laboratory_a_result_is_from() -> None:
    laboratory = makers.full_laboratory()
    for role in Role:
        user = make_user(role=role)
        assert BY_NAME["organization-laboratory"].may(user, "retrieve")
        assert BY_NAME["organization-laboratory"].visible(user).get() == laboratory


def test_only_the_practice_itself_is_an_office_for_sure() -> None:
    kinds = [
        [one["coding"][0]["code"] for one in told(name, row)["type"]]
        for name, row in (("location-clinic", makers.clinic()), ("location-facility", service_facility()))
    ]
    assert kinds[0] == ["OF", "11"]
    assert "OF" not in kinds[1]


def test_a_record_names_those_that_were_merged_into_it() -> None:
    other, stays = makers.bare_patient(), makers.full_patient()
    merge(other, by=None, into=stays)
    assert told("patient", stays)["link"] == [{"other": {"reference": f"Patient/{other.pk}"}, "type": "replaces"}]


@pytest.mark.parametrize(
    "name", ["coverage", "claim", "appointment", "observation-lab", "document-note", "composition"]
)
def test_nothing_is_told_of_a_patient_who_was_removed_but_that_it_is_gone(name: str) -> None:
    source = BY_NAME[name]
    row = MAKERS[name][0]()
    (one,) = rows_among(source, source.model._base_manager.filter(pk=row.pk))
    patient = Patient.objects.get(pk=patient_of(row))
    began = patient.updated_at
    patient.delete()
    assert rows_among(source, source.model._base_manager.filter(pk=row.pk)) == []
    assert count_among(source, source.model._base_manager.filter(pk=row.pk)) == 0
    with connection.cursor() as cursor:
        cursor.execute(source.goings[-1], [began])
        assert [told[0] for told in cursor.fetchall()] == [one[source.resource.columns.index("id")]]


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


@pytest.mark.parametrize("profile", [makers.clinic, Clinic.current], ids=["filled in", "not yet filled in"])
def test_a_coverage_is_another_version_once_its_payer_or_plan_is_renamed_or_it_has_ended(
    profile: Callable[[], Clinic],
) -> None:
    profile()
    row = make_patient_insurance(termination_date=Clinic.today() - timedelta(days=1))
    ended = told("coverage", row)["meta"]["lastUpdated"]
    PatientInsurance.objects.update(updated_at=timezone.now() - timedelta(days=9))
    InsurancePlan.objects.update(updated_at=timezone.now() - timedelta(days=9))
    InsuranceProvider.objects.update(updated_at=timezone.now() - timedelta(days=9))
    first = told("coverage", row)["meta"]["lastUpdated"]
    midnight = datetime.combine(Clinic.today(), time(), Clinic.current().zone)
    assert datetime.fromisoformat(first) == midnight < datetime.fromisoformat(ended)
    for renamed in (row.insurance_plan, row.insurance_plan.provider):
        before = told("coverage", row)["meta"]["versionId"]
        renamed.save()
        assert told("coverage", row)["meta"]["versionId"] > before


def test_a_group_is_another_version_without_a_member_who_was_removed() -> None:
    row = makers.group()
    before = told("group", row)["meta"]["versionId"]
    row.patients.first().delete()  # type: ignore[union-attr]  # it has members
    assert told("group", row)["meta"]["versionId"] > before


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
