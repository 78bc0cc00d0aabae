"""Holds that two records of one person become one: everything moves, nothing is lost, and nobody is mixed up."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.interop.tests.fhir.export_rows import make_disclosure
from backend.apps.interop.tests.fhir.makers_of_people import make_group
from backend.apps.laboratory.models import DroppedFinding, FillerNumber, ReportedPanel
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_order
from backend.apps.messaging.models import PatientLink
from backend.apps.patients import merging, services
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.security.matrix import MAKERS, make, make_practice
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def merged(**over: Any) -> tuple[Patient, Patient]:
    """Return the record that went and the record that stays, merged, as stored."""
    gone, stays = make_patient(**over), make_patient()
    services.merge(gone, by=None, into=stays)
    return Patient.all_objects.get(pk=gone.pk), Patient.objects.get(pk=stays.pk)


def test_everything_of_a_patient_is_moved_signed_notes_and_claimed_coverages_too() -> None:
    gone, stays = make_patient(), make_patient()
    note = make_note(patient=gone, signed=True)
    claim = make_claim(patient_insurance=make_patient_insurance(patient=gone))
    order = make_lab_order(patient=gone)
    FillerNumber.objects.create(lab_order=order, patient=gone, sender="LAB", number="F1")
    services.merge(gone, by=None, into=stays)
    for field in merging.links():
        assert not field.model._base_manager.filter(**{field.name: gone}).exists(), field
    for row in (note, claim.patient_insurance, order):
        row.refresh_from_db()
        assert row.patient_id == stays.pk
    claim.refresh_from_db()
    claim.save()  # its appointment and its coverage are of one patient, or this is refused
    record = AuditLog.objects.get(action="merge")
    assert (record.patient_id, record.user_id) == (stays.pk, None)
    assert record.detail["moved"]["clinicalnote"] == 1


def test_a_row_of_every_table_with_patients_is_moved() -> None:
    practice = make_practice()
    # A claim and an offer bring theirs along; the others here would each make one more first coverage.
    others = {
        "patient-insurances", "eligibility-inquiries", "status-inquiries", "postings", "prior-adjudications",
        "submissions",
    }  # fmt: skip
    for resource in set(MAKERS) - {"waitlist-entries"} - others:
        make(resource, practice)
    make_reported_panel(practice.patient)
    make_inbound_message(assigned_patient=practice.patient)
    FillerNumber.objects.create(
        lab_order=make_lab_order(patient=practice.patient), patient=practice.patient, sender="LAB", number="F1"
    )
    PatientLink.objects.create(
        token_sha256="0" * 64, purpose="answer", patient=practice.patient, message_id=uuid.uuid4(), expires_at=now()
    )
    make_group(practice.patient)
    make_disclosure(practice.patient)
    DroppedFinding.objects.create(result_key="0" * 64, patient=practice.patient, dropped_at=now())
    fields = list(merging.links())
    assert [field for field in fields if not points(field, practice.patient)] == [], "Make a row of this table here."
    services.merge(practice.patient, by=None, into=make_patient())
    assert [field for field in fields if points(field, practice.patient)] == []


def points(field: Any, patient: Patient) -> bool:
    return bool(field.model._base_manager.filter(**{field.name: patient}).exists())


def make_reported_panel(patient: Patient) -> ReportedPanel:
    order = make_lab_order(patient=patient)
    fields = {"sender": "LAB", "number": "F1", "ordered_at": order.order_date}
    return ReportedPanel.objects.create(lab_order=order, patient=patient, **fields)


def test_every_app_whose_rows_belong_to_a_patient_is_moved() -> None:
    apps = {field.model._meta.app_label for field in merging.links()}
    assert apps >= {"appointments", "clinical_notes", "insurance", "laboratory", "prescriptions"}


def test_a_signed_note_moves_only_to_where_its_patient_was_merged() -> None:
    note = make_note(patient=make_patient(), signed=True)
    with pytest.raises(Exception, match="a signed note stays as it is"):
        type(note)._base_manager.filter(pk=note.pk).update(patient=make_patient())


def test_the_record_that_went_is_kept_and_says_where_everything_is() -> None:
    gone, stays = merged()
    assert (gone.merged_into, gone.is_deleted) == (stays, True)
    assert list(services.search(Patient.objects.all(), gone.medical_record_number)) == [stays]


def test_merging_again_changes_nothing() -> None:
    gone, stays = merged()
    assert services.merge(gone, by=None, into=stays) == stays
    assert AuditLog.objects.filter(action="merge").count() == 1


@pytest.mark.parametrize("first", [0, 1])
def test_merges_that_follow_each_other_end_the_same_in_any_order(first: int) -> None:
    a, b, c = make_patient(), make_patient(), make_patient()
    order = make_lab_order(patient=a)
    steps = [(a, b), (b, c)]
    for gone, stays in (steps[first], steps[1 - first]):
        services.merge(gone, by=None, into=stays)
    order.refresh_from_db()
    assert order.patient == c
    assert set(Patient.all_objects.filter(merged_into=c)) == {a, b}


def test_a_consent_holds_only_where_both_records_had_it() -> None:
    gone, stays = make_patient(sms_consent=True), make_patient(sms_consent=True, email_consent=True)
    services.merge(gone, by=None, into=stays)
    stays.refresh_from_db()
    assert (stays.sms_consent, stays.email_consent) == (True, False)


def test_the_login_moves_along() -> None:
    user = make_user(role="patient")
    gone, stays = merged(user=user)
    assert (gone.user, stays.user) == (None, user)


def test_records_with_two_logins_are_not_merged() -> None:
    gone, stays = (make_patient(user=make_user(role="patient")) for _ in range(2))
    with pytest.raises(DomainError, match="login of its own"):
        services.merge(gone, by=None, into=stays)


def test_a_record_is_not_merged_with_itself_or_with_a_removed_one() -> None:
    one, removed = make_patient(), make_patient()
    removed.delete()
    with pytest.raises(DomainError, match="with itself"):
        services.merge(one, by=None, into=one)
    with pytest.raises(DomainError, match="has been removed"):
        services.merge(one, by=None, into=removed)


def test_a_second_primary_coverage_becomes_secondary_and_is_asked_about_again() -> None:
    gone, stays = make_patient(), make_patient()
    theirs, ours = make_patient_insurance(patient=gone), make_patient_insurance(patient=stays)
    services.merge(gone, by=None, into=stays)
    theirs.refresh_from_db()
    ours.refresh_from_db()
    assert (ours.priority, theirs.priority, theirs.verification_status) == (1, 2, "unverified")


def test_where_no_priority_is_free_nothing_is_merged() -> None:
    gone, stays = make_patient(), make_patient()
    make_patient_insurance(patient=gone)
    for priority in (1, 2, 3):
        make_patient_insurance(patient=stays, priority=priority)
    order = make_lab_order(patient=gone)
    with pytest.raises(DomainError, match="The coverages of both records contradict each other"):
        services.merge(gone, by=None, into=stays)
    order.refresh_from_db()
    assert order.patient == gone


def test_a_number_both_records_are_known_by_stays_once() -> None:
    gone, stays = make_patient(), make_patient()
    for patient in (gone, stays):
        order = make_lab_order(patient=patient)
        FillerNumber.objects.create(lab_order=order, patient=patient, sender="LAB", number="F1")
    services.merge(gone, by=None, into=stays)
    assert FillerNumber.objects.get(number="F1").lab_order.patient == stays


def test_only_an_administrator_merges_through_the_api() -> None:
    gone, stays = make_patient(), make_patient()
    url, body = f"/api/v1/patients/{gone.pk}/merge/", {"into": str(stays.pk)}
    assert client_for(make_user(role="receptionist")).post(url, body).status_code == 403
    answer = client_for(make_user(role="admin")).post(url, body)
    assert (answer.status_code, answer.data["id"]) == (200, str(stays.pk))
    gone.refresh_from_db()
    assert gone.merged_into == stays


def test_coverages_that_do_not_overlap_keep_their_priority() -> None:
    gone, stays = make_patient(), make_patient()
    old = {"effective_date": date(2020, 1, 1), "termination_date": date(2020, 12, 31)}
    theirs = make_patient_insurance(patient=gone, **old)
    make_patient_insurance(patient=stays, effective_date=date(2020, 12, 31) + timedelta(days=1))
    services.merge(gone, by=None, into=stays)
    theirs.refresh_from_db()
    assert theirs.priority == 1
