"""Proves that what patients wrote and what the desk has to do is shown to the desk, once, and to nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_reachable_patient, make_reminder
from backend.apps.core import closed_values
from backend.apps.core.models import AuditLog
from backend.apps.interop import reply_pages
from backend.apps.interop.tests.test_reminder_pages import BOARD, visit_on
from backend.apps.messaging import tasks
from backend.apps.messaging.models import InboundText, StaffTask
from backend.apps.messaging.tests.inbox_factories import make_provider_event
from backend.apps.patients import contacts
from backend.apps.patients.models import Patient
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db


def text_from(patient: Patient | None, **over: Any) -> InboundText:
    """Save a text nobody understood; patient: whose number it came from, where that is one person's."""
    fields = {"sid": f"SM{InboundText.objects.count()}", "from_number": "+14155550100", "body": "Zqwhen is it?", **over}
    return InboundText.objects.create(patient=patient, received_at=timezone.now(), **fields)


def test_a_text_that_waits_is_read_with_the_visits_ahead_and_handled_once() -> None:
    visit = visit_on()
    row, client = text_from(visit.patient), signed_in("receptionist")
    text_from(None, outcome="confirmed", body="Zqdone")
    told = client.get("/console/replies/").content.decode()
    assert "Zqwhen is it?" in told
    assert f"{BOARD}visits/{visit.pk}/" in told
    assert "Zqdone" not in told
    assert "Zqdone" in client.get("/console/replies/?all=1").content.decode()
    answer = client.post(f"/console/replies/{row.pk}/handle/", {"note": "Call her"}, follow=True).content.decode()
    assert "The note is a task now." in answer
    again = client.post(f"/console/replies/{row.pk}/handle/", follow=True).content.decode()
    assert 'class="error"' in again
    row.refresh_from_db()
    assert row.handled_by is not None
    task = StaffTask.objects.get()
    assert (task.note, task.subject_id, "Call her" in task.sentence) == ("Call her", row.pk, False)
    assert AuditLog.objects.filter(action="console.handle", outcome="allowed", resource_id=str(row.pk)).count() == 1
    assert signed_in("lab_tech").get("/console/replies/").status_code == 403


def test_the_desk_opts_a_number_out_that_asks_for_it_in_words_no_machine_understood() -> None:
    patient, client = make_reachable_patient(phone="+14155550100"), signed_in("receptionist")
    row = text_from(patient, body="Zqwho wants all this")
    assert f'formaction="/console/replies/{row.pk}/opt-out/"' in client.get("/console/replies/").content.decode()
    answer = client.post(f"/console/replies/{row.pk}/opt-out/", follow=True).content.decode()
    assert "This number gets no more texts." in answer
    assert "Zqwho" not in answer
    row.refresh_from_db()
    patient.refresh_from_db()
    assert (row.outcome, row.handled_by is not None, patient.sms_consent) == ("opted_out", True, False)
    point = contacts.known_at("sms", "+14155550100").get()
    assert (point.opted_out_at is not None, point.opted_out_evidence) == (True, row.sid)
    assert AuditLog.objects.filter(action="console.opt_out", outcome="allowed", resource_id=str(row.pk)).exists()
    again = client.post(f"/console/replies/{row.pk}/opt-out/", follow=True).content.decode()
    assert 'class="error"' in again
    assert signed_in("doctor").post(f"/console/replies/{row.pk}/opt-out/").status_code == 403


def test_a_text_somebody_has_handled_can_still_opt_its_number_out() -> None:
    row, client = text_from(None, body="Zqwho is this"), signed_in("receptionist")
    client.post(f"/console/replies/{row.pk}/handle/")
    told = client.get("/console/replies/?all=1").content.decode()
    assert (f"/console/replies/{row.pk}/opt-out/" in told, "Handled</button>" in told) == (True, False)
    handled_at = InboundText.objects.get(pk=row.pk).handled_at
    answer = client.post(f"/console/replies/{row.pk}/opt-out/", follow=True).content.decode()
    assert "This number gets no more texts." in answer
    row.refresh_from_db()
    assert (row.outcome, row.handled_at) == ("opted_out", handled_at)
    assert contacts.known_at("sms", row.from_number).get().opted_out_at is not None


def test_a_picture_without_words_is_told_and_not_shown() -> None:
    row, client = text_from(None, body=""), signed_in("receptionist")
    make_provider_event(kind="inbound", message_id=row.sid, payload={"Body": "", "NumMedia": 2})
    told = client.get("/console/replies/").content.decode()
    assert "2 pictures or files" in told
    assert "“”" not in told


def test_a_value_that_does_not_open_hides_neither_its_own_row_nor_another_from_the_desk() -> None:
    patient, other = make_reachable_patient(phone="+14155550100"), make_reachable_patient(phone="+14155550101")
    row, fine = text_from(patient), text_from(other, from_number="+14155550101", body="Zqfine")
    event = make_provider_event(message_id=row.sid, kind="inbound", payload={"NumMedia": "1"})
    for number, one in enumerate((patient, other)):
        tasks.open_once("ask_who", f"ask_who:{number}", "Ask which one.", patient=one)
    with connection.cursor() as cursor:  # as of other rows
        for table, name, pk, of in (
            ("messaging_inboundtext", "from_number", row.pk, fine.pk),
            ("patients_patient", "phone", patient.pk, other.pk),
        ):
            cursor.execute(
                f"UPDATE {table} SET {name} = (SELECT {name} FROM {table} WHERE id = %s) WHERE id = %s",  # noqa: S608  # ours
                [of, pk],
            )
        cursor.execute("UPDATE messaging_providerevent SET payload = 'plain' WHERE id = %s", [event.pk])
    desk, admin = signed_in("receptionist"), signed_in("admin")
    for client, page, number in (
        (desk, "/console/replies/", fine.from_number),
        (desk, "/console/tasks/", other.phone),
        (admin, "/admin/messaging/inboundtext/", fine.from_number),
    ):
        told = client.get(page)
        assert (told.status_code, closed_values.SIGN in told.content.decode()) == (200, True), page
        assert number in told.content.decode()


def test_a_long_series_of_one_patient_hides_no_visit_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_pages, "VISITS_OF_ONE", 2)
    series, other = make_reachable_patient(), visit_on(20)
    visits = [visit_on(hour, patient=series) for hour in range(1, 5)]
    for patient in (series, other.patient):
        text_from(patient)
    told = signed_in("receptionist").get("/console/replies/").content.decode()
    shown = [f"{BOARD}visits/{visit.pk}/" in told for visit in (*visits, other)]
    assert shown == [True, True, False, False, True]


def test_a_task_about_a_text_shows_what_was_said_from_where_and_which_visits_it_may_be_about() -> None:
    number, now = "+14155550123", timezone.now()
    texted = {"status": "sent", "work_state": "done", "sent_at": now, "recipient_phone": number}
    names = ("Zqchilda", "Zqchildb")
    visits = [visit_on(14 + n, patient=make_reachable_patient(last_name=names[n], phone=number)) for n in (0, 1)]
    for visit in visits:
        make_reminder(appointment=visit, **texted)
    first = text_from(None, from_number=number, body="Zqyes", outcome="ambiguous")
    tasks.open_once("ask_who", "ask_who:1", "Ask which one.", patient=None, subject_id=first.pk)
    text_from(None, from_number=number, body="Zqboth of them", outcome="ambiguous")
    stranger = text_from(None, from_number="+14155550177", body="Zqwho are you?")
    client = signed_in("receptionist")
    client.post(f"/console/replies/{stranger.pk}/handle/", {"note": "Zqring them"})
    told = client.get("/console/tasks/").content.decode()
    wanted = ["Zqyes", "Zqboth of them", number, *names, "Zqwho are you?", "+14155550177", "Zqring them"]
    assert [each for each in wanted if each not in told] == []
    for visit in visits:
        assert f"{BOARD}visits/{visit.pk}/" in told
    noted = AuditLog.objects.filter(resource_type="stafftask", action="console.list").latest("timestamp").detail
    assert set(noted["patients"]) == {str(visit.patient_id) for visit in visits}
    assert str(first.pk) in noted["texts"]
    assert "Zqyes" not in signed_in(visits[0].doctor.user).get("/console/tasks/").content.decode()


def test_a_task_leads_to_its_visit_and_is_done_with_a_note_below_which_the_patients_words_stay() -> None:
    visit, client = visit_on(), signed_in("receptionist")
    task = tasks.open_once("reschedule", "t", "Asks for another time.", patient=visit.patient, subject_id=visit.pk)
    StaffTask.objects.update(note="Zqmondays")
    tasks.open_once("call", "c", "Please call.", patient=visit.patient)
    told = client.get("/console/tasks/", {"kind": "reschedule"}).content.decode()
    assert f"{BOARD}visits/{visit.pk}/" in told
    assert "Zqmondays" in told
    assert "Please call." not in told
    for sentence in ("Done.", "This task is done already."):
        answer = client.post(f"/console/tasks/{task.pk}/complete/", {"note": "Moved to Friday"}, follow=True)
        assert sentence in answer.content.decode()
    task.refresh_from_db()
    assert (task.note, task.done_by is not None) == ("Moved to Friday\nZqmondays", True)
    assert signed_in("pharmacist").get("/console/tasks/").status_code == 403


@pytest.mark.parametrize("url", ["/console/replies/", "/console/tasks/"])
def test_the_lists_of_the_desk_cost_the_same_for_many(url: str) -> None:
    client = signed_in("receptionist")

    def add(hour: int) -> None:
        visit = visit_on(hour)
        text = text_from(visit.patient)
        tasks.open_once("call", f"c{hour}", "Please call.", patient=visit.patient, subject_id=visit.pk)
        tasks.open_once("ask_who", f"a{hour}", "Please ask.", patient=None, subject_id=text.pk)

    add(1)
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for hour in range(2, 8):
        add(hour)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(few)


def test_what_a_patient_wrote_stays_text() -> None:
    visit, nasty = visit_on(), "<script>alert(1)</script>"
    text_from(visit.patient, body=nasty)
    tasks.open_once("reschedule", "t", "Asks.", patient=visit.patient, subject_id=visit.pk)
    StaffTask.objects.update(note=nasty)
    client = signed_in("nurse")
    for url in ("/console/replies/", "/console/tasks/", f"{BOARD}visits/{visit.pk}/"):
        told = client.get(url).content.decode()
        assert nasty not in told
        assert " style=" not in told
