"""Holds the pharmacy's resources to the common contract, to the roles and to whose prescription it is."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.models import Prescription
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
MEDICATIONS, PRESCRIPTIONS, REFILLS = "/api/v1/medications/", "/api/v1/prescriptions/", "/api/v1/prescription-refills/"


class TestMedications(ApiContract):
    url = MEDICATIONS
    reader = "pharmacist"
    stranger = "receptionist"
    make = staticmethod(make_medication)


class TestPrescriptions(ApiContract):
    url = PRESCRIPTIONS
    reader = "pharmacist"
    stranger = "receptionist"
    make = staticmethod(make_prescription)


class TestRefills(ApiContract):
    url = REFILLS
    reader = "nurse"
    stranger = "lab_tech"
    make = staticmethod(make_refill)


def listed(user: Any, url: str) -> set[str]:
    answer = client_for(user).get(url)
    assert answer.status_code == 200, answer.data
    return {row["id"] for row in answer.data["results"]}


def a_patient_with_a_login() -> Any:
    return make_patient(user=make_user(role="patient"))


def test_doctors_and_patients_see_their_own_prescriptions_and_refills() -> None:
    doctor, patient = make_doctor(), a_patient_with_a_login()
    refill = make_refill(prescription=make_prescription(doctor=doctor, patient=patient))
    make_refill()
    for user in (doctor.user, patient.user):
        assert listed(user, PRESCRIPTIONS) == {str(refill.prescription_id)}
        assert listed(user, REFILLS) == {str(refill.pk)}


@pytest.mark.parametrize("role", ["receptionist", "lab_tech"])
@pytest.mark.parametrize("url", [MEDICATIONS, PRESCRIPTIONS, REFILLS])
def test_front_desk_and_laboratory_have_no_pharmacy(role: str, url: str) -> None:
    assert client_for(make_user(role=role)).get(url).status_code == 403


@pytest.mark.parametrize("role", ["nurse", "pharmacist", "patient", "receptionist", "lab_tech"])
def test_only_a_doctor_prescribes(role: str) -> None:
    assert client_for(make_user(role=role)).post(PRESCRIPTIONS, {}, format="json").status_code == 403


@pytest.mark.parametrize(
    ("role", "url", "verb"),
    [
        ("doctor", PRESCRIPTIONS, "fill"),
        ("nurse", PRESCRIPTIONS, "fill"),
        ("patient", PRESCRIPTIONS, "fill"),
        ("pharmacist", PRESCRIPTIONS, "cancel"),
        ("nurse", REFILLS, "approve"),
        ("pharmacist", REFILLS, "approve"),
        ("patient", REFILLS, "approve"),
        ("doctor", REFILLS, "mark_as_filled"),
        ("patient", REFILLS, "mark_as_filled"),
    ],
)
def test_a_verb_is_refused_to_a_role_that_lacks_it(role: str, url: str, verb: str) -> None:
    row = make_prescription() if url == PRESCRIPTIONS else make_refill()
    assert client_for(make_user(role=role)).post(f"{url}{row.pk}/{verb}/").status_code == 403


def test_a_prescription_goes_its_whole_way_over_the_api() -> None:
    doctor, patient = make_doctor(), a_patient_with_a_login()
    make_prescription(doctor=doctor, patient=patient)  # makes the patient this doctor's own
    drug = make_medication(controlled_substance_schedule="IV")
    prescriber, pharmacist = client_for(doctor.user), client_for(make_user(role="pharmacist"))
    body = {
        "patient": str(patient.pk),
        "medication": str(drug.pk),
        "dosage": "1 tablet",
        "frequency": "at night",
        "quantity": "30",
        "refills_allowed": 1,
    }
    made = prescriber.post(PRESCRIPTIONS, body, format="json")
    assert made.status_code == 201, made.data
    assert (made.data["schedule"], made.data["dea_number_used"]) == ("IV", doctor.dea_number)
    url = f"{PRESCRIPTIONS}{made.data['id']}/"
    filled = pharmacist.post(f"{url}fill/")
    assert (filled.status_code, filled.data["refills_remaining"], filled.data["can_refill"]) == (200, 1, True)
    asked = client_for(patient.user).post(REFILLS, {"prescription": made.data["id"]}, format="json")
    assert asked.status_code == 201, asked.data
    assert asked.data["requested_by_patient"] is True
    refill = f"{REFILLS}{asked.data['id']}/"
    assert prescriber.post(f"{refill}approve/").data["approved_by"] == doctor.user.pk
    assert pharmacist.post(f"{refill}mark_as_filled/", {"quantity": "30"}).data["status"] == "filled"
    assert Prescription.objects.get(pk=made.data["id"]).status == "completed"
    assert pharmacist.post(f"{url}fill/").status_code == 422
    assert AuditLog.objects.filter(action="fill", patient_id=patient.pk, outcome="allowed").count() == 1


def test_a_fill_repeated_under_one_key_dispenses_once() -> None:
    row = make_prescription()
    client = client_for(make_user(role="pharmacist"))
    answers = [client.post(f"{PRESCRIPTIONS}{row.pk}/fill/", HTTP_IDEMPOTENCY_KEY="abcdefgh-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Prescription.objects.get(pk=row.pk).fills == 1


def test_a_patient_asks_for_own_prescriptions_only() -> None:
    patient = a_patient_with_a_login()
    client = client_for(patient.user)
    answer = client.post(REFILLS, {"prescription": str(make_prescription().pk)}, format="json")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.data["errors"]] == ["prescription"]


@pytest.mark.parametrize(
    ("schedule", "refills", "field"),
    [("I", 0, "medication"), ("II", 1, "refills_allowed"), ("V", 6, "refills_allowed")],
)
def test_what_the_law_forbids_is_a_400_that_names_the_field(schedule: str, refills: int, field: str) -> None:
    doctor = make_doctor()
    patient = make_prescription(doctor=doctor).patient
    body = {
        "patient": str(patient.pk),
        "medication": str(make_medication(controlled_substance_schedule=schedule).pk),
        "dosage": "1",
        "frequency": "daily",
        "quantity": "1",
        "refills_allowed": refills,
    }
    answer = client_for(doctor.user).post(PRESCRIPTIONS, body, format="json")
    assert answer.status_code == 400, answer.data
    assert field in {error["field"] for error in answer.data["errors"]}


def test_a_medication_is_written_and_found_under_any_shape_of_its_code() -> None:
    client = client_for(make_user(role="pharmacist"))
    body = {"ndc_code": "0002-3227-30", "generic_name": "Atomoxetine", "strength": "25 mg", "dosage_form": "capsule"}
    made = client.post(MEDICATIONS, body, format="json")
    assert made.status_code == 201, made.data
    assert made.data["ndc_code"] == "00002-3227-30"
    for code in ("00002322730", "0002-3227-30"):
        assert [row["id"] for row in client.get(MEDICATIONS, {"ndc_code": code}).data["results"]] == [made.data["id"]]
    assert client.get(MEDICATIONS, {"ndc_code": "nonsense"}).data["results"] == []
    assert client.post(MEDICATIONS, {**body, "ndc_code": "00002322730"}, format="json").status_code == 400
    assert client.post(MEDICATIONS, {**body, "ndc_code": "0002322730"}, format="json").status_code == 400


@pytest.mark.parametrize(
    ("url", "query"),
    [
        (MEDICATIONS, {"search": "atom"}),
        (MEDICATIONS, {"controlled_substance_schedule": "II"}),
        (MEDICATIONS, {"is_formulary": "false"}),
        (PRESCRIPTIONS, {"status": "on_hold"}),
        (PRESCRIPTIONS, {"expiration_date__lt": "2000-01-01", "status": "active"}),
        (REFILLS, {"status": "denied"}),
    ],
)
def test_filters_cut_the_list(url: str, query: dict[str, str]) -> None:
    make_medication(generic_name="Atomoxetine", controlled_substance_schedule="II", is_formulary=False)
    make_prescription(status="on_hold")
    make_refill().deny("No.")
    make_refill()
    client = client_for(make_user(role="admin"))
    everything, some = (len(client.get(url, asked).data["results"]) for asked in ({}, query))
    assert some < everything
    assert some == (0 if "expiration_date__lt" in query else 1)
