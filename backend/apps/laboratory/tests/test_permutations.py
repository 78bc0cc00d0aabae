"""Proves that the order in which a laboratory's messages arrive makes no difference to the chart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import groupby, permutations
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.apps.laboratory import services
from backend.apps.laboratory.models import InboundMessage, LabOrder, LabResult
from backend.apps.laboratory.reports import OrderIn, ReportIn
from backend.apps.laboratory.tests.factories import (
    NOON,
    make_inbound_message,
    make_lab_order,
    make_lab_test,
    observation_in,
    order_in,
    report_in,
)
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient

pytestmark = pytest.mark.django_db(transaction=False)
Feed = list[tuple[InboundMessage, ReportIn]]


class Undo(Exception):
    """Ends a trial and takes its writes back."""


def order_of_events(order: LabOrder) -> tuple[Any, ...]:
    results = LabResult.all_objects.filter(lab_order=order)
    said = [
        (row.panel_code, row.code_as_sent, row.sub_id, row.version, row.is_current, row.status, row.result_value,
         row.abnormal_flag, row.result_date, row.reported_at, row.sent_at, row.supersedes and row.supersedes.digest)
        for row in results.select_related("supersedes")
    ]  # fmt: skip
    return (
        order.is_external, order.placer_order_number, order.status, order.priority, order.order_date,
        order.completed_at, order.specimen_collected_at,
        tuple(sorted(order.tests.values_list("test_code", flat=True))),
        tuple(sorted(order.filler_numbers.values_list("number", flat=True))),
        tuple(sorted(said, key=repr)),
    )  # fmt: skip


def chart(patient: Patient) -> list[tuple[Any, ...]]:
    """Return everything on file for the patient but keys and the names of the messages it came by."""
    return sorted((order_of_events(order) for order in LabOrder.objects.filter(patient=patient)), key=repr)


def chart_after(patient: Patient, feed: Feed) -> list[tuple[Any, ...]]:
    """File the messages in this order, look, and take everything back."""
    seen: list[tuple[Any, ...]] = []
    try:
        with transaction.atomic():
            for message, report in feed:
                assert services.file_report(message, report).status in {"filed", "duplicate"}
            seen = chart(patient)
            assert_versions_count_up(patient)
            raise Undo
    except Undo:
        return seen


def assert_versions_count_up(patient: Patient) -> None:
    """Hold that the versions of each observation count from 1, the last and only the last being current."""
    rows = LabResult.all_objects.filter(lab_order__patient=patient).order_by("result_key", "version")
    for _, group in groupby(rows, key=lambda row: row.result_key):
        versions = list(group)
        assert [row.version for row in versions] == list(range(1, len(versions) + 1))
        assert [row.is_current for row in versions] == [False] * (len(versions) - 1) + [True]
        assert [row.supersedes_id for row in versions] == [None, *(row.pk for row in versions[:-1])]


def hours(count: float) -> Any:
    return NOON + timedelta(hours=count)


def sent(report: ReportIn) -> tuple[InboundMessage, ReportIn]:
    return make_inbound_message(), report


def a_day_of_one_panel(patient: Patient, placer: str) -> Feed:
    """Return preliminary, final, corrected, replayed and withdrawn reports of one panel, with and without numbers."""

    def says(order: OrderIn, hour: float) -> tuple[InboundMessage, ReportIn]:
        return sent(report_in(patient, order, sent_at=hours(hour)))

    early = observation_in(status="preliminary", value="4.0")
    both = {"placer": placer, "filler": "F1"}
    return [
        says(order_in(early, filler="F1", status="preliminary", reported_at=hours(1)), 1.1),
        says(order_in(observation_in(), **both, reported_at=hours(2)), 2.1),
        says(order_in(observation_in(), **both, reported_at=hours(2)), 9),  # the same, resent in the evening
        says(order_in(observation_in(status="corrected", value="5.9", flag="high"), **both, reported_at=hours(3)), 3.1),
        says(order_in(early, filler="F1", status="preliminary", reported_at=hours(4)), 4.1),  # a late preliminary
        says(order_in(observation_in(code="2951-2", status="preliminary"), placer=placer, filler="F2"), 5),
    ]


def test_every_permutation_of_a_solicited_panel_gives_one_chart() -> None:
    patient = make_patient()
    order = make_lab_order(patient=patient, status="ordered")
    asked, final, _, corrected, *rest = a_day_of_one_panel(patient, order.order_number)
    feed = [asked, final, corrected, *rest]
    expected = chart_after(patient, feed)
    for shuffled in permutations(feed):
        assert chart_after(patient, list(shuffled)) == expected
    (only,) = expected
    assert [row[6] for row in only[-1] if row[1] == "2823-3" and row[4]] == ["5.9"]
    assert only[2] == "in_progress"


def test_every_permutation_of_an_unasked_panel_gives_one_chart() -> None:
    patient = make_patient()
    make_lab_test(test_code="24323-8")
    feed = a_day_of_one_panel(patient, "OUTSIDE-1")[:4]
    expected = chart_after(patient, feed)
    assert [order[:2] for order in expected] == [(True, "OUTSIDE-1")]
    for shuffled in permutations(feed):
        assert chart_after(patient, list(shuffled)) == expected


CODES = st.sampled_from(["2823-3", "2951-2"])
HOURS = st.integers(0, 4)
OBSERVATIONS = st.builds(
    observation_in,
    code=CODES,
    status=st.sampled_from(["pending", "preliminary", "final", "corrected", "cancelled"]),
    value=st.sampled_from(["4.1", "5.9"]),
    value_type=st.sampled_from(["NM", "TX"]),
    sub_id=st.sampled_from(["", "1"]),
    observed_at=st.one_of(st.none(), st.builds(hours, HOURS)),
)
NUMBERS = st.sampled_from([("", "F1"), ("OURS", "F1"), ("OURS", "F2"), ("X1", "F3"), ("X1", ""), ("", "F3"), ("", "")])
ORDERS = st.builds(
    lambda numbers, observations, reported, priority: order_in(
        *[replace(each, index=place) for place, each in enumerate(observations, 1)],
        placer=numbers[0],
        filler=numbers[1],
        reported_at=reported,
        priority=priority,
    ),
    NUMBERS,
    st.lists(OBSERVATIONS, max_size=3),
    st.one_of(st.none(), st.builds(hours, HOURS)),
    st.sampled_from(["", "routine", "stat"]),
)
MESSAGES = st.lists(st.tuples(st.lists(ORDERS, min_size=1, max_size=3), HOURS), min_size=2, max_size=5)


@settings(max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=MESSAGES, data=st.data())
def test_any_messages_in_any_order_filed_any_number_of_times_give_one_chart(messages: Any, data: Any) -> None:
    patient = make_patient()
    ours = make_lab_order(patient=patient, status="ordered")

    def numbered(order: OrderIn) -> OrderIn:
        return replace(order, placer=ours.order_number if order.placer == "OURS" else order.placer)

    feed = [sent(report_in(patient, *map(numbered, orders), sent_at=hours(hour + 0.5))) for orders, hour in messages]
    resent = [sent(report) for _, report in data.draw(st.lists(st.sampled_from(feed), max_size=2))]
    expected = chart_after(patient, feed)
    again = data.draw(st.permutations([*feed, *feed[:2], *resent]))
    assert chart_after(patient, again) == expected
