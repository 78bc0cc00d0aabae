"""Holds what is heard late: wishes out of order, what we had given up, and reports while a consent is changed."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.messaging import consequences, fallbacks
from backend.apps.messaging.models import StaffTask
from backend.apps.patients import consents
from backend.apps.patients.models import ContactPoint, Patient
from backend.apps.patients.tests.factories import reached_at
from tests.support.races import at_once, wait_until_waited_for
from tests.workers.rows import stored
from tests.workers.tries import begun, instead_of, sent, states, told, uncertain
from workers import lost_messages, provider_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("last", "agrees"), [("group_unsubscribe", False), ("group_resubscribe", True)])
def test_the_last_wish_of_a_mailbox_holds_in_whatever_order_they_come(last: str, agrees: bool, together: bool) -> None:
    row = sent("email", status="delivered")
    first = {"group_unsubscribe": "group_resubscribe", "group_resubscribe": "group_unsubscribe"}[last]
    now, about = timezone.now(), {"payload": {"email": row.recipient_email.upper()}}
    if not agrees:
        told(row, "unsubscribe", occurred_at=now - timedelta(hours=3), **about)
        provider_events.apply()
    for word, ago in ((last, 1), (first, 2)):
        told(row, word, occurred_at=now - timedelta(hours=ago), **about)
        if not together:
            provider_events.apply()
    provider_events.apply()
    point = ContactPoint.objects.filter(opted_out_at__isnull=False)
    assert (Patient.objects.get(pk=row.patient.pk).email_consent, point.exists()) == (agrees, not agrees)


def test_an_old_opt_in_does_not_open_what_was_closed_by_our_own_page_since() -> None:
    row = sent("email", status="delivered")
    consents.opt_out_email(row.patient, method="unsubscribe", evidence=str(row.pk))
    old = {"occurred_at": timezone.now() - timedelta(hours=2), "payload": {"email": row.recipient_email}}
    told(row, "group_resubscribe", **old)
    provider_events.apply()
    assert not Patient.objects.get(pk=row.patient.pk).email_consent
    told(row, "group_resubscribe", **old | {"occurred_at": timezone.now()})
    provider_events.apply()
    assert Patient.objects.get(pk=row.patient.pk).email_consent


GIVEN_UP = {"last_error": "nobody knows whether it was sent", "uncertain_since": None}


def given_up(**over: Any) -> Any:
    """Save a text nobody knows of, for which a mail was written instead."""
    row = uncertain(lane=0, **{**GIVEN_UP, **over})
    fallbacks.fall_back(row, reason="Nobody knows.")
    assert instead_of(row) == ["email"]
    return row


def test_what_was_given_up_and_failed_after_all_is_not_told_twice() -> None:
    row = given_up()
    consequences.open_unknown(row, "Nobody knows.")
    told(row, "undelivered", error_code="30008")
    provider_events.apply()
    assert states(row) == ("failed", "done")
    assert instead_of(row) == ["email"]
    assert not StaffTask.objects.filter(done_at__isnull=True).exists()


def test_what_was_given_up_and_arrived_closes_the_tasks_that_asked_for_it() -> None:
    row = uncertain(**GIVEN_UP)
    consequences.open_unknown(row, "Nobody knows.")
    fallbacks.fall_back(row, reason="Nobody knows.")
    type(row).objects.filter(fallback_of=row).update(fallback_of=None)
    reached_at(row.patient, email="")
    assert fallbacks.fall_back(stored(row), reason="Nobody knows.")
    assert set(StaffTask.objects.values_list("kind", flat=True)) == {"unknown", "call"}
    told(row, "delivered")
    provider_events.apply()
    assert states(row) == ("delivered", "done")
    assert not StaffTask.objects.filter(done_at__isnull=True).exists()


def test_what_was_given_up_as_not_sent_and_arrived_is_delivered_and_told_as_a_double() -> None:
    row = given_up(work_state="failed", status="failed", last_error="It was not sent.")
    told(row, "delivered")
    provider_events.apply()
    assert (*states(row), stored(row).external_id) == ("delivered", "done", "SM1")
    assert StaffTask.objects.get(done_at__isnull=True).cause == f"double:{row.pk}"


def test_that_a_second_try_failed_says_nothing_of_the_first_that_arrived() -> None:
    row = begun(lane=1, lease_no=2, resends=1)
    told(row, "delivered")
    provider_events.apply()
    second = told(row, "undelivered", error_code="30005", message_id="SM2", attempt_id=f"{row.pk}.2")
    provider_events.apply()
    assert (states(row), stored(second).outcome) == (("delivered", "done"), "unchanged")
    assert instead_of(row) == []


def test_of_a_row_that_was_leased_hundreds_of_times_only_the_last_tries_are_asked_for() -> None:
    rows = [uncertain(lease_no=500) for _ in range(2)]
    for row, lease_no in zip(rows, (500, 451), strict=True):
        told(row, "sent", message_id=f"SM{lease_no}", attempt_id=f"{row.pk}.{lease_no}")
    with CaptureQueriesContext(connection) as queries:
        assert lost_messages.reconcile() == "2 adopted"
    assert {states(row) for row in rows} == {("sent", "done")}
    assert sum(query["sql"].count(f"{rows[0].pk}.") for query in queries) < 60


@pytest.mark.django_db(transaction=True)
def test_reports_and_a_change_of_consent_at_once_do_not_lock_each_other_out() -> None:
    row = sent()
    told(row, "failed", error_code="21610")
    locked, ended = threading.Event(), list[object]()

    def opt_in_and_plan() -> None:
        with transaction.atomic():
            Patient.objects.select_for_update(no_key=True).get(pk=row.patient.pk)
            locked.set()
            wait_until_waited_for()
            type(row).objects.select_for_update().get(pk=row.pk)

    def report() -> None:
        locked.wait(10)
        ended.append(provider_events.apply())

    assert at_once(opt_in_and_plan, report) == ["done"] * 2
    assert ended == ["1 done"]
    assert states(row) == ("failed", "done")
