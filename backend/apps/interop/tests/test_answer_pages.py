"""Proves that a patient's link does what it is for by a press of a button, once, and nothing for anybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone
from icalendar import Calendar

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment, FreedSlot, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.tests.factories import free_time, make_reachable_patient, make_reminder
from backend.apps.core.models import AuditLog
from backend.apps.core.models import Clinic as Practice
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import make_always_available
from backend.apps.interop.answer_words import EN, ES
from backend.apps.interop.tests.patient_links import SECRETS, link_of, press, stamp, state, tap, text, visit_ahead
from backend.apps.interop.visit_answers import MOST_BIRTHS
from backend.apps.messaging import links
from backend.apps.messaging.models import ContactRules, LinkPurpose, PatientLink, StaffTask
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient
from backend.apps.patients.tests.factories import reached_at

pytestmark = pytest.mark.django_db
BIRTH = "1980-05-17"
AWAY = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}


@pytest.fixture(autouse=True)
def practice() -> Practice:
    return Practice.objects.create(name="Elm Street Clinic", phone="+14155550199", time_zone="America/New_York")


def test_r45_a_scanner_that_follows_the_link_changes_nothing() -> None:
    visit = visit_ahead()
    urls = [link_of(visit, purpose) for purpose in (LinkPurpose.ANSWER, LinkPurpose.UNSUBSCRIBE)]
    before = state()
    for url in urls:
        for query in ("", "?act=confirm", "?act=cancel&birth=1980-05-17", "?act=stop", "?List-Unsubscribe=One-Click"):
            assert Client().get(url + query).status_code == 200
            assert Client().head(url + query).status_code == 200
        assert Client().put(url).status_code == 405
    assert Client().get(f"{urls[0]}/calendar.ics").status_code == 200
    assert state() == before


def test_r45_pressed_twice_it_is_done_once_and_says_how_it_is() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    for _ in range(2):
        answer = press(url, visit, "confirm")
        assert answer.status_code == 200
        assert EN.is_confirmed in text(answer)
    visit.refresh_from_db()
    assert (visit.status, visit.version) == ("confirmed", 2)
    noted = AuditLog.objects.get(action="link.confirm")
    assert (noted.patient_id, noted.user_id, noted.resource_id) == (visit.patient_id, None, str(visit.pk))
    assert url.removeprefix("/a/") not in str(noted.detail)


def test_r45_an_unknown_and_an_old_link_look_the_same() -> None:
    visit = visit_ahead()
    old = link_of(visit, expires_at=timezone.now() - timedelta(seconds=1))
    unknown = "/a/" + "A" * 22
    answers = [Client().get(url) for url in (old, unknown, old + "/", "/a/x", "/a/%00", "/a/" + "é" * 22)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert "+14155550199" in text(answers[0])
    before = state()
    assert {press(url, visit, "confirm").status_code for url in (old, unknown)} == {404}
    assert state() == before


def test_r45_a_link_for_one_thing_does_no_other() -> None:
    visit = visit_ahead()
    answer, mailbox = link_of(visit), link_of(visit, LinkPurpose.UNSUBSCRIBE)
    before = state()
    for act in ("confirm", "cancel", "other_time"):
        press(mailbox, visit, act, birth=BIRTH, note="x")
    press(answer, visit, "stop")
    press(answer, visit, "", **{"List-Unsubscribe": "One-Click"})
    assert Client().get(f"{mailbox}/calendar.ics").status_code == 404
    assert state() == before


def test_r45_a_link_shows_and_changes_only_its_own_visit() -> None:
    patient = make_reachable_patient()
    mine, other = visit_ahead(patient=patient), visit_ahead(patient=patient)
    stranger = visit_ahead(patient=make_reachable_patient(last_name="Zqname"))
    url = link_of(mine)
    page = text(Client().get(url))
    assert stamp(mine) in page
    for row in (other, stranger):
        assert stamp(row) not in page
        assert press(url, row, "confirm").status_code == 422
    PatientLink.objects.update(subject_id=stranger.pk)  # a row that says two things at once shows neither
    assert Client().get(url).status_code == 404
    assert set(Appointment.objects.values_list("status", flat=True)) == {"scheduled"}


def test_the_page_says_when_and_whom_to_call_and_nothing_of_the_patient() -> None:
    visit = visit_ahead(reason="Zqreason", location="Zqroom", appointment_type="procedure")
    ContactRules.objects.create(display_name="Elm Street")
    page = SECRETS.sub("", text(Client().get(link_of(visit))))
    assert "Elm Street</p>" in page
    assert "tel:+14155550199" in page
    told = ("Okafor", "Ada", "Zqreason", "Zqroom", "procedure", "1980", visit.doctor.user.last_name)
    assert [each for each in (*told, visit.patient.medical_record_number, visit.patient.email) if each in page] == []


def test_the_page_is_sealed_and_works_without_script_or_cookie() -> None:
    visit = visit_ahead()
    client = Client()
    for answer in (client.get(link_of(visit)), client.get("/a/x"), press(link_of(visit), visit, "confirm")):
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Robots-Tag"].startswith("noindex")
        assert "no-store" in answer["Cache-Control"]
        assert not answer.cookies
        assert b"<script" not in answer.content
        assert b" style=" not in answer.content


def test_it_speaks_the_patients_language_and_tells_both_clocks_where_they_differ() -> None:
    patient = make_reachable_patient(preferred_language="es-MX", time_zone="America/Los_Angeles")
    visit = visit_ahead(patient=patient)
    answer = Client().get(link_of(visit))
    assert '<html lang="es">' in text(answer)
    assert ES.confirm in text(answer)
    assert ES.your_clock in text(answer)
    near = Client().get(link_of(visit_ahead()))
    assert EN.your_clock not in text(near)
    unknown = Client().get("/a/x", headers={"accept-language": "es"})
    assert ES.gone in text(unknown)


def test_to_cancel_takes_the_date_of_birth() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    assert EN.birth_missing in text(press(url, visit, "cancel"))
    assert EN.birth_wrong in text(press(url, visit, "cancel", birth="1980-05-18"))
    answer = press(url, visit, "cancel", birth="5/17/1980")
    assert answer.status_code == 410
    assert EN.cancelled in text(answer)
    visit.refresh_from_db()
    assert (visit.status, visit.cancellation_reason) == ("cancelled", "By the patient, by the link of a reminder.")
    assert press(url, visit, "cancel", birth=BIRTH).status_code == 410
    assert AuditLog.objects.filter(action="link.cancel", outcome="allowed").count() == 1


def test_a_wrong_date_of_birth_is_told_at_its_field_and_opens_that_part_and_no_other_error_does() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    for birth in ("1980-05-18", ""):
        page = text(press(url, visit, "cancel", birth=birth))
        assert 'aria-describedby="birth-error birth-hint"' in page
        assert 'aria-invalid="true"' in page
        assert '<p class="error" id="birth-error" role="alert">' in page
        assert '<details class="panel" open> <summary>' + EN.cannot_come in page
    page = text(press(url, visit, "nonsense"))
    assert EN.unclear in page
    assert " open>" not in page
    assert "aria-invalid" not in page


@pytest.mark.parametrize("purpose", [LinkPurpose.UNSUBSCRIBE, LinkPurpose.WAITLIST])
def test_nothing_is_done_that_could_not_be_written_down(purpose: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditlog ADD CHECK (action NOT IN ('link.unsubscribe', 'link.decline'))")
    if purpose == LinkPurpose.WAITLIST:
        url, act = offered()[0], "decline"
    else:
        url, act = link_of(visit_ahead(), purpose), "stop"
    assert tap(url, act).status_code == 503
    assert not Patient.objects.filter(email_consent=False).exists()
    assert not ContactPoint.objects.exists()
    assert not WaitlistOffer.objects.filter(status="declined").exists()


@override_settings(CACHES=AWAY)
def test_after_five_wrong_dates_of_birth_only_the_clinic_cancels_also_while_redis_is_away() -> None:
    visit = visit_ahead()
    url, another = link_of(visit), link_of(visit)
    for day in range(1, MOST_BIRTHS + 1):
        assert EN.birth_wrong in text(press(url, visit, "cancel", birth=f"1990-01-0{day}"))
    answer = press(url, visit, "cancel", birth=BIRTH)
    assert EN.too_many_births in text(answer)
    assert 'name="birth"' not in text(answer)
    visit.refresh_from_db()
    assert visit.status == "scheduled"
    assert EN.is_confirmed in text(press(url, visit, "confirm"))
    assert 'name="birth"' in text(Client().get(another))
    assert AuditLog.objects.filter(action="link.birth", outcome="refused").count() == MOST_BIRTHS


def test_a_wish_for_another_time_is_one_task_with_the_latest_note() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    press(url, visit, "other_time", note="  Mondays\r\n please  ")
    answer = press(url, visit, "other_time", note="x" * 400)
    assert EN.is_wished in text(answer)
    task = StaffTask.objects.get()
    assert (task.kind, task.subject_id, task.patient_id) == ("reschedule", visit.pk, visit.patient_id)
    assert task.note == "x" * 300
    visit.refresh_from_db()
    assert visit.status == "scheduled"


def test_nobody_answers_for_a_time_they_have_not_seen() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    shown = stamp(visit)
    services.change(visit, by=None, appointment_datetime=free_time(), availability_override_reason="moved")
    answer = Client().post(url, {"act": "confirm", "shown": shown})
    assert (answer.status_code, EN.changed in text(answer)) == (422, True)
    visit.refresh_from_db()
    assert visit.status == "scheduled"
    assert stamp(visit) in text(Client().get(url))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "cancelled"}, EN.cancelled),
        ({"status": "checked_in"}, EN.over),
        ({"status": "no_show"}, EN.over),
        ({"appointment_datetime": timezone.now() - timedelta(minutes=10)}, EN.over),
        ({"is_deleted": True, "deleted_at": timezone.now()}, EN.cancelled),
    ],
)
def test_a_visit_that_is_not_awaited_any_more_is_told_and_stays(fields: dict[str, Any], told: str) -> None:
    visit = visit_ahead(**fields)
    url = link_of(visit)
    before = state()
    for answer in (Client().get(url), press(url, visit, "confirm"), press(url, visit, "cancel", birth=BIRTH)):
        assert answer.status_code == 410
        assert told in text(answer)
        assert "+14155550199" in text(answer)
    if visit.status != "cancelled":
        assert Client().get(f"{url}/calendar.ics").status_code == 410
    assert state() == before


def test_a_visit_that_was_cancelled_is_taken_out_of_the_calendar_and_one_that_was_moved_is_not() -> None:
    visit, moved = visit_ahead(), visit_ahead()
    url, other = link_of(visit), link_of(moved)
    services.cancel(visit, by=None, reason="Zqill")
    services.reschedule(moved, by=None, appointment_datetime=free_time(), availability_override_reason="by phone")
    assert EN.calendar_out in text(Client().get(url))
    answer = Client().get(f"{url}/calendar.ics")
    assert "method=CANCEL" in answer["Content-Type"]
    calendar = Calendar.from_ical(answer.content)
    (event,) = calendar.walk("VEVENT")
    assert (str(calendar["method"]), str(event["status"]), event["sequence"]) == ("CANCEL", "CANCELLED", 2)
    assert str(event["uid"]).startswith(str(visit.pk))
    assert EN.calendar_out not in text(Client().get(other))
    assert Client().get(f"{other}/calendar.ics").status_code == 410


def test_a_visit_that_was_moved_says_so_and_not_where_to() -> None:
    visit = visit_ahead()
    url = link_of(visit)
    new = services.reschedule(visit, by=None, appointment_datetime=free_time(), availability_override_reason="by phone")
    page = Client().get(url)
    assert (page.status_code, EN.moved in text(page)) == (410, True)
    assert new.appointment_datetime.isoformat() not in text(page)


def test_the_calendar_file_names_the_time_and_no_reason() -> None:
    visit = visit_ahead(reason="Zqreason")
    answer = Client().get(f"{link_of(visit)}/calendar.ics")
    assert answer["Content-Type"].startswith("text/calendar")
    assert answer["Referrer-Policy"] == "no-referrer"
    event = Calendar.from_ical(answer.content).walk("VEVENT")[0]
    assert event.decoded("DTSTART") == visit.appointment_datetime
    assert b"Zqreason" not in answer.content


def test_the_button_of_a_mailbox_provider_stops_the_mail_at_once_and_can_be_taken_back() -> None:
    visit = visit_ahead()
    url = link_of(visit, LinkPurpose.UNSUBSCRIBE)
    answer = Client(enforce_csrf_checks=True).post(url, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    visit.patient.refresh_from_db()
    assert not visit.patient.email_consent
    assert visit.patient.sms_consent
    last = ContactConsent.objects.filter(patient=visit.patient).latest("created_at")
    assert (last.given, last.method) == (False, "unsubscribe")
    assert EN.mail_start in text(Client().get(url))
    page = press(url, visit, "start")
    assert EN.mail_started in text(page)
    visit.patient.refresh_from_db()
    assert visit.patient.email_consent
    assert visit.patient.email not in text(page)
    assert AuditLog.objects.filter(action="link.unsubscribe", patient_id=visit.patient_id).exists()


def test_it_is_the_mailbox_the_mail_went_to_that_is_taken_off() -> None:
    visit = visit_ahead()
    url = link_of(visit, LinkPurpose.UNSUBSCRIBE)
    reached_at(visit.patient, email="new@example.org")
    press(url, visit, "stop")
    assert ContactPoint.objects.get(opted_out_at__isnull=False).address == "ada.okafor@example.org"
    visit.patient.refresh_from_db()
    assert visit.patient.email_consent


def offered(**over: Any) -> tuple[str, WaitlistOffer]:
    """Return the address of a time that is offered, and the offer."""
    before = visit_ahead(appointment_type="procedure")
    patient = make_reachable_patient(last_name="Waits")
    day = before.appointment_datetime.date()
    entry = WaitlistEntry.objects.create(
        patient=patient, appointment_type="procedure", from_on=day - timedelta(days=2), until_on=day + timedelta(days=2)
    )
    services.cancel(before, by=None, reason="Ill")
    slot = FreedSlot.objects.create(
        doctor=before.doctor,
        starts_at=before.appointment_datetime,
        duration_minutes=30,
        appointment_type="procedure",
        freed_by=before,
        dedupe_key=f"test:{before.pk}",
    )
    fields = {"held_until": timezone.now() + timedelta(minutes=30), **over}
    offer = WaitlistOffer.objects.create(slot=slot, entry=entry, **fields)
    message = make_reminder(appointment=visit_ahead(patient=patient))
    links.keep([links.Wanted(message, LinkPurpose.WAITLIST, offer.pk, slot.starts_at)])
    return f"/a/{links.token(message.pk, LinkPurpose.WAITLIST)}", offer


def test_an_offered_time_is_taken_once_and_shown_until_when_it_is_kept() -> None:
    url, offer = offered()
    make_always_available(offer.slot.doctor)
    page = text(Client().get(url))
    assert EN.offer_until in page
    assert offer.slot.starts_at.isoformat() in page
    for _ in range(2):
        assert EN.offer_taken in text(tap(url, "accept"))
    offer.refresh_from_db()
    assert offer.status == "accepted"
    assert (
        Appointment.objects.filter(patient=offer.entry.patient, appointment_datetime=offer.slot.starts_at).count() == 1
    )
    assert tap(url, "decline").status_code == 410


def test_an_offered_time_of_a_doctor_whose_licence_lapsed_is_not_taken_and_the_patient_is_asked_to_call() -> None:
    url, offer = offered()
    doctor = make_always_available(offer.slot.doctor)
    DoctorCredential.objects.filter(doctor=doctor).update(expiry_date=Practice.today() - timedelta(days=1))
    answer = tap(url, "accept")
    assert (answer.status_code, EN.offer_not_bookable in text(answer)) == (410, True)
    assert "license" not in text(answer)
    offer.refresh_from_db()
    assert offer.status == "lapsed"
    assert tap(url, "accept").status_code == 410
    assert not Appointment.objects.filter(patient=offer.entry.patient, doctor=doctor).exists()


def test_an_offer_that_is_left_or_over_is_told_so() -> None:
    url, offer = offered()
    assert tap(url, "confirm").status_code == 422
    assert EN.offer_left in text(tap(url, "decline"))
    offer.refresh_from_db()
    assert offer.status == "declined"
    late, over = offered(held_until=timezone.now() - timedelta(minutes=1))
    for answer in (Client().get(late), tap(late, "accept")):
        assert (answer.status_code, EN.offer_over in text(answer)) == (410, True)
    over.refresh_from_db()
    assert over.status == "offered"
