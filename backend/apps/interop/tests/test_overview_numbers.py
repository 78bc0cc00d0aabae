"""Holds what an operator is told of each pipeline: its light and why, its rates, and what its failures share."""

from __future__ import annotations

import ast
import re
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import QueryDict
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder, FreedSlot
from backend.apps.appointments.tests.factories import make_appointment, make_reminder
from backend.apps.core import alerts
from backend.apps.core.depths import cause_of, pattern_of
from backend.apps.core.models import Alert, WorkTally
from backend.apps.core.work import work_models
from backend.apps.interop import alert_words, work_pages
from backend.apps.interop.overview_numbers import NO_PIPELINE, PARTS, Light, Pipeline, pipelines
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


def test_a_held_row_that_no_machine_looks_into_is_a_persons_matter(django_assert_max_num_queries: Any) -> None:
    sought = make_reminder(work_state="held", uncertain_since=ago(minutes=1))
    ended = make_reminder(work_state="held", last_error="nobody knows whether it was sent")
    with django_assert_max_num_queries(8):
        found = pipeline(MESSAGES)
    assert [(each.light, each.sentence) for each in found.reasons] == [
        (Light.RED, "1 row held until a person decides."),
        (Light.AMBER, "It is being found out whether 1 row arrived."),
    ]
    shown = [QueryDict(urlsplit(each.address).query) for each in found.reasons]
    rows = [work_pages.rows_in(AppointmentReminder, *work_pages.asked(asked)).get() for asked in shown]
    assert rows == [ended, sought]
    AppointmentReminder.work.filter(pk=ended.pk).update(work_state="done")
    visit, at = ended.appointment, timezone.now()
    freed = {"starts_at": at, "duration_minutes": 30, "appointment_type": visit.appointment_type}
    FreedSlot.objects.create(doctor=visit.doctor, freed_by=visit, work_state="held", dedupe_key="x", **freed)
    assert (pipeline(MESSAGES).light, pipeline(MESSAGES).why) == (Light.RED, "1 row held until a person decides.")
    assert pipeline(MESSAGES).reasons[0].address == "/console/work/waitlist.offer/?state=held"


def test_what_failed_long_ago_is_not_green() -> None:
    make_inbound_message(work_state="failed", due_at=ago(days=9))
    found = pipeline(LABS)
    assert (found.light, found.why) == (Light.AMBER, "1 row failed: a person has to look.")
    InboundMessage.work.given_up(*InboundMessage.work.values_list("pk", flat=True), reason="They came in person")
    assert pipeline(LABS).light == Light.GREEN


def kinds_in_code() -> set[str]:
    """Return every kind of alert that some module opens, or how it begins where the rest is worked out."""
    found = set[str]()
    for path in [*Path("backend/apps").rglob("*.py"), *Path("workers").rglob("*.py")]:
        text = path.read_text()
        if "alerts.open_once(" in text and "tests" not in path.parts:
            found |= kinds_of(import_module(".".join(path.with_suffix("").parts)), ast.parse(text))
    return found


def kinds_of(module: Any, tree: ast.Module) -> set[str]:
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    opened = [each for each in calls if ast.unparse(each.func) == "alerts.open_once"]
    given = [word.value for call in opened for word in call.keywords if word.arg == "kind"]
    assert len(given) == len(opened), module
    found = set[str]()
    for value in given:
        if isinstance(value, ast.JoinedStr):
            found.add(value.values[0].value)  # type: ignore[attr-defined]  # it begins with its prefix
        elif isinstance(value, ast.Name) and not hasattr(
            module, value.id
        ):  # its caller says: any constant of the module
            found |= {word for name, word in vars(module).items() if name.isupper() and is_kind(word)}
        else:
            found.add(eval(ast.unparse(value), vars(module)))  # noqa: S307  # our own source
    return found


def is_kind(word: Any) -> bool:
    return isinstance(word, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", word) is not None


def test_every_kind_of_alert_colours_one_pipeline_or_is_named_as_of_none_and_leads_to_a_page() -> None:
    kinds = kinds_in_code()
    assert {"reminders_channel_stopped", "questions_to_payers", "messages_", "deposits_unmatched"} <= kinds
    assert len(kinds) > 30
    for kind in kinds:
        owners = [part.name for part in PARTS if kind.startswith(part.alerts)]
        is_of_people = kind.startswith(NO_PIPELINE)  # and always names the row it is about, which has a page
        assert len(owners) == (0 if is_of_people else 1), kind
        assert is_of_people or alert_words.address_of(Alert(kind=kind)), kind


def test_a_light_leads_to_the_alerts_it_is_of() -> None:
    for kind in ("reminders_channel_stopped", "message_template_unusable", "claims_file"):
        alerts.open_once(kind, kind=kind, sentence="x", severity="critical")
    (reason,) = pipeline(MESSAGES).reasons
    asked = parse_qs(urlsplit(reason.address).query)
    assert (reason.light, reason.sentence, asked) == (
        Light.RED,
        "2 open critical alerts.",
        {
            "state": ["unresolved"],
            "severity": ["critical"],
            "kind": ["message_template_unusable", "reminders_channel_stopped"],
        },
    )


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


def test_rows_without_a_reason_lead_to_those_alone() -> None:
    make_inbound_message(work_state="failed", last_error="")
    make_inbound_message(work_state="failed", last_error="off")
    query = next(each.query for each in pipeline(LABS).failures if each.sentence == "No reason was noted.")
    asked = QueryDict(urlsplit(query).query)
    assert work_pages.rows_in(InboundMessage, *work_pages.asked(asked)).count() == 1


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
