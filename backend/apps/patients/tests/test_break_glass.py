"""Proves that a doctor opens a record in an emergency for an hour, that it is told, and that somebody reviews it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.appointments.tests.waitlist_factories import make_freed_slot, make_waitlist_entry, make_waitlist_offer
from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Alert, AuditLog
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.laboratory.tests.factories import make_lab_order
from backend.apps.patients import emergencies, services
from backend.apps.patients.models import EmergencyAccess, Patient
from backend.apps.patients.tests.factories import make_emergency_access, make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from backend.apps.users.models import LoginGuard, User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.pages import signed_in
from tests.support.races import wait_until_waited_for

URL, PATIENTS = "/api/v1/emergency-accesses/", "/api/v1/patients/"
REASON = "Unconscious in the waiting room, nobody else is here"
pytestmark = pytest.mark.django_db


class TestEmergencyAccesses(ApiContract):
    url = URL
    stranger = "nurse"

    def make(self) -> EmergencyAccess:
        return make_emergency_access()


@pytest.fixture
def doctor() -> User:
    return make_doctor().user


@pytest.fixture
def patient() -> Patient:
    """Somebody else's patient, with an order."""
    return make_lab_order(patient=make_patient(medical_record_number="STRANGER-1")).patient


def opened_by(login: User, patient: Patient, reason: str = REASON) -> Any:
    return client_for(login).post(f"{PATIENTS}{patient.pk}/break-glass/", {"reason": reason}, format="json")


def ended(opened: EmergencyAccess, ago: timedelta = timedelta(minutes=2)) -> EmergencyAccess:
    """Move an access into the past, so that it ended `ago` by the database's clock."""
    moved = opened.ends_at - timezone.now() + ago
    EmergencyAccess.objects.filter(pk=opened.pk).update(
        started_at=F("started_at") - moved, ends_at=F("ends_at") - moved
    )
    opened.refresh_from_db()
    return opened


def sees(login: User, patient: Patient) -> list[int]:
    """Return the answers of what tells of the patient: record, orders, FHIR record, FHIR orders and all of it."""
    api, fhir = client_for(login), "/fhir/R4/"
    orders = [row for row in api.get("/api/v1/lab-orders/").data["results"] if row["patient"] == patient.pk]
    found = api.get(f"{fhir}ServiceRequest", {"patient": str(patient.pk)}).json()
    return [
        api.get(f"{PATIENTS}{patient.pk}/").status_code,
        len(orders),
        api.get(f"{fhir}Patient/{patient.pk}").status_code,
        len(found.get("entry", [])),
        api.get(f"{fhir}Patient/{patient.pk}/$everything").status_code,
    ]


def test_a_doctor_finds_and_opens_a_strangers_record_for_an_hour_and_what_is_seen_is_marked(
    doctor: User, patient: Patient
) -> None:
    api, shut, wide = client_for(doctor), [404, 0, 404, 0, 404], [200, 1, 200, 1, 200]
    who = {"medical_record_number": "stranger-1", "date_of_birth": "1980-05-17"}
    found = api.post(f"{PATIENTS}find/", who, format="json")
    assert found.json() == [{"id": str(patient.pk), "initials": "AO"}]
    assert AuditLog.objects.get(action="find").patient_id == patient.pk
    assert sees(doctor, patient) == shut
    answer = opened_by(doctor, patient)
    assert answer.status_code == 201, answer.data
    opened = EmergencyAccess.objects.get(pk=answer.data["id"])
    assert opened.ends_at - opened.started_at == timedelta(minutes=60)
    alert = Alert.objects.get(kind=emergencies.OPENED)
    assert (alert.subject_id, alert.severity) == (str(opened.pk), "warning")
    assert alert.notice_id, "whoever is on call gets a mail"
    before = AuditLog.objects.count()
    assert sees(doctor, patient) == wide
    under = AuditLog.objects.order_by("timestamp")[before:]
    assert [row.detail.get("break_glass") for row in under] == [[str(opened.pk)]] * len(under)
    assert set(emergencies.seen(opened).values_list("action", flat=True)) >= {"break_glass", "retrieve", "list"}
    assert opened_by(doctor, patient).status_code == 409
    assert opened_by(make_doctor().user, patient).status_code == 201, "each doctor opens it for themselves"
    assert sees(make_doctor().user, patient) == shut
    ended(opened)
    assert sees(doctor, patient) == shut
    assert "break_glass" not in AuditLog.objects.latest("timestamp").detail
    assert opened_by(doctor, patient).status_code == 201, "after the hour it takes a new reason"


def test_an_order_written_under_it_is_taken_and_links_the_patient_as_any_order_does(
    doctor: User, patient: Patient
) -> None:
    body = {
        "patient": str(patient.pk),
        "doctor": str(doctor.doctor.pk),
        "appointment_datetime": free_time().isoformat(),
    }
    body["availability_override_reason"] = "Emergency"
    api = client_for(doctor)
    assert api.post("/api/v1/appointments/", body, format="json").status_code in {400, 403}
    opened_by(doctor, patient)
    assert api.post("/api/v1/appointments/", body, format="json").status_code == 201
    ended(EmergencyAccess.objects.get())
    assert sees(doctor, patient)[0] == 200


@pytest.mark.parametrize("make", [make_note, make_lab_order, make_prescription, make_appointment])
def test_what_was_written_under_a_look_that_was_not_justified_links_nobody_and_what_comes_later_does(
    doctor: User, patient: Patient, make: Any
) -> None:
    other, admin = make_doctor().user, make_user("admin")
    for login in (doctor, other):
        opened_by(login, patient)
        make(patient=patient, doctor=login.doctor)
    for opened in EmergencyAccess.objects.all():
        emergencies.end(opened, by=admin)
    make_note(patient=patient, doctor=doctor.doctor)  # after the end, through the link
    for login, verdict in ((doctor, "not_justified"), (other, "justified")):
        assert sees(login, patient)[0] == 200
        row = EmergencyAccess.objects.get(user=login)
        emergencies.review(row, by=admin, verdict=verdict, note="A neighbour.")
    assert sees(doctor, patient)[0] == 404
    assert sees(doctor, patient)[4] == 404
    assert sees(other, patient)[0] == 200
    assert opened_by(doctor, patient).status_code == 201, "they open it anew, with a reason"
    emergencies.end(EmergencyAccess.objects.get(user=doctor, verdict=""), by=admin)
    make_appointment(patient=patient, doctor=doctor.doctor)
    assert sees(doctor, patient)[0] == 200, "they care for the patient now"


def test_what_was_not_justified_is_not_opened_anew_by_an_older_visit_a_moved_one_or_an_amended_note(
    doctor: User, patient: Patient
) -> None:
    api, older = client_for(doctor), make_appointment(patient=patient)
    Appointment.objects.filter(pk=older.pk).update(created_at=Now() - timedelta(days=2))
    opened_by(doctor, patient)
    theirs, note = (
        make_appointment(patient=patient, doctor=doctor.doctor),
        make_note(patient=patient, doctor=doctor.doctor),
    )
    note.sign(doctor)
    mine = {"doctor": str(doctor.doctor.pk), "availability_override_reason": "Emergency"}
    taken = api.patch(f"/api/v1/appointments/{older.pk}/", mine, format="json")
    assert (taken.status_code, "nobody has reviewed" in taken.content.decode().lower()) == (422, True)
    emergencies.review(EmergencyAccess.objects.get(), by=make_user("admin"), verdict="not_justified", note="No.")
    later = {"appointment_datetime": free_time().isoformat(), "availability_override_reason": "Emergency"}
    moved = api.post(f"/api/v1/appointments/{theirs.pk}/reschedule/", later, format="json")
    amended = api.post(f"/api/v1/clinical-notes/{note.pk}/amend/", {}, format="json")
    for answer in (moved, amended):
        assert (answer.status_code, "not open to you" in answer.content.decode()) == (422, True)
    assert sees(doctor, patient)[0] == 404


def test_what_somebody_else_booked_meanwhile_counts_whatever_the_verdict_and_is_not_called_the_doctors(
    doctor: User, patient: Patient
) -> None:
    opened_by(doctor, patient)
    make_note(patient=patient, doctor=doctor.doctor)
    body = {
        "patient": str(patient.pk),
        "doctor": str(doctor.doctor.pk),
        "appointment_datetime": free_time().isoformat(),
        "availability_override_reason": "Called in",
    }
    booked = client_for(make_user("receptionist")).post("/api/v1/appointments/", body, format="json")
    assert booked.status_code == 201, booked.data
    opened, admin = EmergencyAccess.objects.get(), make_user("admin")
    assert emergencies.links_since(opened) == [("clinical notes", 1)]
    emergencies.review(opened, by=admin, verdict="not_justified", note="No.")
    opened.refresh_from_db()
    assert emergencies.links_since(opened) == [("clinical notes", 1)]
    assert sees(doctor, patient)[0] == 200
    Appointment.objects.get(pk=booked.data["id"]).delete()
    assert sees(doctor, patient)[0] == 404, "what they wrote themselves does not"


@pytest.mark.parametrize("stays", ["the one that was opened", "the other"])
@pytest.mark.parametrize("judged", ["before", "after"])
def test_a_merge_leaves_what_links_the_other_record_and_not_what_was_written_under_the_look(
    doctor: User, patient: Patient, stays: str, judged: str
) -> None:
    def judge() -> None:
        emergencies.review(EmergencyAccess.objects.get(), by=make_user("admin"), verdict="not_justified", note="No.")

    own = make_patient()
    opened_by(doctor, patient)
    written, note = (make_note(patient=each, doctor=doctor.doctor) for each in (patient, own))
    if judged == "before":
        judge()
    gone, kept = (own, patient) if stays == "the one that was opened" else (patient, own)
    services.merge(gone, by=None, into=kept)
    if judged == "after":
        judge()
    assert sees(doctor, kept)[0] == 200
    note.delete()
    assert sees(doctor, kept)[0] == 404, written.pk


def test_who_looked_without_cause_takes_no_offered_time_for_the_patient_and_the_desk_does(
    doctor: User, patient: Patient
) -> None:
    opened_by(doctor, patient)
    entry = make_waitlist_entry(patient=patient, doctor=doctor.doctor)
    emergencies.review(EmergencyAccess.objects.get(), by=make_user("admin"), verdict="not_justified", note="No.")
    make_always_available(doctor.doctor)
    offer = make_waitlist_offer(entry=entry, slot=make_freed_slot(doctor=doctor.doctor))
    url = f"/api/v1/waitlist-offers/{offer.pk}/accept/"
    assert client_for(doctor).post(url).status_code == 404
    assert sees(doctor, patient)[0] == 404
    taken = client_for(make_user("receptionist")).post(url)
    assert taken.status_code == 200, taken.data
    assert sees(doctor, patient)[0] == 200, "they are to see the patient"


def test_ending_it_shuts_the_record_at_once_and_only_who_opened_it_or_the_administrator_may(
    doctor: User, patient: Patient
) -> None:
    key = opened_by(doctor, patient).data["id"]
    assert client_for(make_doctor().user).post(f"{URL}{key}/end/").status_code == 404
    assert client_for(doctor).post(f"{URL}{key}/end/").status_code == 200
    assert sees(doctor, patient)[0] == 404
    assert client_for(doctor).post(f"{URL}{key}/end/").status_code == 409


@pytest.mark.parametrize("how", ["removed", "merged"])
def test_a_record_that_is_gone_opens_to_nobody_and_a_merged_one_ends_and_does_not_open_the_record_that_is_kept(
    doctor: User, patient: Patient, how: str
) -> None:
    assert opened_by(doctor, patient).status_code == 201
    kept = make_patient()
    if how == "removed":
        patient.delete()
    else:
        services.merge(patient, by=None, into=kept)
        assert sees(doctor, kept) == [404, 0, 404, 0, 404]
        told = client_for(doctor).get(URL).data["results"][0]
        assert (told["patient"], told["ended_by_merge"]) == (kept.pk, True)
        page = signed_in(doctor).get(f"/console/break-glass/{told['id']}/").content.decode()
        assert "It ended when the record was merged" in page
    assert sees(doctor, patient)[0] == 404
    assert opened_by(doctor, patient).status_code == 404
    who = {"medical_record_number": "STRANGER-1", "date_of_birth": "1980-05-17"}
    found = client_for(doctor).post(f"{PATIENTS}find/", who, format="json").json()
    assert [row["id"] for row in found] == ([] if how == "removed" else [str(kept.pk)])
    if how == "merged":
        assert opened_by(doctor, kept).status_code == 201, "it takes a reason of its own"
        services.merge(make_patient(), by=None, into=kept)
        assert sees(doctor, kept)[0] == 200, "the record that is kept stays as it was"


@pytest.mark.django_db(transaction=True)
def test_a_record_that_is_being_merged_is_not_opened_for_the_look_would_go_on_in_the_other_one() -> None:
    login, gone, kept, told = make_doctor().user, make_patient(), make_patient(), list[str]()

    def second() -> None:
        try:
            emergencies.break_glass(gone, by=login, reason=REASON)
        except Conflict as refusal:
            told.append(str(refusal))
        finally:
            connection.close()

    thread = Thread(target=second)
    with transaction.atomic():
        services.merge(gone, by=None, into=kept)
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    assert (told, EmergencyAccess.objects.count()) == ([emergencies.GONE], 0)


@pytest.mark.parametrize("reason", ["", "short", " " * 20, "  a   b   "])
def test_without_a_reason_nothing_is_opened(doctor: User, patient: Patient, reason: str) -> None:
    assert opened_by(doctor, patient, reason).status_code in {400, 422}
    assert not EmergencyAccess.objects.exists()


def test_it_is_for_doctors_and_not_for_whom_the_record_is_open_to_already(doctor: User, patient: Patient) -> None:
    for role in ("nurse", "receptionist", "patient", "lab_tech", "pharmacist"):
        assert opened_by(make_user(role), patient).status_code == 403, role
        assert client_for(make_user(role)).get(URL).status_code == 403, role
    assert opened_by(make_user("admin"), patient).status_code == 409
    visit = make_appointment(patient=patient, doctor=doctor.doctor)
    assert opened_by(doctor, patient).status_code == 409
    visit.delete()
    assert opened_by(doctor, patient).status_code == 201, "a link that is gone links nobody"


def test_finding_takes_the_whole_number_and_the_birthday_and_a_limit_on_tries(doctor: User, patient: Patient) -> None:
    api = client_for(doctor)
    for number, born in (("STRANGER", "1980-05-17"), ("STRANGER-1", "1980-05-18"), ("%", "1980-05-17")):
        found = api.post(f"{PATIENTS}find/", {"medical_record_number": number, "date_of_birth": born}, format="json")
        assert (found.status_code, found.json()) == (200, []), number
    assert AuditLog.objects.filter(action="find", user=doctor, detail__count=0).count() == 3
    who = {"medical_record_number": "STRANGER-1", "date_of_birth": "1980-05-17"}
    answers = [api.post(f"{PATIENTS}find/", who, format="json") for _ in range(18)]
    assert [answer.status_code for answer in answers] == [200] * 17 + [429]
    assert 590 <= int(answers[-1]["Retry-After"]) <= 600
    form = {**who, "reason": REASON}
    assert b"Too many tries" in signed_in(doctor).post("/console/break-glass/open/", form, follow=True).content
    assert not EmergencyAccess.objects.exists()
    assert client_for(make_doctor().user).post(f"{PATIENTS}find/", who, format="json").status_code == 200
    LoginGuard.objects.update(locked_until=Now(), began_at=Now() - timedelta(minutes=11))
    assert api.post(f"{PATIENTS}find/", who, format="json").status_code == 200


def test_a_review_is_by_somebody_else_after_the_end_once_and_settles_the_alert(doctor: User, patient: Patient) -> None:
    opened = EmergencyAccess.objects.get(pk=opened_by(doctor, patient).data["id"])
    admin, url = client_for(make_user("admin")), f"{URL}{opened.pk}/review/"
    assert client_for(doctor).post(url, {"verdict": "justified"}, format="json").status_code == 403
    assert admin.post(url, {"verdict": "justified"}, format="json").status_code == 422, "it is open"
    assert admin.post(url, {"verdict": "not_justified"}, format="json").status_code == 422, "no note"
    answer = admin.post(url, {"verdict": "not_justified", "note": "A neighbour."}, format="json")
    assert answer.status_code == 200, answer.data
    assert sees(doctor, patient)[0] == 404, "what was not justified ends at once"
    assert not Alert.objects.filter(kind=emergencies.OPENED, resolved_at=None).exists()
    assert admin.post(url, {"verdict": "justified"}, format="json").status_code == 409
    User.objects.filter(pk=doctor.pk).update(role="admin")
    doctor.refresh_from_db()
    own = ended(make_emergency_access(user=doctor))
    assert client_for(doctor).post(f"{URL}{own.pk}/review/", {"verdict": "justified"}, format="json").status_code == 422
    assert admin.post(f"{URL}{own.pk}/review/", {"verdict": "justified"}, format="json").status_code == 200


def test_what_nobody_reviewed_for_a_week_is_told_until_somebody_did() -> None:
    late = ended(make_emergency_access(), ago=timedelta(days=8))
    ended(make_emergency_access(), ago=timedelta(days=6))
    assert [emergencies.watch(), emergencies.watch()] == [1, 1]
    alert = Alert.objects.get(kind=emergencies.OVERDUE)
    assert (alert.severity, alert.resolved_at) == ("critical", None)
    emergencies.review(late, by=make_user("admin"), verdict="justified")
    alert.refresh_from_db()
    assert alert.resolved_at is not None


@pytest.mark.parametrize(
    "wrong", [{"reason": "short"}, {"verdict": "justified"}, {"ends_at": timezone.now() + timedelta(days=2)}]
)
def test_the_database_holds_the_hour_the_reason_and_who_reviewed(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_emergency_access(**wrong)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_open_the_same_record_with_one_login_at_once_one_opens_it() -> None:
    login, patient, holds, told = make_doctor().user, make_patient(), Event(), list[type]()

    def second() -> None:
        try:
            holds.wait(10)
            emergencies.break_glass(patient, by=login, reason=REASON)
        except Conflict as refusal:
            told.append(type(refusal))
        finally:
            connection.close()

    thread = Thread(target=second)
    thread.start()
    with transaction.atomic():
        emergencies.break_glass(patient, by=login, reason=REASON)
        holds.set()
        thread.join(0.3)  # it waits for us
        assert thread.is_alive()
    thread.join(10)
    assert (told, EmergencyAccess.objects.count()) == ([Conflict], 1)
