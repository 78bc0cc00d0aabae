"""Proves that the overview tells each pipeline's state in words, leads from numbers to their rows, and stays cheap."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import AuditLog, Heartbeat, ReconcileRun
from backend.apps.insurance.tests.inquiry_factories import make_eligibility_inquiry
from backend.apps.interop import alert_words, overview_books, overview_pages
from backend.apps.laboratory.tests.factories import make_inbound_message
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
PAGE = "/console/"


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_each_number_of_the_overview_leads_to_exactly_its_rows() -> None:
    client = signed_in("admin")
    failed = [
        make_inbound_message(work_state="failed", status="worklist", last_error=f"no map for code {number}")
        for number in (1, 2)
    ]
    waiting = make_inbound_message(due_at=timezone.now() - timedelta(minutes=30))
    text = text_of(client.get(PAGE))
    link = next(found for found in re.findall(r'href="([^"]+)"', text) if "cause=" in found).replace("&amp;", "&")
    shown = text_of(client.get(link))
    assert all(str(row.pk) in shown for row in failed)
    assert "state=waiting" in text
    assert str(waiting.pk) in text_of(client.get("/console/work/lab_results.file/?state=waiting"))


def test_a_light_has_a_word_and_a_line_has_a_text() -> None:
    text = text_of(signed_in("admin").get(PAGE))
    assert '<span class="tag good">fine</span>' in text
    assert 'role="img" aria-label="Done by the hour in the last day: 0 in the last hour, 0 at most."' in text
    assert " style=" not in text
    assert overview_pages.points((0, 2, 1)) == "0.0,27.0 60.0,1.0 120.0,14.0"
    assert overview_pages.points(()) == ""


def test_late_beats_open_alerts_and_the_last_books_stand_at_the_top() -> None:
    Heartbeat.objects.create(entry="sweep", due_by=timezone.now() - timedelta(minutes=1))
    alerts.open_once("a", kind="claims_file", sentence="x", severity="critical")
    for number, agree in enumerate((True, False)):
        ReconcileRun.objects.create(
            part="claims", agree=agree, ended_at=timezone.now(), work_state="done", dedupe_key=f"books {number}"
        )
    text = text_of(signed_in("admin").get(PAGE))
    assert '<span class="tag bad">late</span> sweep' in text
    assert "1 critical" in text
    assert "claims do not agree" in text
    assert "claims agree" not in text


def run(**over: Any) -> ReconcileRun:
    fields = {"part": "claims", "agree": True, "ended_at": timezone.now(), "work_state": "done"}
    return ReconcileRun.objects.create(**{**fields, "dedupe_key": f"books {uuid4()}", **over})


def standing() -> tuple[str, str]:
    return next((each.tone, each.word) for each in overview_books.standings() if each.part == "claims")


def test_books_agree_only_when_all_of_them_do_and_no_alert_is_open() -> None:
    assert standing() == ("wait", "not closed yet")
    run(since=timezone.now() - timedelta(days=1))
    assert standing() == ("wait", "not closed yet")  # a short range says nothing of the rest
    run(since=timezone.now() - timedelta(days=9), dedupe_key=f"reconcile:{uuid4()}:1")
    assert standing() == ("wait", "not closed yet")  # nor does a half of a long one
    whole = run()
    assert standing() == ("good", "agree")
    run(agree=False, until=timezone.now())
    assert standing() == ("good", "agree")
    cause = f"reconcile disagrees:claims:{whole.pk}"
    alert = alerts.open_once(cause, kind="reconcile_disagrees", sentence="x", severity="critical", subject=whole)
    assert standing() == ("bad", "have an open alert")
    assert alert_words.address_of(alert) == f"/console/reconcile/{whole.pk}/"
    page = text_of(signed_in("admin").get("/console/reconcile/"))
    assert f'<a class="tag bad" href="/console/alerts/{alert.pk}/">have an open alert</a>' in page


def test_books_closed_in_halves_agree_when_each_half_does() -> None:
    now = timezone.now()
    halves = [run(until=now, ended_at=None, agree=None, work_state="waiting"), run(since=now)]
    run(agree=None, books={"split": [str(half.pk) for half in halves]})
    assert standing() == ("wait", "are being closed")
    ReconcileRun.objects.filter(pk=halves[0].pk).update(agree=True, ended_at=now)
    assert standing() == ("good", "agree")
    ReconcileRun.objects.filter(pk=halves[0].pk).update(agree=False)
    assert standing() == ("bad", "do not agree")


def test_the_worst_stands_first_and_critical_alerts_above_all() -> None:
    make_inbound_message(work_state="held")
    alert = alerts.open_once("a", kind="claims_file", sentence="File 7 waits.", severity="critical")
    alerts.acknowledge(alert, by=None)
    text = text_of(signed_in("admin").get(PAGE))
    names = re.findall(r'<section class="panel line" aria-label="([^"]+)"', text)
    assert names[:3] == ["Lab results", "Claims", "Reminders and messages"]
    told = f'<a href="/console/alerts/{alert.pk}/">File 7 waits.</a>'
    assert text.index(told) < text.index("The clinic's machines")
    assert '<a href="/console/work/lab_results.file/?state=held">1 row held until a person decides.</a>' in text
    link = re.findall(r'href="([^"]+)"><span class="tag bad">1 critical', text)[0].replace("&amp;", "&")
    assert "File 7 waits." in text_of(signed_in("admin").get(link))


def test_what_payers_are_to_be_asked_leads_to_the_questions() -> None:
    make_eligibility_inquiry(status="queued", sent_at=None)
    text = text_of(signed_in("admin").get(PAGE))
    link = re.findall(r'href="([^"]+)">1 questions about insurance to ask', text)[0]
    assert signed_in("admin").get(link.replace("&amp;", "&")).status_code == 200


def test_the_numbers_are_for_the_administrator_and_the_pages_for_each_role() -> None:
    for role in ("doctor", "receptionist", "lab_tech"):
        client = signed_in(role)
        answer = client.get(PAGE)
        assert answer.status_code == 200
        assert b'id="numbers"' not in answer.content
        assert client.get(f"{PAGE}numbers/").status_code == 403
    assert "/console/labs/" in text_of(signed_in("lab_tech").get(PAGE))


def test_the_part_that_is_fetched_again_is_sealed_leaves_no_trace_and_ends_with_the_session() -> None:
    client = signed_in("admin")
    before = AuditLog.objects.count()
    answer = client.get(f"{PAGE}numbers/", headers={"HX-Request": "true"})
    assert answer.content.strip().startswith(b'<div id="numbers"')
    assert "connect-src 'self'" in answer["Content-Security-Policy"]
    assert AuditLog.objects.count() == before
    away = Client().get(f"{PAGE}numbers/", headers={"HX-Request": "true"})
    assert (away.status_code, away["HX-Refresh"]) == (204, "true")


def test_the_overview_asks_few_questions_however_much_there_is() -> None:
    client = signed_in("admin")
    for number in range(3):
        make_inbound_message(work_state="failed", status="worklist", last_error=f"cause {'x' * number}")
        alerts.open_once(f"a {number}", kind="claims_file", sentence="x")
    with CaptureQueriesContext(connection) as asked:
        client.get(PAGE)
    assert len(asked) < 16
