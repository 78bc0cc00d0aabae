"""Proves that doctors open records in the console, that reviewers see what was seen, and that others find no page."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from backend.apps.core.models import Alert, AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.interop import alert_words
from backend.apps.patients.emergency_views import MOST_FINDS
from backend.apps.patients.models import EmergencyAccess
from backend.apps.patients.tests.factories import make_emergency_access, make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from tests.support.pages import signed_in

PAGE = "/console/break-glass/"
REASON = "Unconscious in the waiting room"
pytestmark = pytest.mark.django_db


def test_a_doctor_opens_a_record_looks_at_it_and_a_reviewer_sees_what_was_seen() -> None:
    doctor, patient = make_doctor(), make_patient(medical_record_number="STRANGER-1", last_name="Zqlast")
    pages = signed_in(doctor.user)
    record = reverse("admin:patients_patient_change", args=[patient.pk])
    assert pages.get(record).status_code == 302, "nobody of this id, says the admin"
    form = {"medical_record_number": "STRANGER-1", "date_of_birth": "1980-05-17", "reason": REASON}
    answer = pages.post(f"{PAGE}open/", form, follow=True)
    assert b"The record is open for 60 minutes." in answer.content
    assert b"What was seen" not in answer.content, "that is for the reviewer"
    opened = EmergencyAccess.objects.get()
    assert b"Zqlast" in pages.get(record).content
    make_prescription(patient=patient, doctor=doctor)
    reviewer, page = signed_in("admin"), reverse("console:emergency-access", args=[opened.pk])
    assert alert_words.address_of(Alert.objects.get()) == page
    shown = reviewer.get(page).content.decode()
    assert "admin.retrieve" in shown
    assert "They wrote prescriptions: 1. It links the patient to them for good, unless" in shown
    assert REASON in reviewer.get(PAGE).content.decode()
    assert b"open still" in reviewer.post(f"{page}review/", {"verdict": "justified"}, follow=True).content
    assert b"The record is shut." in reviewer.post(f"{page}end/", follow=True).content
    assert b"The review is noted." in reviewer.post(f"{page}review/", {"verdict": "justified"}, follow=True).content
    assert b"Nothing waits for a review." in reviewer.get(PAGE).content
    assert {"console.break_glass", "console.end", "console.review"} <= set(
        AuditLog.objects.filter(outcome="allowed").values_list("action", flat=True)
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"medical_record_number": "STRANGER-2"}, b"Nobody is on file"),
        ({"date_of_birth": "1980-05-18"}, b"Nobody is on file"),
        ({"date_of_birth": "x"}, b"Fill in the whole form"),
        ({"reason": "short"}, b"Fill in the whole form"),
    ],
)
def test_a_form_that_names_nobody_or_gives_no_reason_opens_nothing_and_is_written_down(
    wrong: dict[str, str], says: bytes
) -> None:
    make_patient(medical_record_number="STRANGER-1")
    form = {"medical_record_number": "STRANGER-1", "date_of_birth": "1980-05-17", "reason": REASON, **wrong}
    assert says in signed_in("doctor").post(f"{PAGE}open/", form, follow=True).content
    assert not EmergencyAccess.objects.exists()
    assert AuditLog.objects.filter(action="console.break_glass", outcome="refused").count() == 1


def test_who_tries_numbers_and_birthdays_in_the_form_is_slowed_down_and_the_right_one_comes_too_late() -> None:
    make_patient(medical_record_number="STRANGER-1")
    pages, form = signed_in("doctor"), {"medical_record_number": "STRANGER-1", "reason": REASON}
    for day in range(1, MOST_FINDS + 1):
        answer = pages.post(f"{PAGE}open/", {**form, "date_of_birth": f"1981-05-{day:02}"}, follow=True)
        assert b"Nobody is on file" in answer.content, day
    answer = pages.post(f"{PAGE}open/", {**form, "date_of_birth": "1980-05-17"}, follow=True)
    assert b"Too many tries" in answer.content
    assert not EmergencyAccess.objects.exists()


def test_others_find_no_page_and_a_doctor_none_of_another() -> None:
    opened = make_emergency_access()
    page = reverse("console:emergency-access", args=[opened.pk])
    for role in ("nurse", "receptionist", "lab_tech", "pharmacist"):
        assert [signed_in(role).get(each).status_code for each in (PAGE, page)] == [403, 403]
        assert signed_in(role).post(f"{PAGE}open/").status_code == 403
    other = signed_in("doctor")
    assert other.get(page).status_code == 404
    assert [other.post(f"{page}end/").status_code, other.post(f"{page}review/").status_code] == [404, 403]
    opened.refresh_from_db()
    assert (opened.verdict, opened.ends_at > timezone.now()) == ("", True)
