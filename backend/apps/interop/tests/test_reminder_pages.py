"""Proves that the board of reminders shows who was told, leads from each number to its rows, and changes by forms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import AuditLog
from backend.apps.core.models import Clinic as Practice
from backend.apps.core.roles import STAFF
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.interop import failure_words
from backend.apps.messaging.models import PatientMessage, Sender
from backend.apps.patients import consents
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
BOARD = "/console/reminders/"
DESK = {"admin", "doctor", "nurse", "receptionist"}


def visit_on(hour: int = 15, **over: Any) -> Appointment:
    """Save a visit the day after tomorrow at this hour (UTC) whose patient can be reached."""
    at = (timezone.now() + timedelta(days=2)).replace(hour=hour, minute=0, second=0, microsecond=0)
    over.setdefault("patient", make_reachable_patient())
    return make_appointment(appointment_datetime=at, **over)


def day_of(visit: Appointment) -> str:
    return f"{visit.appointment_datetime.astimezone(Practice.current().zone):%Y-%m-%d}"


def page(client: Client, visit: Appointment, **query: str) -> str:
    answer = client.get(BOARD, {"day": day_of(visit), **query})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def sent(visit: Appointment, **over: Any) -> AppointmentReminder:
    fields = {"status": "sent", "work_state": "done", "sent_at": timezone.now(), "segments": 1, **over}
    return make_reminder(appointment=visit, **fields)


def failed(visit: Appointment, code: str = "twilio:30005", **over: Any) -> AppointmentReminder:
    return make_reminder(appointment=visit, status="failed", work_state="done", error_code=code, **over)


def test_the_board_tells_each_reminder_of_the_day_in_words_and_is_written_down() -> None:
    visit, client = visit_on(), signed_in("receptionist")
    sent(visit, status="delivered")
    make_reminder(appointment=visit, offset_minutes=10080, reminder_type="email")
    make_reminder(appointment=visit, offset_minutes=120, status="superseded", work_state="done")
    told = page(client, visit)
    assert "text, 24 hours before: <b>delivered</b>" in told
    assert "e-mail, 7 days before: <b>" in told
    assert "taken back" not in told.split('class="list"')[1]
    noted = AuditLog.objects.get(action="console.list")
    assert (noted.detail["ids"], noted.resource_type) == ([str(visit.pk)], "appointmentreminder")
    assert visit.patient.full_name not in page(client, visit, day="2001-01-01")


@pytest.mark.parametrize("role", sorted(STAFF))
def test_the_desk_sees_the_board_and_nobody_else(role: str) -> None:
    visit = visit_on()
    row = make_reminder(appointment=visit)
    client = signed_in(role)
    for url in (BOARD, f"{BOARD}visits/{visit.pk}/", f"{BOARD}opt-outs/"):
        expected = {200} if role in DESK - {"doctor"} else {200, 404} if role == "doctor" else {403}
        assert client.get(url).status_code in expected, url
    for verb in ("send-now", "mute"):
        status = client.post(f"{BOARD}{row.pk}/{verb}/", {"reason": "x"}).status_code
        assert status == (302 if role in DESK - {"doctor"} else 404 if role == "doctor" else 403)
    assert (client.post(f"{BOARD}bulk/", {"verb": "mute", "visit": visit.pk}).status_code == 200) == (role in DESK)


def test_a_doctor_sees_the_visits_of_own_patients_only() -> None:
    doctor = make_doctor()
    mine = visit_on(patient=make_reachable_patient(last_name="Zqmine"), doctor=doctor)
    other = visit_on(17, patient=make_reachable_patient(last_name="Zqother"))
    for each in (mine, other):
        failed(each)
    client = signed_in(doctor.user)
    told = page(client, mine)
    assert "Zqmine" in told
    assert "Zqother" not in told
    assert "<b>1</b> failed" in told
    assert client.get(f"{BOARD}visits/{other.pk}/").status_code == 404
    answer = client.post(f"{BOARD}bulk/", {"verb": "mute", "visit": [str(other.pk)]})
    assert "None of the ticked visits" in answer.content.decode()


def test_each_number_leads_to_its_rows() -> None:
    good, bad, lost, lone = (
        visit_on(hour, patient=make_reachable_patient(last_name=name))
        for hour, name in ((14, "Zqgood"), (15, "Zqbad"), (16, "Zqlost"), (17, "Zqlone"))
    )
    sent(good)
    failed(bad)
    make_reminder(appointment=lost, work_state="held", uncertain_since=timezone.now())
    client = signed_in("nurse")
    told = page(client, good)
    for state, name, number in (
        ("sent", "Zqgood", "<b>1</b> sent"),
        ("failed", "Zqbad", "<b>1</b> failed"),
        ("unknown", "Zqlost", "<b>1</b> nobody knows"),
        ("none", "Zqlone", "<b>1</b> no reminder"),
    ):
        assert number in told
        rows = page(client, good, state=state).split('class="list"')[1]
        assert [each for each in ("Zqgood", "Zqbad", "Zqlost", "Zqlone") if each in rows] == [name]
    assert "<b>4</b> visits" in told
    problems = page(client, good, problems="1").split('class="list"')[1]
    assert [each for each in ("Zqgood", "Zqbad", "Zqlost", "Zqlone") if each in problems] == [
        "Zqbad", "Zqlost", "Zqlone",
    ]  # fmt: skip
    assert lone.reminders.count() == 0


def test_failures_are_told_by_code_with_what_to_do_and_lead_to_their_visits() -> None:
    first, second = visit_on(14), visit_on(15, patient=make_reachable_patient(last_name="Zqblocked"))
    failed(first)
    failed(second, "twilio:30007")
    client = signed_in("receptionist")
    told = page(client, first)
    assert "The number or mailbox cannot take messages." in told
    assert "twilio:30007" in told
    rows = page(client, first, code="twilio:30007").split('class="list"')[1]
    assert "Zqblocked" in rows
    assert first.patient.full_name not in rows


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        ("twilio:30005", "The number or mailbox cannot"),
        ("twilio:21610", "The owner of the number"),
        ("twilio:99999", "The provider refused it"),
        ("sendgrid:blocked", "Somebody on the way"),
        ("sendgrid:bounce", "The number or mailbox cannot"),
        ("sendgrid:5.1.1", "The number or mailbox cannot"),
        ("The appointment changed.", "The appointment changed."),
        ("", "No reason was given."),
    ],
)
def test_every_code_has_a_sentence_for_the_desk(code: str, begins: str) -> None:
    assert failure_words.sentence(code).startswith(begins)


def test_the_filters_know_channel_doctor_the_time_of_the_reminder_and_ignore_nonsense() -> None:
    visit, other = visit_on(14), visit_on(15, patient=make_reachable_patient(last_name="Zqother"))
    sent(visit)
    sent(other, reminder_type="email")
    client = signed_in("receptionist")
    assert "Zqother" in page(client, visit, channel="email").split('class="list"')[1]
    assert visit.patient.full_name not in page(client, visit, channel="email").split('class="list"')[1]
    assert "Zqother" not in page(client, visit, doctor=str(visit.doctor_id)).split('class="list"')[1]
    due = visit.reminders.get().scheduled_send_time.astimezone(Practice.current().zone)
    assert visit.patient.full_name in page(client, visit, by="reminder", day=f"{due:%Y-%m-%d}")
    assert "Zqother" in page(client, visit, by="reminder", span="month", channel="email", day=f"{due:%Y-%m-%d}")
    for nonsense in ({"day": "9999-12-31"}, {"day": "x"}, {"doctor": "x"}, {"state": "x"}, {"by": "'"}, {"span": "y"}):
        assert client.get(BOARD, nonsense).status_code == 200


def test_the_board_costs_the_same_for_a_full_day_and_cuts_it_into_pages() -> None:
    client, first = signed_in("receptionist"), visit_on(14)
    failed(first)
    page(client, first)
    with CaptureQueriesContext(connection) as few:
        page(client, first)
    doctor, patient = make_doctor(), make_reachable_patient()
    for minute in range(1, 60):
        at = first.appointment_datetime + timedelta(minutes=minute)
        visit = make_appointment(
            patient=patient, doctor=doctor, appointment_datetime=at, duration_minutes=5, status="completed"
        )
        failed(visit, f"twilio:{30000 + minute}")
    with CaptureQueriesContext(connection) as many:
        told = page(client, first)
    assert len(many) == len(few) <= 24
    assert told.count('name="visit"') == 50
    later = told.split('class="pages"')[1].split("Later")[0].rsplit('href="?', 1)[1].split('"')[0].replace("&amp;", "&")
    answer = client.get(f"{BOARD}?{later}").content.decode()
    assert answer.count('name="visit"') == 10
    assert "Earlier" in answer


def test_the_story_of_a_visit_holds_what_was_taken_back_and_what_followed() -> None:
    visit, client = visit_on(), signed_in("receptionist")
    lost = failed(visit, status_reason="x")
    make_reminder(appointment=visit, reminder_type="email", fallback_of=lost)
    make_reminder(appointment=visit, offset_minutes=120, status="superseded", work_state="done", status_reason="Moved.")
    PatientMessage.objects.create(
        patient=visit.patient, channel="sms", wording="no_show", subject_id=visit.pk, dedupe_key="t",
        scheduled_send_time=timezone.now(),
    )  # fmt: skip
    told = " ".join(client.get(f"{BOARD}visits/{visit.pk}/").content.decode().split())
    for each in ("in place of another", "taken back", "Moved.", "Other messages about it", "twilio:30005"):
        assert each in told
    assert AuditLog.objects.filter(action="console.retrieve", patient_id=visit.patient_id).count() == 1


def test_a_visit_tells_what_stands_against_a_number_though_somebody_agreed_for_it() -> None:
    visit, client = visit_on(), signed_in("receptionist")
    url = f"{BOARD}visits/{visit.pk}/"
    assert "said STOP" not in client.get(url).content.decode()
    consents.stop(visit.patient.phone, evidence="SM1")
    consents.mark_unusable("email", visit.patient.email, code="sendgrid:bounce")
    consents.record(visit.patient, "sms", True, by=None, method="staff")
    told = client.get(url).content.decode()
    assert "agreed, <b>this number said STOP" in told
    assert "cannot take messages (sendgrid:bounce)" in told


def test_a_reminder_is_sent_now_or_muted_and_a_refusal_is_a_sentence() -> None:
    visit = visit_on()
    mail = make_reminder(
        appointment=visit, reminder_type="email", offset_minutes=10080, scheduled_send_time=timezone.now()
    )
    client = signed_in("receptionist")
    answer = client.post(f"{BOARD}{mail.pk}/send-now/", follow=True).content.decode()
    assert "It goes out next" in answer
    mail.refresh_from_db()
    assert mail.due_at <= timezone.now()
    assert "Say why." in client.post(f"{BOARD}{mail.pk}/mute/", {"reason": " "}, follow=True).content.decode()
    answer = client.post(f"{BOARD}{mail.pk}/mute/", {"reason": "She knows"}, follow=True).content.decode()
    assert "Muted by staff: She knows" in answer
    assert "was not wanted" in client.post(f"{BOARD}{mail.pk}/send-now/", follow=True).content.decode()
    told = AuditLog.objects.filter(action__in=["console.send_now", "console.mute"]).values_list("action", "outcome")
    assert sorted(told) == [
        ("console.mute", "allowed"), ("console.mute", "refused"), ("console.send_now", "allowed"),
        ("console.send_now", "refused"),
    ]  # fmt: skip


def confirmed(page: str) -> str:
    """Return what the button of a page about many reminders confirms: the very rows it was shown with."""
    return page.split('name="confirmed" value="')[1].split('"', maxsplit=1)[0]


def test_to_mute_many_takes_a_second_look_at_how_many() -> None:
    first, second = visit_on(14), visit_on(15, patient=make_reachable_patient(last_name="Two"))
    rows = [make_reminder(appointment=each) for each in (first, second)]
    client, form = signed_in("nurse"), {"verb": "mute", "visit": [str(first.pk), str(second.pk)]}
    asked = client.post(f"{BOARD}bulk/", form).content.decode()
    assert "<b>2 reminders</b> of 2 visits would be muted" in asked
    assert AppointmentReminder.objects.filter(status="pending").count() == 2
    make_reminder(appointment=first, offset_minutes=120)
    stale = {**form, "confirmed": confirmed(asked), "reason": "Closed"}
    again = client.post(f"{BOARD}bulk/", stale).content.decode()
    assert "The number has changed" in again
    fresh = {**stale, "confirmed": confirmed(again)}
    done = client.post(f"{BOARD}bulk/", fresh, follow=True).content.decode()
    assert "3 of 3 reminders muted." in done
    assert not AppointmentReminder.objects.filter(status="pending").exists()
    assert AuditLog.objects.filter(action="console.mute", resource_id__in=[str(row.pk) for row in rows]).count() == 2


def test_to_send_many_now_takes_one_of_each_visit_and_tells_the_refusals() -> None:
    soon = timezone.now() + timedelta(hours=3)
    able = visit_on(14)
    silent = visit_on(15, patient=make_reachable_patient(last_name="Two", email_consent=False))
    for visit in (able, silent):
        for offset in (2880, 4320):
            make_reminder(appointment=visit, reminder_type="email", offset_minutes=offset, scheduled_send_time=soon)
    client, form = signed_in("receptionist"), {"verb": "send_now", "visit": [str(able.pk), str(silent.pk)]}
    form["confirmed"] = confirmed(client.post(f"{BOARD}bulk/", form).content.decode())
    told = client.post(f"{BOARD}bulk/", form, follow=True).content.decode()
    assert "1 of 2 reminders sent now. 1 not: The patient has not agreed to this channel." in told
    assert AppointmentReminder.objects.filter(due_at__lte=timezone.now()).count() == 1


def test_a_confirmation_of_many_is_about_the_very_reminders_that_were_shown() -> None:
    visit = visit_on()
    row = make_reminder(appointment=visit)
    client, form = signed_in("nurse"), {"verb": "mute", "visit": [str(visit.pk)], "reason": "Closed"}
    form["confirmed"] = confirmed(client.post(f"{BOARD}bulk/", form).content.decode())
    AppointmentReminder.objects.filter(pk=row.pk).update(status="sent", work_state="done", sent_at=timezone.now())
    other = make_reminder(appointment=visit, offset_minutes=120)  # as many as before, but not the same
    assert "about other reminders now" in client.post(f"{BOARD}bulk/", form).content.decode()
    other.refresh_from_db()
    assert other.status == "pending"


def test_the_next_one_of_a_visit_is_what_waits_and_not_what_was_given_up_before() -> None:
    soon = timezone.now() + timedelta(hours=3)
    visit, given_up = visit_on(14), visit_on(15, patient=make_reachable_patient(last_name="Two"))
    lost = [
        make_reminder(
            appointment=each, reminder_type="email", offset_minutes=10080, status="failed", work_state="failed",
            scheduled_send_time=soon - timedelta(hours=1),
        )
        for each in (visit, given_up)
    ]  # fmt: skip
    waits = make_reminder(appointment=visit, reminder_type="email", offset_minutes=2880, scheduled_send_time=soon)
    make_reminder(  # refused: it was planned for a time that holds no more
        appointment=given_up, reminder_type="email", offset_minutes=2880, scheduled_send_time=soon,
        visit_starts_at=given_up.appointment_datetime - timedelta(days=1),
    )  # fmt: skip
    client, form = signed_in("receptionist"), {"verb": "send_now", "visit": [str(visit.pk), str(given_up.pk)]}
    form["confirmed"] = confirmed(client.post(f"{BOARD}bulk/", form).content.decode())
    assert set(form["confirmed"].split(",")) == {str(waits.pk), str(lost[1].pk)}
    assert "2 of 2 reminders sent now." in client.post(f"{BOARD}bulk/", form, follow=True).content.decode()
    assert AppointmentReminder.objects.get(pk=lost[0].pk).status == "failed"


@pytest.mark.parametrize("verb", ["mute", "send_now"])
def test_to_mute_or_send_many_costs_an_audit_row_each_and_no_more(verb: str) -> None:
    client, form = signed_in("nurse"), {"verb": verb, "reason": "Closed"}

    def cost(visits: list[Appointment]) -> int:
        for visit in visits:
            make_reminder(appointment=visit, reminder_type="email", scheduled_send_time=timezone.now())
            Appointment.objects.filter(pk=visit.pk).update(version=2)  # none of them is of the version of now
            given_up = {"offset_minutes": 2880, "status": "failed", "work_state": "failed"}
            make_reminder(appointment=visit, reminder_type="email", **given_up)
        wanted = {**form, "visit": [str(visit.pk) for visit in visits]}
        wanted["confirmed"] = confirmed(client.post(f"{BOARD}bulk/", wanted).content.decode())
        with CaptureQueriesContext(connection) as queries:
            client.post(f"{BOARD}bulk/", wanted)
        return len(queries)

    few, many = cost([visit_on(1)]), cost([visit_on(hour) for hour in range(2, 8)])
    assert many - few == 5


def test_the_board_tells_of_senders_segments_and_opt_outs() -> None:
    visit = visit_on()
    sent(visit, segments=3, scheduled_send_time=timezone.now())
    Sender.objects.create(
        name="twilio +14155550100", channel="sms", paused_since=timezone.now(), paused_code="twilio:20003"
    )
    consents.stop(visit.patient.phone, evidence="SM1")
    client = signed_in("receptionist")
    told = page(client, visit)
    assert "3 today" in told
    assert "is stopped" in told
    assert "Our own account with the provider is not in order." in told
    assert "1 today</a>" in told
    assert "no texts" in client.get(f"{BOARD}opt-outs/").content.decode()


def test_a_change_needs_the_forms_token_and_a_post() -> None:
    row = make_reminder(appointment=visit_on())
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("admin"))
    for url in (f"{BOARD}{row.pk}/send-now/", f"{BOARD}{row.pk}/mute/", f"{BOARD}bulk/"):
        assert client.post(url, {"reason": "x", "verb": "mute"}).status_code == 403
        assert client.get(url).status_code == 405


def test_the_table_and_the_words_are_shown_and_the_administrator_is_led_to_the_forms() -> None:
    told = " ".join(signed_in("receptionist").get(f"{BOARD}policies/").content.decode().split())
    assert '<th scope="row">24 hours</th><td>text, else e-mail</td>' in told
    assert "unless confirmed" in told
    assert "between 09:00 and 20:00" in told
    assert "Change the words" not in told
    answer = signed_in("admin").get(f"{BOARD}policies/").content.decode()
    for model in ("appointments/reminderpolicy", "messaging/contactrules", "messaging/messagetemplate"):
        assert f"/admin/{model}/" in answer
    assert signed_in("lab_tech").get(f"{BOARD}policies/").status_code == 403


def test_the_preview_tells_who_would_be_reminded_and_who_not_and_changes_nothing() -> None:
    doctor = make_doctor()
    visit = visit_on(patient=make_reachable_patient(last_name="Zqtold"), doctor=doctor)
    visit_on(17, patient=make_patient(last_name="Zqsilent"))
    reminders.replan(visit)
    row = visit.reminders.order_by("scheduled_send_time").first()
    assert row is not None
    on = f"{row.scheduled_send_time.astimezone(Practice.current().zone):%Y-%m-%d}"
    before = list(AppointmentReminder.objects.order_by("pk").values())
    client = signed_in("receptionist")
    told = client.get(f"{BOARD}preview/", {"date": on}).content.decode()
    assert "Zqtold" in told
    assert "Zqsilent" in told
    held = client.get(f"{BOARD}preview/", {"date": on, "held": "1"}).content.decode()
    assert "leaves</span>" in told
    assert "leaves</span>" not in held
    assert "has not agreed" in held
    own = signed_in(doctor.user).get(f"{BOARD}preview/", {"date": on}).content.decode()
    assert ("Zqtold" in own, "Zqsilent" in own) == (True, False)
    assert list(AppointmentReminder.objects.order_by("pk").values()) == before
    for nonsense in ({"date": "x"}, {"first": "-1"}, {"date": "0001-01-01"}):
        assert client.get(f"{BOARD}preview/", nonsense).status_code == 200
    assert signed_in("lab_tech").get(f"{BOARD}preview/").status_code == 403
