"""Proves that work that stands still is found by its number, and goes again or ends as often as somebody confirmed."""

from __future__ import annotations

import re
from threading import Thread
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import reminder_actions
from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core import depths
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.core.work import WorkItem, work_models
from backend.apps.insurance.models import InboundFile
from backend.apps.interop import work_kinds, work_pages
from backend.apps.interop.models import ExportChunk
from backend.apps.interop.tests.fhir.export_rows import make_chunk, make_job
from backend.apps.laboratory.models import CriticalPage, InboundMessage
from backend.apps.laboratory.tests.factories import make_critical_page, make_inbound_message, make_order_message
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in
from tests.support.races import wait_until_waited_for

pytestmark = pytest.mark.django_db
LABS = "/console/work/lab_results.file/"
REMINDERS = "/console/work/reminders.deliver/"
PAGES = "/console/work/critical_results.page/"


def stuck(error: str = "no map for code 12345", **over: Any) -> InboundMessage:
    return make_inbound_message(**{"work_state": "failed", "status": "worklist", "last_error": error, **over})


def page_of(**fields: Any) -> CriticalPage:
    page = make_critical_page()
    CriticalPage.work.filter(pk=page.pk).update(**fields)
    page.refresh_from_db()
    return page


def post(url: str, user: Any = "admin", **form: Any) -> Any:
    client = signed_in(user) if isinstance(user, str) else user
    return client.post(url, form, follow=True)


def confirmed(answer: Any) -> str:
    found = re.search(r'name="confirmed" value="([^"]*)"', answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def test_every_kind_of_work_is_on_the_page_with_its_numbers_and_only_an_administrator_sees_it() -> None:
    stuck(), stuck()
    make_order_message(work_state="held", status="uncertain")
    text = signed_in("admin").get("/console/work/").content.decode()
    assert "2 failed" in text
    assert "1 held" in text
    assert all(f"/console/work/{model.task_name}/" in text for model in work_models())
    for role in ("lab_tech", "receptionist", "doctor"):
        assert signed_in(role).get("/console/work/").status_code == 403
        assert signed_in(role).get(LABS).status_code == 403
        assert post(f"{LABS}bulk/", role, verb="retry", row=str(uuid4())).status_code == 403


def test_each_kind_lists_its_rows_and_each_state_is_told() -> None:
    client = signed_in("admin")
    asked = [(model.task_name, "failed") for model in work_models()]
    asked += [(task, state) for state in work_pages.STATES for task in ("lab_results.file", "reminders.deliver")]
    assert {client.get(f"/console/work/{task}/", {"state": state}).status_code for task, state in asked} == {200}


def test_what_is_no_kind_of_work_is_not_found() -> None:
    client = signed_in("admin")
    assert client.get("/console/work/patients.erase/").status_code == 404
    assert client.get(f"{LABS}{uuid4()}/").status_code == 404


def test_a_cause_shows_exactly_its_rows_whatever_ids_they_name() -> None:
    same = [stuck("no map for code 12345"), stuck("no map for code 7")]
    other = stuck("the feed is closed")
    asked = urlencode({"state": "failed", "cause": depths.cause_of("no map for code 99")})
    text = signed_in("admin").get(f"{LABS}?{asked}").content.decode()
    assert all(str(row.pk) in text for row in same)
    assert str(other.pk) not in text


def test_held_messages_are_listed_and_chosen_by_whether_a_machine_looks_into_them() -> None:
    client, visit = signed_in("admin"), make_appointment()
    sought = make_reminder(appointment=visit, work_state="held", uncertain_since=timezone.now())
    other = make_reminder(appointment=visit, offset_minutes=60, work_state="held")
    for asked, rows in {"": {sought, other}, "&sought=yes": {sought}, "&sought=no": {other}}.items():
        text = client.get(f"{REMINDERS}?state=held{asked}").content.decode()
        assert {row for row in (sought, other) if str(row.pk) in text} == rows, asked
    form = dict(re.findall(r'type="hidden" name="(state|sought)" value="([^"]*)"', text))
    assert confirmed(post(f"{REMINDERS}bulk/", client, verb="give_up", every="1", **form)) == str(other.pk)
    held = make_order_message(work_state="held", status="uncertain")
    orders = "/console/work/lab_orders.send/"
    assert str(held.pk) in client.get(f"{orders}?state=held&sought=no").content.decode()
    assert str(held.pk) not in client.get(f"{orders}?state=held&sought=yes").content.decode()


def test_many_rows_go_back_in_line_after_a_count_and_exactly_those_that_were_counted() -> None:
    client = signed_in("admin")
    rows = [stuck(), stuck("no map for code 8")]
    other = stuck("the feed is closed")
    cause = depths.cause_of(rows[0].last_error)
    back = urlencode({"state": "failed", "cause": cause})
    told = post(f"{LABS}bulk/", client, verb="retry", every="1", state="failed", cause=cause, back=back)
    assert "2 rows" in told.content.decode()
    assert InboundMessage.work.filter(work_state="waiting").count() == 0
    late = stuck()
    answer = post(f"{LABS}bulk/", client, verb="retry", confirmed=confirmed(told), back=back)
    assert "2 of 2 back in line." in answer.content.decode()
    assert answer.redirect_chain[-1][0] == f"{LABS}?{back}"
    states = dict(InboundMessage.work.values_list("pk", "work_state"))
    assert [states[row.pk] for row in (*rows, other, late)] == ["waiting", "waiting", "failed", "failed"]
    assert AuditLog.objects.filter(action="console.retry", resource_id=str(rows[0].pk), outcome="allowed").exists()
    again = post(f"{LABS}bulk/", client, verb="retry", confirmed=confirmed(told))
    assert "nothing was changed" in again.content.decode()


def test_a_form_without_a_tick_says_so() -> None:
    answer = post(f"{LABS}bulk/", verb="retry", back="state=failed")
    assert "Tick rows first." in answer.content.decode()
    assert answer.redirect_chain[-1][0] == f"{LABS}?state=failed"


def test_a_row_is_given_up_with_a_reason_leaves_the_list_and_can_be_put_back() -> None:
    client, row = signed_in("admin"), stuck()
    answer = post(f"{LABS}bulk/", client, verb="give_up", confirmed=str(row.pk), reason="  ")
    assert "Say why" in answer.content.decode()
    assert AuditLog.objects.filter(action="console.give_up", outcome="refused").exists()
    post(f"{LABS}bulk/", client, verb="give_up", confirmed=str(row.pk), reason="The lab sent it anew")
    row.refresh_from_db()
    assert (row.work_state, row.status, row.last_error) == ("failed", "worklist", "given up: The lab sent it anew")
    noted = AuditLog.objects.get(action="console.give_up", outcome="allowed", resource_id=str(row.pk))
    assert noted.detail == {"bulk": False, "reason": True}
    assert str(row.pk) not in client.get(f"{LABS}?state=failed").content.decode()
    assert str(row.pk) in client.get(f"{LABS}?state=given_up").content.decode()
    post(f"{LABS}bulk/", client, verb="retry", confirmed=str(row.pk))
    row.refresh_from_db()
    assert (row.work_state, row.status, row.last_error) == ("waiting", "received", "")


def test_what_may_have_arrived_is_sent_again_only_when_somebody_ticks_that_it_may_come_twice() -> None:
    client, page = signed_in("admin"), page_of(work_state="held")
    assert 'name="twice"' in client.get(f"{PAGES}{page.pk}/").content.decode()
    told = post(f"{PAGES}bulk/", client, verb="retry", row=str(page.pk))
    assert "nobody knows whether it arrived" in told.content.decode()
    answer = post(f"{PAGES}bulk/", client, verb="retry", confirmed=confirmed(told))
    assert "may come twice" in answer.content.decode()
    page.refresh_from_db()
    assert page.work_state == "held"
    post(f"{PAGES}bulk/", client, verb="retry", confirmed=confirmed(told), twice="1")
    page.refresh_from_db()
    assert page.work_state == "waiting"


def test_giving_up_does_not_make_known_whether_it_arrived() -> None:
    client, page, known = signed_in("admin"), page_of(work_state="held"), page_of(work_state="failed")
    CriticalPage.work.filter(pk=known.pk).update(begun_at=timezone.now())  # its partner refused it
    for _ in range(2):
        post(f"{PAGES}bulk/", client, verb="give_up", confirmed=f"{page.pk},{known.pk}", reason="The doctor called")
    assert 'name="twice"' in client.get(f"{PAGES}{page.pk}/").content.decode()
    assert 'name="twice"' not in client.get(f"{PAGES}{known.pk}/").content.decode()
    told = post(f"{PAGES}bulk/", client, verb="retry", every="1", state="given_up")
    assert "Of 1 nobody knows" in told.content.decode()
    assert "may come twice" in post(f"{PAGES}bulk/", client, verb="retry", confirmed=str(page.pk)).content.decode()
    post(f"{PAGES}bulk/", client, verb="retry", confirmed=f"{page.pk},{known.pk}", twice="1")
    assert set(CriticalPage.work.values_list("work_state", "begun_at")) == {("waiting", None)}


def test_a_reminder_given_up_in_doubt_goes_again_only_from_its_row_and_never_where_another_took_its_place() -> None:
    client, visit = signed_in("admin"), make_appointment(patient=make_reachable_patient())
    doubtful = make_reminder(appointment=visit, reminder_type="email", work_state="held")
    replaced = make_reminder(appointment=visit, work_state="held", last_error="nobody knows whether it was sent")
    make_reminder(appointment=visit, offset_minutes=60, reminder_type="email", fallback_of=replaced)
    post(f"{REMINDERS}bulk/", client, verb="give_up", confirmed=str(doubtful.pk), reason="They call us")
    doubtful.refresh_from_db()
    with pytest.raises(DomainError, match="before it was given up"):
        reminder_actions.send_now(doubtful, by=None)
    keys = f"{doubtful.pk},{replaced.pk}"
    text = post(f"{REMINDERS}bulk/", client, verb="retry", confirmed=keys, twice="1").content.decode()
    assert "1 of 2 back in line. 1 not: Another message has taken the place of this one." in text
    states = dict(AppointmentReminder.work.values_list("pk", "work_state"))
    assert (states[doubtful.pk], states[replaced.pk]) == ("waiting", "held")
    noted = AuditLog.objects.filter(action="console.retry", outcome="allowed").values_list("resource_id", "patient_id")
    assert list(noted) == [(str(doubtful.pk), visit.patient_id)]


def test_reminders_ask_the_rules_of_their_board_before_they_go_again() -> None:
    visit = make_appointment(patient=make_reachable_patient())
    fine = make_reminder(appointment=visit, reminder_type="email", work_state="failed", status="failed")
    replaced = make_reminder(appointment=visit, work_state="failed", status="failed")
    make_reminder(appointment=visit, offset_minutes=60, reminder_type="email", fallback_of=replaced)
    keys = f"{fine.pk},{replaced.pk}"
    answer = post(f"{REMINDERS}bulk/", verb="retry", confirmed=keys)
    text = answer.content.decode()
    assert "1 of 2 back in line." in text
    assert "1 not: Another message has taken the place of this one." in text
    states = dict(AppointmentReminder.work.values_list("pk", "work_state"))
    assert (states[fine.pk], states[replaced.pk]) == ("waiting", "failed")


def test_a_wrong_mailbox_is_put_right_on_the_patients_record_and_the_message_goes_again() -> None:
    client = signed_in("admin")
    row = make_reminder(reminder_type="email", work_state="failed", status="failed", last_error="no such mailbox")
    url = f"{REMINDERS}{row.pk}/"
    assert "Mailbox" in client.get(url).content.decode()
    wrong = post(f"{url}correct/", client, address="no mailbox")
    assert 'class="error"' in wrong.content.decode()
    answer = post(f"{url}correct/", client, address="right@example.org", back="state=failed")
    assert "Corrected and back in line." in answer.content.decode()
    assert "state=failed" in answer.content.decode()
    row = AppointmentReminder.work.select_related("appointment__patient").get(pk=row.pk)
    assert (row.work_state, row.appointment.patient.email) == ("waiting", "right@example.org")
    noted = AuditLog.objects.get(action="console.correct", outcome="allowed")
    assert noted.patient_id == row.appointment.patient_id
    assert "right@example.org" not in str(noted.detail)


@pytest.mark.django_db(transaction=True)
def test_a_second_click_on_correct_is_told_that_the_row_waits_no_more() -> None:
    row = make_reminder(reminder_type="email", work_state="failed", status="failed")
    client, answers = signed_in("admin"), list[Any]()

    def click() -> None:
        answers.append(post(f"{REMINDERS}{row.pk}/correct/", client, address="second@example.org"))
        connection.close()

    second = Thread(target=click)
    with transaction.atomic():
        work_kinds.correct(row, "first@example.org", by=make_user("admin"))
        second.start()
        wait_until_waited_for()
        AppointmentReminder.work.back_in_line(row.pk)
    second.join()
    assert "This does not wait for a person any more." in answers[0].content.decode()
    assert AppointmentReminder.work.get(pk=row.pk).appointment.patient.email == "first@example.org"


def test_an_export_is_tried_again_as_one_and_given_up_on_its_own_page() -> None:
    client, job = signed_in("admin"), make_job(status="failed", work_state="done")
    parts = [make_chunk(job, number, work_state="failed") for number in range(2)]
    url = "/console/work/fhir_export.write/bulk/"
    keys = ",".join(str(part.pk) for part in parts)
    refused = post(url, client, verb="give_up", confirmed=keys, reason="no need")
    assert "on its own page" in refused.content.decode()
    assert "2 of 2 back in line." in post(url, client, verb="retry", confirmed=keys).content.decode()
    job.refresh_from_db()
    assert job.status in ("accepted", "in_progress")
    assert set(ExportChunk.work.values_list("work_state", flat=True)) == {"waiting"}


def test_each_row_leads_to_the_page_it_belongs_to() -> None:
    page = page_of(work_state="failed", last_error="refused (twilio:21211)")
    client = signed_in("admin")
    listed, alone = client.get(f"{PAGES}?state=failed").content.decode(), client.get(f"{PAGES}{page.pk}/")
    assert f"/console/labs/critical/{page.critical_result_id}/" in listed
    assert "The number or mailbox cannot take messages." in listed
    assert f"/console/labs/critical/{page.critical_result_id}/" in alone.content.decode()
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(page.pk)).get().patient_id is not None
    assert work_kinds.address_of(InboundFile(pk=uuid4())) == "/console/claims/files/inbound/"


def test_many_rows_cost_no_more_questions_than_few() -> None:
    client, asked = signed_in("admin"), []
    for count in (2, 6):
        keys = ",".join(str(page_of(work_state="failed").pk) for _ in range(count))
        with CaptureQueriesContext(connection) as found:
            post(f"{PAGES}bulk/", client, verb="give_up", confirmed=keys, reason="The doctor called")
        asked.append(len(found))
    assert asked[0] == asked[1]


def test_a_list_costs_the_same_for_many_and_little() -> None:
    client = signed_in("admin")
    stuck()
    with CaptureQueriesContext(connection) as few:
        client.get(LABS)
    for number in range(5):
        stuck(f"no map for code {number}")
    with CaptureQueriesContext(connection) as many:
        client.get(LABS)
    assert len(many) == len(few) < 10


def test_a_kind_nobody_described_goes_by_the_name_of_its_task() -> None:
    kind = work_kinds.kind_of("claims.watch_more")
    assert (kind.title, kind.gives_up) == ("Claims: watch more", "")
    undescribed = {model.task_name for model in work_models()} - set(work_kinds.KINDS)
    assert all(issubclass(work_pages.model_of(task), WorkItem) for task in undescribed)
