"""Holds the resources of clinical notes as callers see them: who reads, who writes, who signs."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_progress, make_soap, make_template
from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

NOTES = "/api/v1/clinical-notes/"
SOAP = "/api/v1/soap-notes/"
PROGRESS = "/api/v1/progress-notes/"
TEMPLATES = "/api/v1/clinical-note-templates/"


class TestNoteContract(ApiContract):
    url: ClassVar[str] = NOTES
    reader: ClassVar[str] = "nurse"
    stranger: ClassVar[str | None] = "receptionist"

    def make(self) -> ClinicalNote:
        return make_note()


class TestSoapContract(ApiContract):
    url: ClassVar[str] = SOAP
    reader: ClassVar[str] = "nurse"
    stranger: ClassVar[str | None] = "receptionist"

    def make(self) -> SOAPNote:
        return make_soap()


class TestProgressContract(ApiContract):
    url: ClassVar[str] = PROGRESS
    reader: ClassVar[str] = "nurse"
    stranger: ClassVar[str | None] = "pharmacist"

    def make(self) -> ProgressNote:
        return make_progress()


class TestTemplateContract(ApiContract):
    url: ClassVar[str] = TEMPLATES
    reader: ClassVar[str] = "nurse"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> ClinicalNoteTemplate:
        return make_template()


def ids(client: APIClient, url: str, **query: Any) -> set[str]:
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.data
    return {row["id"] for row in answer.data["results"]}


@pytest.mark.django_db
class TestRoles:
    @pytest.mark.parametrize("role", ["receptionist", "lab_tech", "pharmacist"])
    @pytest.mark.parametrize("url", [NOTES, SOAP, PROGRESS, TEMPLATES])
    def test_desk_laboratory_and_pharmacy_have_no_notes(self, role: str, url: str) -> None:
        client = client_for(make_user(role))
        assert client.get(url).status_code == 403
        assert client.post(url, {}).status_code == 403

    def test_a_doctor_writes_adds_vitals_signs_and_amends(self) -> None:
        doctor = make_doctor()
        patient = make_appointment(doctor=doctor).patient
        client = client_for(doctor.user)
        note = client.post(NOTES, {"patient": str(patient.pk), "note_type": "soap", "chief_complaint": "cough"})
        assert note.status_code == 201, note.data
        assert note.data["doctor"] == doctor.pk
        soap = client.post(
            SOAP,
            {"clinical_note": note.data["id"], "units": "imperial", "temperature": "98.6", "weight": 150, "height": 70,
             "blood_pressure_systolic": 120, "blood_pressure_diastolic": 80},
        )  # fmt: skip
        assert soap.status_code == 201, soap.data
        assert (soap.data["temperature"], soap.data["weight"], soap.data["height"]) == ("37.0", "68.04", "177.8")
        assert (soap.data["bmi"], soap.data["blood_pressure"]) == ("21.5", "120/80")
        url = f"{NOTES}{note.data['id']}/"
        assert client.post(f"{url}sign/").data["is_signed"] is True
        assert client.patch(url, {"content": "other"}).status_code == 422
        assert client.delete(url).status_code == 422
        assert client.patch(f"{SOAP}{soap.data['id']}/", {"plan": "other"}).status_code == 422
        amendment = client.post(f"{url}amend/")
        assert (amendment.status_code, str(amendment.data["amends"])) == (200, note.data["id"])
        assert AuditLog.objects.filter(action="sign", resource_id=note.data["id"], patient_id=patient.pk).exists()

    def test_a_nurse_writes_but_does_not_sign(self) -> None:
        client, doctor = client_for(make_user("nurse")), make_doctor()
        answer = client.post(NOTES, {"patient": str(make_patient().pk), "doctor": str(doctor.pk), "content": "x"})
        assert answer.status_code == 201, answer.data
        url = f"{NOTES}{answer.data['id']}/"
        assert client.patch(url, {"diagnosis": "y"}).data["diagnosis"] == "y"
        assert client.post(f"{url}sign/").status_code == 403
        assert client_for(make_user("admin")).post(f"{url}sign/").status_code == 422
        assert not ClinicalNote.objects.get(pk=answer.data["id"]).is_signed

    def test_a_doctor_sees_notes_of_own_patients_but_changes_own_notes_only(self) -> None:
        doctor, patient = make_doctor(), make_patient()
        make_appointment(doctor=doctor, patient=patient)
        theirs, hidden = make_note(patient=patient), make_note()
        client = client_for(doctor.user)
        assert ids(client, NOTES) == {str(theirs.pk)}
        assert client.patch(f"{NOTES}{theirs.pk}/", {"content": "x"}).status_code == 422
        assert client.delete(f"{NOTES}{theirs.pk}/").status_code == 422
        assert client.post(f"{NOTES}{theirs.pk}/sign/").status_code == 422
        assert client.get(f"{NOTES}{hidden.pk}/").status_code == 404
        assert ClinicalNote.objects.get(pk=theirs.pk).content == theirs.content

    def test_patients_read_their_own_signed_notes_and_parts(self) -> None:
        patient = make_patient(user=make_user("patient"))
        draft, signed = make_note(patient=patient), make_note(patient=patient)
        make_soap(clinical_note=draft)
        part = make_soap(clinical_note=signed)
        signed.sign(signed.doctor.user)
        make_note(signed=True)
        client = client_for(patient.user)
        assert ids(client, NOTES) == {str(signed.pk)}
        assert ids(client, SOAP) == {str(part.pk)}
        assert client.get(f"{NOTES}{draft.pk}/").status_code == 404
        assert client.patch(f"{NOTES}{signed.pk}/", {"content": "x"}).status_code == 403
        assert client.get(TEMPLATES).status_code == 403

    def test_templates_are_written_by_their_owner(self) -> None:
        doctor, shared = make_doctor(), make_template()
        foreign = make_template(doctor=make_doctor())
        client = client_for(doctor.user)
        answer = client.post(TEMPLATES, {"name": "Cold", "template_content": "S:"})
        assert (answer.status_code, answer.data["doctor"]) == (201, doctor.pk)
        assert ids(client, TEMPLATES) == {answer.data["id"], str(shared.pk)}
        assert client.delete(f"{TEMPLATES}{shared.pk}/").status_code == 422
        assert client.delete(f"{TEMPLATES}{foreign.pk}/").status_code == 404
        assert client.delete(f"{TEMPLATES}{answer.data['id']}/").status_code == 204
        assert client_for(make_user("nurse")).post(TEMPLATES, {"name": "x"}).status_code == 403


@pytest.mark.django_db
class TestInput:
    @pytest.mark.parametrize(
        ("vitals", "sentence"),
        [
            ({"temperature": "98.6"}, "The temperature is in °C, 20 to 45; 98.6 °F is 37.0 °C."),
            ({"height": "5.9"}, "The height is in cm, 20 to 275; 5 ft 10 in is 177.8 cm."),
            ({"weight": "154", "height": "70"}, "Weight and height do not fit each other"),
            ({"blood_pressure_systolic": 80, "blood_pressure_diastolic": 120}, "the systolic one above"),
            ({"blood_pressure_systolic": 120}, "Blood pressure is two numbers"),
            ({"units": "stone"}, "not a valid choice"),
            ({"weight": "NaN"}, "number"),
            ({"units": "imperial", "weight": "1e999"}, ""),
            ({"bmi": "20"}, ""),
        ],
    )
    def test_a_vital_sign_in_the_wrong_unit_is_refused_with_a_sentence(
        self, vitals: dict[str, Any], sentence: str
    ) -> None:
        client, note = client_for(make_user("nurse")), make_note()
        answer = client.post(SOAP, {"clinical_note": str(note.pk), **vitals})
        if vitals == {"bmi": "20"}:  # a read-only field is not taken
            assert (answer.status_code, answer.data["bmi"]) == (201, None)
            return
        assert answer.status_code == 400, answer.data
        assert sentence in str(answer.data["errors"])
        assert not SOAPNote.objects.exists()

    def test_signing_cannot_be_typed_in(self) -> None:
        client, note = client_for(make_user("nurse")), make_note()
        client.patch(f"{NOTES}{note.pk}/", {"is_signed": True, "signed_at": "2026-01-01T00:00:00Z"})
        assert not ClinicalNote.objects.get(pk=note.pk).is_signed

    def test_bad_attachments_are_400(self) -> None:
        client, note = client_for(make_user("nurse")), make_note()
        for bad in ({}, [{"name": "x", "reference": "../etc/passwd"}], [[[]]]):
            assert client.patch(f"{NOTES}{note.pk}/", {"attachments": bad}).status_code == 400

    def test_notes_are_found_by_patient_type_and_state(self) -> None:
        client = client_for(make_user("nurse"))
        note = make_note(note_type="discharge", signed=True, follow_up_date="2031-05-01")
        make_note()
        for query in (
            {"patient": note.patient_id},
            {"doctor": note.doctor_id},
            {"note_type": "discharge"},
            {"is_signed": "true"},
            {"follow_up_date__gte": "2031-01-01"},
        ):
            assert ids(client, NOTES, **query) == {str(note.pk)}, query
