"""Holds that orders reach their laboratory once and in their order, whatever the laboratory answers or does not."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.core.work import WorkState
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabOrderMessage
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_test, make_order_feed
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.hl7 import orders
from integrations.hl7.reader import Message
from tests.support.lab_double import LabDouble, ack, head, orl
from tests.support.stage import until
from tests.workers.rows import HOUR
from tests.workers.wire import self_signed
from workers import gateways, lab_orders, other_messages

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def as_a_new_thread(settings: Any, rung: list[str]) -> Iterator[None]:
    settings.LAB_ORDERS_TIMEOUT_S = 0.3
    gateways._clients.__dict__.clear()
    yield
    for client in gateways._clients.__dict__.pop("laboratories", {}).values():
        client.close()


@pytest.fixture
def lab() -> Iterator[LabDouble]:
    with LabDouble() as double:
        yield double


def place(lab: LabDouble, *codes: str, **over: Any) -> LabOrder:
    """Place an order of tests with these codes at the laboratory."""
    feed = over.pop("feed", None) or make_order_feed(order_port=lab.port)
    tests = [make_lab_test(test_code=code) for code in codes or ("2823-3",)]
    fields = {"patient": make_patient(), "doctor": make_doctor(), "feed": feed, **over}
    order = services.order(by=make_user(role="lab_tech"), tests=tests, **fields)
    return services.place(order, by=None)


def send_all() -> str:
    """Let everything that waits be due, in order, and work on it once."""
    for number, row in enumerate(LabOrderMessage.objects.filter(work_state=WorkState.WAITING).order_by("pk")):
        LabOrderMessage.work.filter(pk=row.pk).update(due_at=timezone.now() - HOUR + timedelta(seconds=number))
    return lab_orders.send_due()


def states(order: LabOrder) -> list[tuple[str, str, str]]:
    rows = LabOrderMessage.objects.filter(lab_order=order).order_by("revision")
    return list(rows.values_list("control", "status", "work_state"))


def only(order: LabOrder) -> LabOrderMessage:
    return LabOrderMessage.objects.get(lab_order=order)


def inbound(kind: str, body: Callable[[bytes], bytes], about: LabOrderMessage, **over: Any) -> dict[str, Any]:
    """Return what becomes of an answer that the laboratory sends over a connection of its own."""
    row = make_inbound_message(body(bytes(about.raw)), message_type=kind, feed=about.feed, **over)
    return other_messages.handle(row)


def test_a_placed_order_is_sent_and_accepted(lab: LabDouble) -> None:
    order = place(lab)
    assert send_all() == "1 done"
    row = only(order)
    assert states(order) == [("NW", "accepted", "done")]
    assert lab.controls() == [row.control_id] == [f"{order.order_number}.1"]
    assert bytes(row.raw) == lab.taken[0]
    assert (row.ack_code, bytes(row.ack)[:3]) == ("AA", b"MSH")
    said = {segment.name: segment for segment in Message(lab.taken[0]).segments}
    assert said["PID"].component(3) == order.patient.medical_record_number
    assert said["ORC"].component(12) == order.doctor.npi_number
    assert said["OBR"].component(4) == "2823-3"
    assert said["MSH"].raw(11) == "T"  # no clinic but one in production sends orders that are real


def test_the_connection_stays_open_between_messages(lab: LabDouble) -> None:
    feed = make_order_feed(order_port=lab.port)
    for code in ("1-1", "1-2", "1-3"):
        place(lab, code, feed=feed)
    send_all()
    assert (len(lab.taken), lab.connections) == (3, 1)


def test_without_a_feed_nothing_is_sent(lab: LabDouble) -> None:
    order = place(lab)
    other = services.order(
        by=make_user(role="lab_tech"), tests=[make_lab_test()], patient=make_patient(), doctor=make_doctor(), feed=None
    )
    services.place(other, by=None)
    assert [row.lab_order for row in LabOrderMessage.objects.all()] == [order]


def test_the_only_feed_that_takes_orders_is_the_usual_one() -> None:
    def ordered() -> LabOrder:
        fields: dict[str, Any] = {"patient": make_patient(), "doctor": make_doctor()}
        return services.order(by=make_user(role="lab_tech"), tests=[make_lab_test()], **fields)

    feed = make_order_feed()
    assert ordered().feed == feed
    make_order_feed()
    assert ordered().feed is None


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (None, {}),
        (None, {"closes": True}),
        (ack("AA", answers="ANOTHER"), {}),
        (lambda _: b"hello", {}),
        (lambda _: head("ACK").encode(), {}),
        (ack("OK"), {}),
        (ack("AA"), {"wait_s": 0.6}),
    ],
    ids=["silence", "hung up", "another's answer", "no HL7", "no MSA", "no code", "too late"],
)
def test_a_message_without_an_answer_of_its_own_is_held_and_never_sent_again(
    lab: LabDouble, answer: Any, how: dict[str, Any]
) -> None:
    order = place(lab)
    lab.next(answer, **how)
    send_all()
    assert send_all() == "nothing due"
    assert states(order) == [("NW", "uncertain", "held")]
    assert len(lab.taken) == 1


def test_a_person_sends_a_lost_message_again_under_the_same_control_id(lab: LabDouble) -> None:
    order, user = place(lab), make_user(role="lab_tech")
    lab.next(None, closes=True)
    send_all()
    lab_orders.watch()
    assert Alert.objects.filter(resolved_at=None).count() == 1
    services.resend(only(order), by=user)
    send_all()
    assert lab.taken[0] == lab.taken[1]
    assert states(order) == [("NW", "accepted", "done")]
    assert only(order).settled_by == user
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_a_person_who_asked_marks_a_lost_message_as_arrived(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(None)
    send_all()
    services.mark_as_arrived(only(order), by=make_user(role="lab_tech"))
    assert states(order) == [("NW", "accepted", "done")]
    with pytest.raises(DomainError, match="known already"):
        services.mark_as_arrived(only(order), by=None)
    with pytest.raises(DomainError, match="nothing to send again"):
        services.resend(only(order), by=None)


def test_an_error_is_tried_again_with_the_same_bytes_until_it_is_a_persons(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AE"), times=LabOrderMessage.max_attempts)
    send_all()
    assert states(order) == [("NW", "waiting", "waiting")]
    for _ in range(LabOrderMessage.max_attempts):
        send_all()
    assert states(order) == [("NW", "failed", "failed")]
    assert len(lab.taken) == LabOrderMessage.max_attempts
    assert len(set(lab.taken)) == 1


def test_a_refusal_is_told_without_what_the_laboratory_wrote(lab: LabDouble) -> None:
    order = place(lab, priority="stat")
    lab.next(ack("AR", err="ERR||PID^1^3|101^OKAFOR is not known^HL70357|E||||ADA OKAFOR"))
    send_all()
    row = only(order)
    assert states(order) == [("NW", "rejected", "done")]
    assert row.status_reason == "The laboratory refused it. Required field missing (PID-3)."
    lab_orders.watch()
    lab_orders.watch()
    alert = Alert.objects.get()
    assert (alert.severity, alert.kind) == ("critical", "lab_order_trouble")
    assert "Required field missing" in alert.sentence


def test_a_laboratory_that_is_not_reached_is_tried_later_and_once_for_all_its_messages(lab: LabDouble) -> None:
    gone = LabDouble()
    feed = make_order_feed(order_port=gone.port)
    gone._server.close()
    orders_there = [place(gone, code, feed=feed) for code in ("1-1", "1-2")]
    here = place(lab, "1-3")
    assert send_all() == "1 done, 2 waiting"
    assert only(here).status == "accepted"
    rows = [only(order) for order in orders_there]
    assert [(row.sent_at, row.status) for row in rows] == [(None, "waiting")] * 2
    assert "not tried" in rows[1].last_error


def test_a_split_answer_is_put_together(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("AA"), in_pieces=True)
    send_all()
    assert only(order).status == "accepted"


def test_what_a_laboratory_says_unasked_is_not_taken_for_the_next_answer(lab: LabDouble) -> None:
    feed = make_order_feed(order_port=lab.port)
    lab.next(ack("AA"), then=orl("OK")(b"MSH|^~\\&|||||||OML^O21|X\rORC|NW|X\r"))
    first = place(lab, "1-1", feed=feed)
    send_all()
    until(lambda: lab.unasked)
    second = place(lab, "1-2", feed=feed)
    send_all()
    assert [only(order).status for order in (first, second)] == ["accepted", "accepted"]
    assert lab.connections == 2


def test_the_tests_answer_on_our_own_connection_counts(lab: LabDouble) -> None:
    order = place(lab, "1-1", "1-2")
    lab.next(orl("OK", "UA"))
    send_all()
    assert states(order) == [("NW", "unable", "done")]
    assert only(order).status_reason == "The laboratory cannot do 1 of 2 tests."
    assert set(order.filler_numbers.values_list("number", "sender")) == {("F1", "LAB"), ("F2", "LAB")}


def test_an_order_the_laboratory_cancels_is_cancelled(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(orl("OC"))
    send_all()
    order.refresh_from_db()
    assert states(order) == [("NW", "cancelled_by_lab", "done")]
    assert (order.status, order.cancelled_by, order.cancellation_reason) == (
        "cancelled",
        None,
        "The laboratory cancelled it.",
    )


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
    lab.next(None)
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


def test_a_commit_is_no_answer_yet_and_the_answer_may_come_another_way(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(ack("CA"))
    send_all()
    assert states(order) == [("NW", "sent", "done")]
    outcome = inbound("ORL^O22", orl("OK"), only(order))
    assert (outcome["status"], outcome["patient_id"]) == ("filed", order.patient_id)
    assert states(order) == [("NW", "accepted", "done")]
    assert only(order).answer is not None


def test_an_answer_that_comes_another_way_settles_a_lost_one(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(None)
    send_all()
    inbound("ORL^O22", orl("OK"), only(order))
    assert states(order) == [("NW", "accepted", "done")]


def test_what_this_version_has_no_message_for_is_not_sent(lab: LabDouble) -> None:
    order = place(lab, feed=make_order_feed(order_port=lab.port, order_message="ORM^O01", order_version="2.8"))
    send_all()
    assert states(order) == [("NW", "failed", "failed")]
    assert lab.taken == []


def test_bytes_that_were_sent_are_never_rewritten(lab: LabDouble) -> None:
    order = place(lab)
    send_all()
    with pytest.raises(Exception, match="never rewritten"):
        LabOrderMessage.objects.filter(lab_order=order).update(raw=b"other")


def test_orders_go_out_over_tls_to_the_laboratory_whose_certificate_is_known(settings: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    settings.LAB_ORDERS_TIMEOUT_S = 5.0
    with LabDouble(tls=context) as lab:
        feed = make_order_feed(order_port=lab.port, order_tls=True)
        order = place(lab, feed=feed)
        send_all()
        assert (only(order).status, lab.taken) == ("waiting", [])
        settings.LAB_ORDERS_CA = str(certificate)
        gateways._clients.__dict__.clear()
        send_all()
        assert (only(order).status, len(lab.taken)) == ("accepted", 1)
