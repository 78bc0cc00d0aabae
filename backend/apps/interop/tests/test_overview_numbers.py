"""Holds what an operator is told of each pipeline: its light and why, its rates, and what its failures share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core import alerts
from backend.apps.core.depths import cause_of, pattern_of
from backend.apps.core.models import WorkTally
from backend.apps.core.work import work_models
from backend.apps.interop.overview_numbers import PARTS, Light, Pipeline, pipelines
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message

pytestmark = pytest.mark.django_db
LABS, MESSAGES = "Lab results", "Reminders and messages"


def pipeline(name: str) -> Pipeline:
    return next(each for each in pipelines(timezone.now()) if each.name == name)


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def stuck(count: int, **over: Any) -> None:
    visit = make_appointment()
    for number in range(count):
        make_reminder(appointment=visit, offset_minutes=60 + AppointmentReminder.work.count(), **over)
        over = {
            name: value.replace("1:", f"{number}2:") if name == "last_error" else value for name, value in over.items()
        }


def tally(task: str, outcome: str, count: int, **span: float) -> None:
    WorkTally.objects.create(task=task, outcome=outcome, count=count, starts_at=ago(**span))


def test_every_kind_of_work_belongs_to_one_pipeline() -> None:
    tasks = [task for part in PARTS for task in part.tasks]
    assert len(tasks) == len(set(tasks))
    assert {model.task_name for model in work_models()} == set(tasks) - {"eligibility.build"}


def test_a_clinic_at_rest_is_green_all_over() -> None:
    make_inbound_message(due_at=timezone.now() + timedelta(hours=1))
    tally("lab_results.file", "done", 5, hours=1)
    for each in pipelines(timezone.now()):
        assert (each.light, each.depth, each.held, each.failed) == (Light.GREEN, 0, 0, 0), each


@pytest.mark.parametrize(
    ("row", "light", "why"),
    [
        ({"due_at": 30}, Light.GREEN, "Nothing is late and nothing failed in the last day."),
        ({"due_at": 305}, Light.AMBER, "The oldest row has been due for 5 minutes."),
        ({"due_at": 1505}, Light.RED, "The oldest row has been due for 25 minutes."),
        ({"work_state": "held"}, Light.RED, "1 row held until a person decides."),
        ({"work_state": "running", "leased_until": 60}, Light.AMBER,
         "The worker of 1 row is overdue."),
    ],
    ids=["just due", "late", "too late", "held", "lost"],
)  # fmt: skip
def test_the_light_tells_the_worst_there_is(row: dict[str, Any], light: Light, why: str) -> None:
    at = {name: ago(seconds=value) if isinstance(value, int) else value for name, value in row.items()}
    make_inbound_message(**at)
    found = pipeline(LABS)
    assert (found.light, found.why) == (light, why)


def test_a_send_whose_answer_was_lost_is_no_persons_matter_yet() -> None:
    make_reminder(work_state="held", uncertain_since=ago(minutes=1))
    assert pipeline(MESSAGES).light == Light.AMBER


def test_failures_of_the_last_day_and_open_alerts_colour_it_too() -> None:
    tally("lab_results.file", "failed", 3, hours=23)
    tally("lab_orders.send", "failed", 3, hours=25)
    assert (pipeline(LABS).light, pipeline(LABS).why) == (Light.AMBER, "3 rows failed in the last day.")
    assert pipeline("Lab orders").light == Light.GREEN
    alerts.open_once("feed silent:1", kind="lab_feed_silent", sentence="Silent.", severity="critical")
    assert (pipeline(LABS).light, pipeline(LABS).why) == (Light.RED, "1 open critical alert.")


def test_the_rate_is_told_for_each_of_the_last_24_hours() -> None:
    tally("lab_results.file", "done", 7, minutes=10)
    tally("lab_replays.run", "done", 2, minutes=20)
    tally("lab_results.file", "done", 5, hours=23, minutes=30)
    tally("lab_results.file", "done", 99, hours=24, minutes=30)
    tally("lab_results.file", "waiting", 99, minutes=10)
    found = pipeline(LABS)
    assert (found.spark, found.done_24h) == ((5, *[0] * 22, 9), 14)


def test_failures_are_grouped_by_cause_and_lead_to_exactly_their_rows() -> None:
    stuck(
        3,
        work_state="failed",
        last_error="line 1: the number 0190e1c2-0000-7000-8000-00000000000a is off (twilio:21211)",
    )
    stuck(2, work_state="failed", last_error="line 1: the number is off (twilio:30007)")
    stuck(1, work_state="held", last_error="no answer (twilio:lost)")
    stuck(1, work_state="failed", last_error="given up: 1: they came in person")
    found = pipeline(MESSAGES)
    assert [(each.sentence, each.count) for each in found.failures] == [
        ("line …: the number … is off (twilio:21211)", 3),
        ("line …: the number is off (twilio:30007)", 2),
        ("no answer (twilio:lost)", 1),
    ]
    for each in found.failures:
        asked = parse_qs(urlsplit(each.query).query)
        rows = AppointmentReminder.work.filter(
            work_state=asked["state"][0], last_error__regex=pattern_of(asked["cause"][0])
        )
        assert (rows.count(), urlsplit(each.query).path) == (each.count, "/console/work/reminders.deliver/")
    assert (found.failed, found.held) == (5, 1)


@pytest.mark.parametrize(
    "text", ["", "5 of 7 (x:1)", "a.b*[c]^$ \\d 12", "été № 3", "0190e1c2-0000-7000-8000-00000000000a", "…", "***=x 1"]
)
def test_every_error_is_found_again_by_its_cause(text: str) -> None:
    make_inbound_message(work_state="failed", last_error=text)
    make_inbound_message(work_state="failed", last_error="something else")
    assert InboundMessage.work.filter(last_error__regex=pattern_of(cause_of(text))).count() == 1


def test_all_pipelines_take_few_queries_whatever_there_is(django_assert_max_num_queries: Any) -> None:
    stuck(3, work_state="failed", last_error="off")
    make_inbound_message(work_state="held")
    with django_assert_max_num_queries(6):
        pipelines(timezone.now())
