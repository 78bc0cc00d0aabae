"""Proves the pages of the books: verdicts by part, accounts, faults with links, closing now and trying again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core.ledger import SHOWN
from backend.apps.core.models import AuditLog, Clinic, ReconcileRun
from backend.apps.core.roles import Role
from backend.apps.insurance.tests.factories import make_claim, partner
from backend.apps.insurance.tests.sent_claims import sent_file
from backend.apps.interop import reconcile_links, reconciling
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/console/reconcile/"
FAULT = {"check": "reminders: contradiction", "sentence": "They do not go together.", "count": 7}
ACCOUNT = {"name": "reminders by text", "taken_in": 12345, "outcomes": {"sent": 12300, "held": 0}, "in_line": 44}


def make_run(part: str = "reminders", **over: Any) -> ReconcileRun:
    key = f"test:{ReconcileRun.objects.count()}"
    return ReconcileRun.work.create(**{"part": part, "dedupe_key": key, "work_state": "done", "agree": True, **over})


def shown(url: str, role: str = "admin") -> str:
    answer = signed_in(role).get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_part_is_shown_with_its_last_verdict() -> None:
    make_run(agree=False)
    make_run()
    make_run("claims", agree=False)
    make_run("exports", work_state="failed", agree=None, last_error="OperationalError")
    make_run("credentials", work_state="waiting", agree=None)
    page = shown(LIST)
    for said in ("agrees, to the row", "does not agree", "broke off", "OperationalError", "in line", "never closed"):
        assert said in page
    assert 'data-again="5"' in page
    assert "Close the books" in page


def test_a_run_shows_its_accounts_and_what_is_wrong_with_links_to_the_rows() -> None:
    row = make_reminder()
    names = [str(row.pk), "2 of 2026-01-31 12:00 UTC"]
    books = {"faults": [{**FAULT, "examples": names}], "accounts": [{**ACCOUNT, "unexplained": 1}]}
    run = make_run(agree=False, books=books, ended_at=timezone.now())
    page = shown(f"{LIST}{run.pk}/")
    assert f'<a href="{reverse("console:reminder-visit", args=[row.appointment_id])}">{row.pk}</a>' in page
    for said in ("does not agree", "1 missing", "12300 sent", "2 of 2026-01-31 12:00 UTC", "and others"):
        assert said in page
    assert "0 held" not in page
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(run.pk)).exists()


def test_of_many_rows_a_run_shows_some() -> None:
    names = [f"row {number:03}." for number in range(SHOWN + 1)]
    run = make_run(agree=False, books={"faults": [{**FAULT, "count": len(names), "examples": names}]})
    page = shown(f"{LIST}{run.pk}/")
    assert names[SHOWN - 1] in page
    assert names[SHOWN] not in page
    assert "and others" in page


def test_a_run_in_two_halves_leads_to_them_and_one_that_waits_is_looked_at_again() -> None:
    half = make_run()
    page = shown(f"{LIST}{make_run(agree=None, books={'split': [str(half.pk)]}).pk}/")
    assert f'href="{LIST}{half.pk}/"' in page
    assert 'data-again="3"' in shown(f"{LIST}{make_run(agree=None, work_state='running').pk}/")
    assert reconciling.last_runs()["reminders"] != half


def test_the_books_are_closed_now_for_the_days_that_were_given() -> None:
    Clinic.objects.create(name="West", time_zone="America/Denver")
    client = signed_in("admin")
    answer = client.post(f"{LIST}close/", {"part": "claims", "since": "2026-01-31", "until": ""}, follow=True)
    run = ReconcileRun.objects.get()
    assert (run.part, run.until, run.work_state) == ("claims", None, "waiting")
    assert run.since == datetime(2026, 1, 31, tzinfo=ZoneInfo("America/Denver"))  # the midnight of the clinic
    assert run.requested_by is not None
    assert "being closed" in answer.content.decode()
    again = client.post(f"{LIST}close/", {"part": "claims"}, follow=True).content.decode()
    assert "being closed already" in again
    wrong = client.post(f"{LIST}close/", {"part": "claims", "since": "yesterday"}, follow=True).content.decode()
    assert "Give the day as in" in wrong
    assert ReconcileRun.objects.count() == 1


def test_a_run_that_broke_off_is_tried_again() -> None:
    run = make_run(work_state="failed", agree=None, last_error="OperationalError")
    assert "Try again" in shown(f"{LIST}{run.pk}/")
    answer = signed_in("admin").post(f"{LIST}{run.pk}/retry/", follow=True)
    run.refresh_from_db()
    assert (run.work_state, run.last_error) == ("waiting", "")
    assert "In line again." in answer.content.decode()


@pytest.mark.parametrize("role", sorted({Role.DOCTOR, Role.RECEPTIONIST, Role.LAB_TECH}))
def test_others_may_not_see_or_close_the_books(role: str) -> None:
    run, client = make_run(), signed_in(make_user(role))
    for url in (LIST, f"{LIST}{run.pk}/"):
        assert client.get(url).status_code == 403
    assert client.post(f"{LIST}close/", {"part": "claims"}).status_code == 403
    assert ReconcileRun.objects.count() == 1


def test_a_row_without_a_page_of_its_own_leads_to_the_admin_and_one_that_is_gone_nowhere() -> None:
    claim = make_claim()
    file = sent_file(partner(), claim)
    tried = claim.submissions.get()
    found = reconcile_links.addresses(
        "claims", [str(file.pk), str(tried.pk), str(claim.patient_insurance_id), "000000009"]
    )
    assert found == {
        str(file.pk): f"/admin/insurance/interchange/{file.pk}/change/",
        str(tried.pk): f"/console/claims/{claim.pk}/",
    }
    assert reconcile_links.addresses("money", [str(file.pk)]) == {}


def test_the_list_costs_the_same_for_many_runs(django_assert_max_num_queries: Any) -> None:
    client = signed_in("admin")
    since = timezone.now() - timedelta(days=8)
    for _ in range(12):
        make_run(since=since, requested_by=make_user("admin"))
    with django_assert_max_num_queries(16):
        assert client.get(LIST).status_code == 200
