"""Holds the numbers for monitoring: who may read them, what they say, and that no patient is in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core import alerts, tallies
from backend.apps.core.models import AuditLog, Heartbeat
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_order_feed
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db
MARK = "Zqxjk"


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def numbers(**headers: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return each number of an answer by its name and the values of its labels."""
    text = Client().get("/metrics", headers=headers).content.decode()
    return {
        (sample.name.removeprefix("carerelay_"), _labels(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(found: dict[str, str]) -> tuple[str, ...]:
    return tuple(found[name] for name in sorted(found, reverse=True))  # the task first


def test_it_tells_how_much_of_each_work_waits_runs_and_stands_still() -> None:
    make_inbound_message(due_at=ago(minutes=5))
    make_inbound_message(due_at=ago(hours=-1))
    for state in ("held", "failed"):
        make_inbound_message(work_state=state)
    make_inbound_message(work_state="failed", last_error="given up: the laboratory sent it anew")
    make_inbound_message(work_state="running", leased_until=ago(minutes=1))
    found = numbers()
    told = [found[f"queue_{name}", ("lab_results.file",)] for name in ("depth", "held", "failed", "running", "lost")]
    assert told == [1, 1, 1, 1, 1]
    assert found["queue_oldest_seconds", ("lab_results.file",)] == pytest.approx(300, abs=30)
    assert found["queue_depth", ("claims.transmit",)] == 0


def test_lanes_of_messages_count_as_one_queue() -> None:
    visit = make_appointment()
    for lane in (0, 3):
        due_at = ago(minutes=lane + 1)
        make_reminder(appointment=visit, lane=lane, due_at=due_at, offset_minutes=60 + lane)
    found = numbers()
    assert found["queue_depth", ("reminders.deliver",)] == 2
    assert found["queue_oldest_seconds", ("reminders.deliver",)] == pytest.approx(240, abs=30)


def test_it_tells_how_work_ended_how_long_it_took_and_what_partners_refused() -> None:
    tallies.note("reminders.deliver", {"done": 3, "failed": 1}, 8.0, 40.0, {"bad_address": 1})
    tallies.note("reminders.deliver", {"done": 1}, 2.0, 10.0)
    found = numbers()
    assert found["outcomes_total", ("reminders.deliver", "done")] == 4
    assert found["work_seconds_total", ("reminders.deliver", "done")] == 8
    assert found["wait_seconds_total", ("reminders.deliver", "failed")] == 10
    assert found["provider_errors_total", ("reminders.deliver", "bad_address")] == 1
    assert ("outcomes_total", ("reminders.deliver", "error:bad_address")) not in found


def test_it_tells_of_silent_feeds_late_beats_and_open_alerts() -> None:
    feed = make_lab_feed()
    make_inbound_message(feed=feed, received_at=ago(hours=2))
    ran = ago(seconds=100)
    Heartbeat.objects.create(entry="feed silence", last_run_at=ran, due_by=ago(seconds=90), failures=2)
    alerts.open_once("x:1", kind="claims_file", sentence="A file waits.", severity="critical")
    found = numbers()
    assert found["feed_silence_seconds", (str(feed.pk),)] == pytest.approx(7200, abs=30)
    assert found["beat_late_seconds", ("feed silence",)] == pytest.approx(90, abs=30)
    assert found["beat_last_run_timestamp_seconds", ("feed silence",)] == pytest.approx(ran.timestamp())
    assert found["beat_failures", ("feed silence",)] == 2
    assert (found["alerts_open", ("critical",)], found["alerts_open", ("info",)]) == (1, 0)
    assert (found["up", ("database",)], found["up", ("broker",)]) == (1, 1)


def test_nothing_of_a_patient_is_in_them_and_reading_them_leaves_no_audit_row() -> None:
    patient = make_patient(first_name=f"{MARK}first", last_name=f"{MARK}last", phone="+14155557391")
    make_reminder(
        appointment=make_appointment(patient=patient), work_state="failed", last_error=f"refused {MARK} (twilio:21211)"
    )
    make_inbound_message(raw=f"MSH|{MARK}".encode(), due_at=ago(minutes=5))
    text = Client().get("/metrics").content.decode()
    assert 'carerelay_queue_failed{task="reminders.deliver"} 1.0' in text
    assert MARK not in text
    assert str(patient.pk) not in text
    assert str(AppointmentReminder.objects.get().pk) not in text
    assert not AuditLog.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic the-token"}, 401),
        ({"Authorization": "Bearer thé-token"}, 401),
        ({"Authorization": "bearer the-token"}, 200),
    ],
)
def test_with_a_token_only_its_holder_reads_them(settings: Any, headers: dict[str, str], status: int) -> None:
    settings.METRICS_TOKEN = "the-token"
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
    assert (b"carerelay_up" in answer.content) == (status == 200)


@pytest.mark.parametrize(
    ("production", "where", "status"),
    [
        (False, {"REMOTE_ADDR": "127.0.0.1"}, 200),
        (False, {"REMOTE_ADDR": "::1"}, 200),
        (False, {"REMOTE_ADDR": "192.0.2.7"}, 403),
        (False, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        (True, {"REMOTE_ADDR": "127.0.0.1"}, 403),
    ],
)
def test_without_a_token_only_this_machine_reads_them_and_in_production_nobody(
    settings: Any, production: bool, where: dict[str, str], status: int
) -> None:
    settings.METRICS_TOKEN, settings.IN_PRODUCTION = "", production
    assert Client().get("/metrics", **where).status_code == status


def test_a_database_that_is_away_is_told_and_no_number_is_made_up() -> None:
    def away(*_: Any) -> None:
        raise OperationalError

    with connection.execute_wrapper(away):
        found = numbers()
    assert set(found) == {("up", ("broker",)), ("up", ("database",))}
    assert found["up", ("database",)] == 0


def test_one_answer_takes_few_queries_whatever_there_is(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        make_inbound_message(feed=make_order_feed(), due_at=ago(minutes=5))
    with django_assert_max_num_queries(5):
        Client().get("/metrics")
