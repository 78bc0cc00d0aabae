"""Holds that cancellations and changes follow their order, and are not sent where nobody would understand them."""

from __future__ import annotations

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.laboratory import services
from backend.apps.laboratory.tests.factories import make_lab_test, make_order_feed
from backend.apps.users.tests.factories import make_user
from integrations.doubles.laboratory import LabDouble, ack, orl
from integrations.hl7 import orders
from integrations.hl7.reader import Message
from tests.workers.ordering import place, send_all, states

pytestmark = pytest.mark.django_db


def test_a_cancellation_before_anything_left_speaks_to_nobody(lab: LabDouble) -> None:
    order = place(lab)
    services.cancel(order, by=make_user(role="doctor"), reason="Wrong patient")
    assert send_all() == "nothing due"
    assert states(order) == [("NW", "withdrawn", "done")]
    assert lab.taken == []


def test_a_cancellation_follows_its_order_and_names_all_its_tests(lab: LabDouble) -> None:
    order = place(lab, "1-1", "1-2")
    send_all()
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed | any more")
    lab.next(orl("CR", "CR", kind="ORR^O02"))
    send_all()
    assert states(order) == [("NW", "accepted", "done"), ("CA", "accepted", "done")]
    assert [(test.code, test.control) for test in orders.asked(lab.taken[1])] == [("1-1", "CA"), ("1-2", "CA")]
    orc = next(segment for segment in Message(lab.taken[1]).segments if segment.name == "ORC")
    assert orc.component(16, 2) == "Not needed | any more"


def test_a_laboratory_that_can_not_cancel_any_more_is_told_of(lab: LabDouble) -> None:
    order = place(lab)
    send_all()
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed")
    lab.next(orl("UC"))
    send_all()
    assert states(order)[1] == ("CA", "unable", "done")
    assert order.messages.get(control="CA").status_reason == "The laboratory could not cancel it any more."
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_a_cancellation_never_overtakes_its_order_and_waiting_costs_no_attempt(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AE"), times=3)
    send_all()
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed")
    for _ in range(2):
        send_all()
    assert states(order) == [("NW", "waiting", "waiting"), ("CA", "waiting", "waiting")]
    assert order.messages.get(control="CA").attempts == 0
    send_all()
    send_all()
    assert states(order) == [("NW", "accepted", "done"), ("CA", "accepted", "done")]
    assert lab.controls() == [f"{order.order_number}.1"] * 4 + [f"{order.order_number}.2"]


def test_a_cancellation_waits_for_what_a_person_has_to_decide(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(None, closes=True)
    send_all()
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed")
    send_all()
    assert states(order) == [("NW", "uncertain", "held"), ("CA", "waiting", "waiting")]
    services.mark_as_arrived(order.messages.get(control="NW"), by=None)
    send_all()
    assert states(order)[1] == ("CA", "accepted", "done")


def test_a_cancellation_of_what_was_refused_is_not_sent(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AR"))
    send_all()
    services.cancel(order, by=make_user(role="doctor"), reason="Not needed")
    assert states(order) == [("NW", "rejected", "done")]


def test_a_change_before_anything_left_is_part_of_the_first_message(lab: LabDouble) -> None:
    order = place(lab)
    services.revise(order, by=None, tests=[make_lab_test(test_code="9-9")])
    send_all()
    assert states(order) == [("NW", "accepted", "done")]
    assert [test.code for test in orders.asked(lab.taken[0])] == ["9-9"]


def test_a_change_says_what_is_new_and_what_is_not_wanted_any_more(lab: LabDouble) -> None:
    order = place(lab, "1-1", "1-2")
    send_all()
    services.revise(order, by=None, tests=[*order.tests.filter(test_code="1-1"), make_lab_test(test_code="9-9")])
    services.revise(order, by=None, appointment=None)  # nothing a laboratory would hear of
    send_all()
    assert states(order) == [("NW", "accepted", "done"), ("XO", "accepted", "done")]
    said = {test.code: test.control for test in orders.asked(lab.taken[1])}
    assert said == {"1-1": "XO", "9-9": "NW", "1-2": "CA"}


def test_a_change_after_a_refusal_is_a_new_order(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AR"))
    send_all()
    services.revise(order, by=None, diagnosis_code="E11.9")
    send_all()
    assert states(order) == [("NW", "rejected", "done"), ("NW", "accepted", "done")]


def test_an_order_on_its_way_stays_with_its_laboratory(lab: LabDouble) -> None:
    order = place(lab)
    with pytest.raises(DomainError, match="on its way"):
        services.revise(order, by=None, feed=make_order_feed())


def test_a_message_that_a_later_one_followed_is_not_sent_again(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AR"))
    send_all()
    services.revise(order, by=None, priority="stat")
    send_all()
    with pytest.raises(DomainError, match="A later message"):
        services.resend(order.messages.get(revision=1), by=None)
