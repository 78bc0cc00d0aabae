"""Holds that answers to orders end in the same rows whatever order they come in, and link to nothing but their own."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction

from backend.apps.laboratory import services
from backend.apps.laboratory.models import FillerNumber, LabOrder, LabOrderMessage, LabResult
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_order_feed,
    make_order_message,
    observation_in,
    order_in,
    report_in,
)
from integrations.doubles.laboratory import head
from tests.support.races import wait_until_waited_for
from tests.workers.rows import COMMITS
from workers import other_messages

pytestmark = pytest.mark.django_db
Found = TypeVar("Found")


def sent(**over: Any) -> LabOrderMessage:
    """Return a message the laboratory has and has not answered."""
    feed = make_order_feed(sending_facility="LAB")
    order = make_lab_order(status="ordered", feed=feed)
    return make_order_message(lab_order=order, status="sent", work_state="done", **over)


def answered(
    row: LabOrderMessage,
    *controls: str,
    at: str = "20260302120001",
    kind: str = "ORL^O22",
    code: str = "AA",
    answers: str | None = None,
    placer: str | None = None,
    filler: str = "F1",
    **over: Any,
) -> dict[str, Any]:
    """Return what becomes of an answer to `row`, and save it as the runner does."""
    number = row.lab_order.order_number if placer is None else placer
    msa = f"MSA|{code}|{row.control_id if answers is None else answers}\r" if code else ""
    orcs = "".join(f"ORC|{control}|{number}|{filler}\r" for control in controls)
    raw = f"{head(kind, at=at)}{msa}{orcs}".encode()
    message = make_inbound_message(raw, message_type=kind, **{"feed": row.feed, **over})
    return other_messages.handle(message)


def standing(row: LabOrderMessage) -> tuple[Any, ...]:
    row.refresh_from_db()
    order = LabOrder.objects.get(pk=row.lab_order_id)
    numbers = sorted(order.filler_numbers.values_list("number", flat=True))
    return (
        row.status,
        row.status_reason,
        row.answered_at,
        row.answer_in_detail,
        order.status,
        order.cancelled_at,
        numbers,
    )


ANSWERS: list[dict[str, Any]] = [
    {"controls": ["OK"], "at": "20260302120001"},
    {"controls": ["OC"], "at": "20260302120500"},
    {"controls": ["UA"], "at": "20260302120300"},
    {"controls": [], "at": "20260302121000", "kind": "ACK"},
]


def test_answers_end_the_same_in_any_order_and_repetition() -> None:
    row, ends = sent(), set()
    for some in itertools.permutations(ANSWERS):
        with transaction.atomic():
            for each in (*some, some[0]):
                one = dict(each)
                assert answered(row, *one.pop("controls"), **one)["status"] == "filed"
            ends.add(str(standing(row)))
            transaction.set_rollback(True)
    assert len(ends) == 1
    assert ends.pop().startswith("('cancelled_by_lab', 'The laboratory cancelled it.'")


def test_an_order_that_is_taken_after_all_is_open_again() -> None:
    row = sent()
    answered(row, "OC", at="20260302120001")
    assert standing(row)[4] == "cancelled"
    answered(row, "OK", at="20260302120002")
    assert standing(row)[4] == "ordered"


def test_a_cancellation_by_the_laboratory_does_not_hide_results() -> None:
    row = sent()
    order = row.lab_order
    message = make_inbound_message(feed=row.feed)
    services.file_report(message, report_in(order.patient, order_in(observation_in(), placer=order.order_number)))
    answered(row, "OC")
    order.refresh_from_db()
    assert (standing(row)[0], order.status) == ("cancelled_by_lab", "completed")


def test_what_a_person_cancelled_stays_cancelled() -> None:
    row = sent()
    services.cancel(row.lab_order, by=row.lab_order.doctor.user, reason="Not needed")
    answered(row, "OK")
    assert standing(row)[4] == "cancelled"


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"answers": "NOBODY", "placer": "NOBODY"}, "It answers no order that was sent from here."),
        ({"placer": "LO999"}, "The order number in it is not the one of the message it answers."),
        ({"answers": "", "code": "", "placer": ""}, "It answers no order that was sent from here."),
    ],
)
def test_what_links_to_nothing_is_for_a_person(over: dict[str, Any], reason: str) -> None:
    row = sent()
    outcome = answered(row, "OK", **over)
    assert (outcome["status"], outcome["status_reason"]) == ("worklist", reason)
    assert standing(row)[0] == "sent"


def test_another_laboratory_does_not_answer_our_order() -> None:
    row = sent()
    outcome = answered(row, "UA", feed=make_lab_feed())
    assert (outcome["status"], outcome["status_reason"]) == (
        "worklist",
        "It answers an order that was sent to another laboratory.",
    )
    assert standing(row)[0] == "sent"


def test_an_answer_without_our_control_id_links_by_the_order_number() -> None:
    row = sent()
    cancel = make_order_message(lab_order=row.lab_order, feed=row.feed, control="CA", status="sent", work_state="done")
    answered(row, "CR", answers="", kind="ORR^O02")
    answered(row, "OK", answers="")
    assert (standing(cancel)[0], standing(row)[0]) == ("accepted", "accepted")


def test_the_laboratory_cancels_by_a_message_of_its_own() -> None:
    row = sent()
    answered(row, "OC", kind="ORM^O01", code="")
    assert standing(row)[0] == "cancelled_by_lab"


def test_a_refusal_that_comes_another_way_names_what_was_wrong_in_fixed_words() -> None:
    row = sent()
    raw = f"{head('ACK')}MSA|AR|{row.control_id}\rERR||PID^1^5|103^JOHN DOE^HL70357|E\r".encode()
    other_messages.handle(make_inbound_message(raw, message_type="ACK", feed=row.feed))
    assert standing(row)[:2] == ("rejected", "The laboratory refused it. Table value not found (PID-5).")


@pytest.mark.parametrize("first", ["result", "answer"])
def test_a_result_under_the_laboratorys_number_alone_finds_the_order_before_and_after_the_answer(first: str) -> None:
    row = sent()
    order = row.lab_order
    message = make_inbound_message(feed=row.feed, sending_facility="LAB", sending_application="LIS")
    report = report_in(order.patient, order_in(observation_in(), filler="F1", placer=""))
    steps = [lambda: services.file_report(message, report), lambda: answered(row, "OK", filler="F1")]
    for step in steps if first == "result" else reversed(steps):
        step()
    assert LabResult.objects.get().lab_order == order
    assert FillerNumber.objects.get().lab_order == order
    assert list(LabOrder.objects.all()) == [order]
    order.refresh_from_db()
    assert order.status == "completed"


def test_a_number_answered_for_two_of_our_orders_is_the_first_ones_whatever_came_first() -> None:
    one = sent()
    patient, feed = one.lab_order.patient, one.feed
    order = make_lab_order(status="ordered", feed=feed, patient=patient)
    two = make_order_message(lab_order=order, status="sent", work_state="done")
    message = make_inbound_message(feed=feed, sending_facility="LAB", sending_application="LIS")
    alone = order_in(observation_in(), placer="", code="P1")
    named = order_in(observation_in(), placer=order.order_number, code="P2")
    foreign = order_in(observation_in(), placer="OUTSIDE", code="P3")
    steps = [
        *(partial(answered, row, "OK") for row in (two, one)),
        *(partial(services.file_report, message, report_in(patient, panel)) for panel in (alone, named, foreign)),
    ]
    orders = {one.lab_order.order_number, order.order_number}

    def end() -> tuple[Any, ...]:
        panels = LabResult.objects.order_by("panel_code").values_list("panel_code", "lab_order__order_number")
        found = ((code, number if number in orders else "outside") for code, number in panels)
        return FillerNumber.objects.get().lab_order.order_number, *found

    ends = list(in_every_order(steps, end))
    assert len(ends) == math.factorial(len(steps))
    first, second = one.lab_order.order_number, order.order_number
    assert set(ends) == {(first, ("P1", first), ("P2", second), ("P3", "outside"))}


def in_every_order(steps: Sequence[Callable[[], object]], look: Callable[[], Found]) -> Iterator[Found]:
    """Yield what `look` finds after each order of the steps; what orders begin with in common is done once."""
    if not steps:
        yield look()
    for place, step in enumerate(steps):
        with transaction.atomic():
            step()
            yield from in_every_order([*steps[:place], *steps[place + 1 :]], look)
            transaction.set_rollback(True)


@pytest.mark.django_db(**COMMITS)
@pytest.mark.usefixtures("rung")
def test_a_person_who_cancels_at_the_same_moment_keeps_their_reason_and_time() -> None:
    row = sent()

    def hear() -> None:
        answered(row, "OC")
        connection.close()

    answer = threading.Thread(target=hear)
    with transaction.atomic():
        services.cancel(LabOrder.objects.get(pk=row.lab_order_id), by=row.lab_order.doctor.user, reason="Not needed")
        answer.start()
        wait_until_waited_for()
    answer.join(10)
    order = LabOrder.objects.get(pk=row.lab_order_id)
    assert (order.cancellation_reason, order.cancelled_by) == ("Not needed", row.lab_order.doctor.user)
    assert standing(row)[0] == "cancelled_by_lab"


def test_an_answer_and_results_of_a_sender_with_a_universal_id_go_by_one_name() -> None:
    row = sent()
    sender = "LAB^1.2.3^ISO"
    answered(row, "OK", sending_facility=sender)
    assert FillerNumber.objects.get().sender == make_inbound_message(sending_facility=sender).sender == sender


def test_messages_of_other_types_are_stored_where_the_feed_says_so() -> None:
    def handled(**feed: Any) -> str:
        over = {"feed": make_lab_feed(sending_facility="X", **feed)} if feed else {}
        return str(other_messages.handle(make_inbound_message(message_type="MDM^T02", **over))["status"])

    assert handled() == "rejected"
    assert handled(takes_unknown_types=True) == "filed"
