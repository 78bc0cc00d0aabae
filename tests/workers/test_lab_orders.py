"""Holds that orders reach their laboratory once and in their order, whatever the laboratory answers or does not."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.core.sealed import written
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import services
from backend.apps.laboratory.models import LabOrder, LabOrderMessage
from backend.apps.laboratory.tests.factories import make_lab_test, make_order_feed
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.laboratory import LabDouble, ack, head, orl
from integrations.hl7.reader import Message
from tests.support.stage import until
from tests.workers.ordering import inbound, only, place, send_all, states
from tests.workers.wire import self_signed
from workers import gateways, lab_orders

pytestmark = pytest.mark.django_db


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
        (None, {"closes": True}),
        (ack("AA", answers="ANOTHER"), {}),
        (lambda _: b"hello", {}),
        (lambda _: head("ACK").encode(), {}),
        (ack("OK"), {}),
        (ack("ERROR"), {}),
    ],
    ids=["hung up", "another's answer", "no HL7", "no MSA", "no code", "too long for a code"],
)
def test_a_message_without_an_answer_of_its_own_is_held_and_never_sent_again(
    lab: LabDouble, answer: Any, how: dict[str, Any]
) -> None:
    assert_is_held(lab, answer, **how)


@pytest.mark.parametrize(("answer", "how"), [(None, {}), (ack("AA"), {"wait_s": 60.0})], ids=["silence", "too late"])
def test_a_laboratory_that_lets_us_wait_too_long_is_sent_nothing_again(
    lab: LabDouble, settings: Any, answer: Any, how: dict[str, Any]
) -> None:
    settings.LAB_ORDERS_TIMEOUT_S = 0.3
    assert_is_held(lab, answer, **how)


def assert_is_held(lab: LabDouble, answer: Any, **how: Any) -> None:
    order = place(lab)
    lab.next(answer, **how)
    send_all()
    assert send_all() == "nothing due"
    assert states(order) == [("NW", "uncertain", "held")]
    until(lambda: lab.taken)
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
    lab.next(None, closes=True)
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


def test_an_error_that_tells_of_the_tests_is_an_answer_and_not_tried_again(lab: LabDouble) -> None:
    order = place(lab)
    lab.next(orl("UA", code="AE"))
    send_all()
    assert states(order) == [("NW", "rejected", "done")]


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
    lab.next(None, closes=True)
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
    key = LabOrderMessage.objects.get(lab_order=order).pk
    with pytest.raises(Exception, match="never rewritten"):
        LabOrderMessage.objects.filter(lab_order=order).update(**written(LabOrderMessage, key, raw=b"other"))


def test_orders_go_out_over_tls_to_the_laboratory_whose_certificate_is_known(
    lab: LabDouble, settings: Any, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with LabDouble(tls=context) as secured:
        feed = make_order_feed(order_port=secured.port, order_tls=True)
        order = place(secured, feed=feed)
        send_all()
        assert (only(order).status, secured.taken) == ("waiting", [])
        settings.LAB_ORDERS_CA = str(certificate)
        gateways._clients.__dict__.clear()
        send_all()
        assert (only(order).status, len(secured.taken)) == ("accepted", 1)
