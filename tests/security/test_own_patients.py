"""Proves that a doctor reaches own patients and nobody else's, whichever door is tried."""

from __future__ import annotations

import pytest

from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.api_contract import client_for

PATIENTS, APPOINTMENTS = "/api/v1/patients/", "/api/v1/appointments/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_practices() -> tuple:
    """Return doctor A, A's patient and B's patient."""
    doctor, other = make_doctor(), make_doctor()
    mine, theirs = make_patient(), make_patient(first_name="Eve")
    make_appointment(doctor=doctor, patient=mine)
    make_appointment(doctor=other, patient=theirs)
    return doctor, mine, theirs


def test_a_doctor_lists_finds_and_opens_own_patients_only(two_practices: tuple) -> None:
    doctor, mine, theirs = two_practices
    api = client_for(doctor.user)
    assert api.get(f"{PATIENTS}{mine.pk}/").status_code == 200
    assert api.get(f"{PATIENTS}{theirs.pk}/").status_code == 404
    assert AuditLog.objects.filter(user_id=doctor.user_id, resource_id=str(theirs.pk), outcome="refused").exists()
    for found in (
        api.get(PATIENTS).data["results"],
        api.post(f"{PATIENTS}search/", {"text": "okafor"}, format="json").data,
    ):
        assert [row["id"] for row in found] == [str(mine.pk)]


def test_an_id_inside_another_row_opens_no_door(two_practices: tuple) -> None:
    doctor, mine, theirs = two_practices
    api = client_for(doctor.user)
    form = {
        "doctor": str(doctor.pk),
        "appointment_datetime": free_time().isoformat(),
        "availability_override_reason": "Emergency",
    }
    assert api.post(APPOINTMENTS, {**form, "patient": str(theirs.pk)}, format="json").status_code in {400, 403}
    assert theirs.appointments.filter(doctor=doctor).count() == 0
    assert api.get(APPOINTMENTS, {"patient": str(theirs.pk)}).data.get("results", []) == []
    assert {row["patient"] for row in api.get(APPOINTMENTS).data["results"]} == {mine.pk}


def test_a_link_that_is_deleted_makes_nobody_an_own_patient(two_practices: tuple) -> None:
    doctor, mine, _ = two_practices
    mine.appointments.all().delete()
    assert not Patient.objects.visible_to(doctor.user).exists()
