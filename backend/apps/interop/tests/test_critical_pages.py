"""Proves that the link in a page leads to the result, that the read-back counts there, and who sees what."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory.models import CriticalResult
from backend.apps.laboratory.tests.factories import make_critical_result, make_lab_order
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/console/labs/critical/"


def critical_of(doctor: Any = None, **over: Any) -> CriticalResult:
    return make_critical_result(lab_order=make_lab_order(doctor=doctor or make_doctor(), status="in_progress"), **over)


def url(row: CriticalResult) -> str:
    return f"{LIST}{row.pk}/"


def test_the_link_of_a_page_asks_for_the_sign_in_and_comes_back_to_the_result() -> None:
    row = critical_of()
    assert Client().get(url(row))["Location"] == f"/admin/login/?next={url(row)}"


def test_the_responsible_and_the_covering_doctor_find_it_and_another_does_not() -> None:
    covering = make_doctor()
    row = critical_of(make_doctor(covering_doctor=covering))
    other = critical_of()
    for doctor in (row.doctor, covering):
        client = signed_in(doctor.user)
        listed = client.get(LIST)
        assert url(row).encode() in listed.content
        assert url(other).encode() not in listed.content
        assert client.get(url(row)).status_code == 200
        assert client.get(url(other)).status_code == 404
    assert signed_in("nurse").get(LIST).status_code == 403


def test_a_doctor_who_does_not_answer_for_it_can_neither_acknowledge_nor_note_a_call() -> None:
    row, stranger = critical_of(), signed_in(make_doctor().user)
    answer = stranger.post(f"{url(row)}acknowledge/", {"read_back": "6.9"})
    assert answer.status_code == 404
    assert b"6.9" not in answer.content
    assert stranger.post(f"{url(row)}call/", {"told": "Dr. Stone", "read_back": "6.9"}).status_code == 403
    row.refresh_from_db()
    assert (row.status, row.acknowledged_by) == ("open", None)
    assert AuditLog.objects.filter(action="console.view", outcome="refused").count() == 2


def test_the_page_shows_the_value_the_log_and_the_form_sealed_and_written_down() -> None:
    row = critical_of()
    answer = signed_in(row.doctor.user).get(url(row))
    text = answer.content.decode()
    assert "<b>6.9</b> mmol/L" in text
    assert 'name="read_back"' in text
    assert "Note a phone call" not in text
    assert "noted" in text.lower()
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert " style=" not in text
    assert " onclick=" not in text
    noted = AuditLog.objects.filter(action="console.retrieve", resource_id=str(row.pk)).get()
    assert (noted.user_id, noted.patient_id) == (row.doctor.user_id, row.patient_id)


def test_reading_the_value_back_acknowledges_and_a_wrong_one_is_told() -> None:
    row = critical_of()
    client = signed_in(row.doctor.user)
    for said in ("9.6", "", "x" * 201):
        answer = client.post(f"{url(row)}acknowledge/", {"read_back": said}, follow=True)
        assert 'class="error"' in answer.content.decode()
        row.refresh_from_db()
        assert row.status == "open"
    assert AuditLog.objects.filter(action="console.acknowledge", outcome="refused").count() == 3
    answer = client.post(f"{url(row)}acknowledge/", {"read_back": "6.9"}, follow=True)
    assert "Acknowledged. Nobody else is paged." in answer.content.decode()
    assert 'name="read_back"' not in answer.content.decode()
    row.refresh_from_db()
    assert (row.status, row.acknowledged_by) == ("acknowledged", row.doctor.user)
    assert AuditLog.objects.filter(action="console.acknowledge", outcome="allowed", resource_id=str(row.pk)).exists()


def test_the_laboratory_notes_a_call_and_cannot_acknowledge_itself() -> None:
    row = critical_of()
    client = signed_in("lab_tech")
    assert client.post(f"{url(row)}acknowledge/", {"read_back": "6.9"}).status_code == 403
    answer = client.post(f"{url(row)}call/", {"told": "Voice mail", "read_back": ""}, follow=True)
    assert "still waits" in answer.content.decode()
    answer = client.post(f"{url(row)}call/", {"told": "", "read_back": "6.9"}, follow=True)
    assert 'class="error"' in answer.content.decode()
    client.post(f"{url(row)}call/", {"told": "Dr. Stone", "read_back": "6.9"})
    row.refresh_from_db()
    assert (row.status, row.how) == ("acknowledged", "phone")


def test_what_a_laboratory_sent_stays_text() -> None:
    row = critical_of(result_value="<script>alert(1)</script>", numeric_value=None, interpretation="<b>x</b>")
    text = signed_in(row.doctor.user).get(url(row)).content.decode()
    assert "<script>alert" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text


def test_the_list_costs_the_same_for_many() -> None:
    client = signed_in("admin")
    critical_of()
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for _ in range(8):
        critical_of()
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few)


@pytest.mark.parametrize("action", ["acknowledge", "call"])
def test_a_change_needs_the_forms_token_and_a_post(action: str) -> None:
    row = critical_of()
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("admin"))
    assert client.post(f"{url(row)}{action}/", {"read_back": "6.9", "told": "x"}).status_code == 403
    assert client.get(f"{url(row)}{action}/").status_code == 405


def test_the_menu_marks_the_one_place_where_one_is() -> None:
    client = signed_in("admin")
    row = critical_of()
    for address, title in ((url(row), "Critical results"), ("/console/labs/", "Lab inbox")):
        menu = client.get(address).content.decode().split("</nav>")[0]
        marked = [line for line in menu.splitlines() if 'aria-current="page"' in line]
        assert len(marked) == 1
        assert title in marked[0]
