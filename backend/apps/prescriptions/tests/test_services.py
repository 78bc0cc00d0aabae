"""Holds who prescribes what, that expiry is swept once, and that the last refill is given once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from backend.apps.core.exceptions import DomainError
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions import services
from backend.apps.prescriptions.models import Prescription, PrescriptionRefill
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.tests.factories import make_user

ORDINARY = {"dosage": "1", "frequency": "daily", "quantity": 30}


@pytest.mark.django_db
def test_a_doctor_prescribes_in_the_own_name_only() -> None:
    doctor, other, patient, drug = make_doctor(), make_doctor(), make_patient(), make_medication()
    row = services.prescribe(by=doctor.user, patient=patient, medication=drug, refills_allowed=2, **ORDINARY)
    assert (row.doctor, row.status, row.refills_remaining) == (doctor, "active", 2)
    with pytest.raises(DomainError, match="own name"):
        services.prescribe(by=doctor.user, patient=patient, medication=drug, doctor=other, **ORDINARY)


@pytest.mark.django_db
def test_a_login_that_is_no_doctor_names_the_doctor() -> None:
    with pytest.raises(DomainError, match="needs the doctor"):
        services.prescribe(by=make_user(role="admin"), patient=make_patient(), medication=make_medication(), **ORDINARY)


@pytest.mark.django_db
def test_a_drug_that_is_off_the_list_is_not_prescribed() -> None:
    drug = make_medication(is_active=False)
    with pytest.raises(DomainError, match="no longer on the list"):
        services.prescribe(by=make_doctor().user, patient=make_patient(), medication=drug, **ORDINARY)


@pytest.mark.django_db
def test_a_prescription_changes_before_its_first_fill_only() -> None:
    row = make_prescription(refills_allowed=1)
    services.revise(row, by=None, refills_allowed=4, dosage="2 tablets")
    assert (row.refills_remaining, Prescription.objects.get(pk=row.pk).dosage) == (4, "2 tablets")
    row.fill()
    with pytest.raises(DomainError, match="in use"):
        services.revise(row, by=None, dosage="3 tablets")


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["patient", "doctor", "medication"])
def test_whose_it_is_and_of_what_never_changes(field: str) -> None:
    other = {"patient": make_patient, "doctor": make_doctor, "medication": make_medication}[field]()
    with pytest.raises(DomainError, match=f"The {field} of a prescription stays"):
        services.revise(make_prescription(), by=None, **{field: other})


@pytest.mark.django_db
def test_a_controlled_prescription_stays_as_written() -> None:
    with pytest.raises(DomainError, match="stays as written"):
        services.revise(make_prescription(schedule="IV"), by=None, dosage="2")


@pytest.mark.django_db
def test_cancelling_takes_the_open_requests_with_it() -> None:
    refill = make_refill()
    services.cancel(refill.prescription, by=None, reason="Allergy.")
    assert PrescriptionRefill.objects.get(pk=refill.pk).status == "cancelled"
    assert Prescription.objects.get(pk=refill.prescription_id).cancellation_reason == "Allergy."


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "by_patient"), [("patient", True), ("pharmacist", False)])
def test_a_request_notes_whether_the_patient_asked(role: str, by_patient: bool) -> None:
    row = services.request_refill(by=make_user(role=role), prescription=make_prescription())
    assert (row.requested_by_patient, row.pharmacy_name) == (by_patient, "Corner pharmacy")


@pytest.mark.django_db
@pytest.mark.parametrize("over", [{"refills_allowed": 0}, {"status": "on_hold"}, {"status": "expired"}])
def test_nobody_asks_for_a_refill_there_is_not(over: dict[str, Any]) -> None:
    with pytest.raises(DomainError, match="No refill is left"):
        services.request_refill(by=None, prescription=make_prescription(**over))


@pytest.mark.django_db(transaction=True)
def test_of_two_pharmacists_who_take_the_last_refill_one_gets_it() -> None:
    prescription = make_prescription(refills_allowed=1)
    prescription.fill()
    copies = [Prescription.objects.get(pk=prescription.pk) for _ in range(4)]
    start, outcomes = threading.Barrier(len(copies)), list[str]()

    def take(copy: Prescription) -> None:
        start.wait()
        try:
            services.fill(copy, by=None)
            outcomes.append("filled")
        except DomainError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=[copy]) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["filled", "refused", "refused", "refused"]
    prescription.refresh_from_db()
    assert (prescription.refills_remaining, prescription.fills, prescription.status) == (0, 2, "completed")
