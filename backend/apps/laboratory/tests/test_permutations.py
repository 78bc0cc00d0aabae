"""Proves that the order in which a laboratory's messages arrive makes no difference to the chart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import cycle, groupby, islice, permutations, zip_longest
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.apps.laboratory import services
from backend.apps.laboratory.models import InboundMessage, LabOrder, LabResult
from backend.apps.laboratory.reports import OrderIn, ParentIn, ReportIn, SpecimenIn
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
from tests.support.races import at_once

pytestmark = pytest.mark.django_db(transaction=False)
Feed = list[tuple[InboundMessage, ReportIn]]


class Undo(Exception):
    """Ends a trial and takes its writes back."""


def order_of_events(order: LabOrder) -> tuple[Any, ...]:
    results = LabResult.all_objects.filter(lab_order=order)
    said = [
        (row.panel_code, row.code_as_sent, row.sub_id, row.version, row.is_current, row.status, row.result_value,
         row.abnormal_flag, row.result_date, row.reported_at, row.sent_at, row.supersedes and row.supersedes.digest,
         row.lab_test and row.lab_test.test_code, row.parent and row.parent.result_key)
        for row in results.select_related("supersedes", "lab_test", "lab_order")
    ]  # fmt: skip
    specimens = order.specimens.values_list("specimen_id", "type_code", "condition", "said_at")
    return (
        order.is_external, order.placer_order_number, order.status, order.priority, order.order_date,
        order.completed_at, order.specimen_collected_at,
        tuple(sorted(order.tests.values_list("test_code", flat=True))),
        tuple(sorted(order.filler_numbers.values_list("number", flat=True))),
        tuple(sorted(specimens, key=repr)), tuple(sorted(said, key=repr)),
    )  # fmt: skip


def chart(patient: Patient) -> list[tuple[Any, ...]]:
    """Return everything on file for the patient but keys and the names of the messages it came by."""
    return sorted((order_of_events(order) for order in LabOrder.objects.filter(patient=patient)), key=repr)


def chart_after(patient: Patient, feed: Feed, *, together: Sequence[int] = ()) -> list[tuple[Any, ...]]:
    """File the messages in this order, look, and take everything back.

    together: how many are filed as one, again and again; without it they are filed one by one.
    """
    seen: list[tuple[Any, ...]] = []
    try:
        with transaction.atomic():
            sizes = cycle(together or (1,))
            rest = list(feed)
            while rest:
                size = next(sizes)
                outcomes = services.file_reports([(message, [report]) for message, report in rest[:size]])
                assert {one.status for each in outcomes for one in each} <= {"filed", "duplicate"}
                del rest[:size]
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
    for place, shuffled in enumerate(islice(permutations(feed), 0, None, 3)):
        assert chart_after(patient, list(shuffled), together=(99,) if place % 4 else ()) == expected
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
NUMBERS = st.sampled_from(
    [
        ("", "F1"), ("OURS", "F1"), ("OURS", "F2"), ("X1", "F3"), ("X1", ""), ("", "F3"), ("", ""),
        ("OTHER", "F1"), ("X1", "F1"), ("X2", "F3"), ("OTHER", "F4"), ("X2", ""),  # numbers that are used twice
    ]
)  # fmt: skip
SPECIMENS = st.builds(
    SpecimenIn,
    specimen_id=st.sampled_from(["S1", ""]),
    code=st.sampled_from(["SER", "BLD"]),
    condition=st.sampled_from(["", "HEM"]),
)
ORDERS = st.builds(
    lambda numbers, observations, reported, priority, panel, specimens, parent: order_in(
        *[replace(each, index=place) for place, each in enumerate(observations, 1)],
        placer=numbers[0],
        filler=numbers[1],
        reported_at=reported,
        priority=priority,
        code=panel,
        specimens=tuple(specimens),
        parent=parent,
    ),
    NUMBERS,
    st.lists(OBSERVATIONS, max_size=3),
    st.one_of(st.none(), st.builds(hours, HOURS)),
    st.sampled_from(["", "routine", "stat"]),
    st.sampled_from(["24323-8", "600-7"]),
    st.lists(SPECIMENS, max_size=1),
    st.sampled_from([None, None, ParentIn("F1", "2823-3"), ParentIn("F3", "2951-2", "1")]),
)
MESSAGES = st.lists(st.tuples(st.lists(ORDERS, min_size=1, max_size=3), HOURS), min_size=2, max_size=5)


EXAMPLES = int(os.environ.get("CARERELAY_EXAMPLES", "12"))  # more of them prove more, at a quarter of a second each


@settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(messages=MESSAGES, data=st.data())
def test_any_messages_in_any_order_filed_any_number_of_times_give_one_chart(messages: Any, data: Any) -> None:
    patient = make_patient()
    ours, other = (make_lab_order(patient=patient, status="ordered") for _ in range(2))
    services.map_code(by=None, code="2951-2", lab_test=ours.tests.get())
    placers = {"OURS": ours.order_number, "OTHER": other.order_number}

    def numbered(order: OrderIn) -> OrderIn:
        return replace(order, placer=placers.get(order.placer, order.placer))

    feed = [sent(report_in(patient, *map(numbered, orders), sent_at=hours(hour + 0.5))) for orders, hour in messages]
    resent = [sent(report) for _, report in data.draw(st.lists(st.sampled_from(feed), max_size=2))]
    expected = chart_after(patient, feed)
    again = data.draw(st.permutations([*feed, *feed[:2], *resent]))
    assert chart_after(patient, again) == expected
    assert chart_after(patient, again, together=data.draw(st.sampled_from([(99,), (2, 3)]))) == expected


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_give_the_chart_of_one() -> None:
    patients = [make_patient(first_name=name) for name in ("Ada", "Bea", "Cid")]
    feeds = [
        a_day_of_one_panel(patient, make_lab_order(patient=patient, status="ordered").order_number)
        for patient in patients
    ]
    expected = [chart_after(patient, feed) for patient, feed in zip(patients, feeds, strict=True)]
    everything = [asked for line in zip_longest(*feeds) for asked in line if asked]

    def work(items: Feed) -> None:
        for size in range(0, len(items), 4):
            services.file_reports([(message, [report]) for message, report in items[size : size + 4]])

    jobs = [partial(work, everything[::2]), partial(work, everything[1::2][::-1]), partial(work, everything[::-1])]
    assert at_once(*jobs) == ["done"] * 3
    assert [chart(patient) for patient in patients] == expected


def test_a_number_used_for_two_of_our_orders_goes_by_panel_and_by_the_first_of_them() -> None:
    patient = make_patient()
    one, two = (make_lab_order(patient=patient, status="ordered", tests=[]) for _ in range(2))
    potassium, sodium = observation_in(), observation_in(code="2951-2")
    feed = [
        sent(report_in(patient, order_in(potassium, placer=one.order_number, code="P1"))),
        sent(report_in(patient, order_in(sodium, placer=two.order_number, code="P2"))),
        sent(report_in(patient, order_in(observation_in(code="X", status="corrected"), code="P2"))),
        sent(report_in(patient, order_in(observation_in(code="Y"), code="P3"))),
    ]
    for shuffled in permutations(feed):
        found = {row[-1]: row for row in chart_after(patient, list(shuffled))}
        assert sorted([said[1] for said in row[-1]] for row in found.values()) == [["2823-3", "Y"], ["2951-2", "X"]]
