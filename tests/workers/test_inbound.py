"""Holds the store behind the listener: one commit for many, each message once, and an answer only to what is kept."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection
from hypothesis import given
from hypothesis import strategies as st

from backend.apps.laboratory.models import InboundMessage, LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from integrations.doubles.laboratory import msa
from integrations.hl7 import ack
from tests.workers.rows import COMMITS, elsewhere
from workers import intake
from workers.feeds import Book, Feed
from workers.inbound import Arrival, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung", "any_lab")]


@pytest.fixture
def any_lab(db: None) -> LabFeed:
    return make_lab_feed()


def oru(control: str, *, kind: str = "ORU^R01", app: str = "LIS", value: str = "4.1", mode: str = "") -> bytes:
    head = f"MSH|^~\\&|{app}|LAB|CLINIC|HERE|20260302130000||{kind}|{control}|P|2.5.1|||{mode}"
    return f"{head}\rPID|1||M1\rOBR|1||F1|PANEL\rOBX|1|NM|2823-3||{value}|||||F\r".encode()


def put(*raws: bytes) -> list[bytes]:
    return store([Arrival(raw, "10.0.0.7") for raw in raws])


def test_a_message_is_kept_byte_for_byte_and_waits_for_its_worker(
    rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    raw = oru("1").replace(b"M1", b"\xe9\xff\x00")
    with django_capture_on_commit_callbacks(execute=True):
        assert [msa(answer) for answer in put(raw)] == [("AA", "1")]
        assert rung == []
    row = InboundMessage.objects.get()
    assert (bytes(row.raw), row.size_bytes, row.peer) == (raw, len(raw), "10.0.0.7")
    assert (row.sending_application, row.sending_facility, row.control_id) == ("LIS", "LAB", "1")
    assert (row.message_type, row.version, row.ack_code) == ("ORU^R01", "2.5.1", "AA")
    assert (row.status, row.work_state) == ("received", "waiting")
    assert rung == ["lab_results.file"]


def test_a_batch_with_duplicates_inside_keeps_each_message_once_and_answers_all() -> None:
    answers = put(oru("1"), oru("2"), oru("1"), oru("1"))
    assert [msa(answer) for answer in answers] == [("AA", "1"), ("AA", "2"), ("AA", "1"), ("AA", "1")]
    assert dict(InboundMessage.objects.values_list("control_id", "repeats")) == {"1": 2, "2": 0}
    assert not InboundMessage.objects.filter(conflict=True).exists()


@pytest.mark.parametrize("barred_first", [True, False])
def test_in_one_batch_a_copy_that_may_come_in_is_filed_whatever_was_refused(
    any_lab: LabFeed, barred_first: bool
) -> None:
    LabFeed.objects.filter(pk=any_lab.pk).update(allowed_networks=["10.0.0.0/8"])
    raw = oru("1")
    copies = [Arrival(raw, "192.0.2.1"), Arrival(raw, "10.0.0.7")]
    answers = store(copies if barred_first else copies[::-1])
    assert sorted(msa(answer)[0] for answer in answers) == ["AA", "AR"]
    row = InboundMessage.objects.get()
    assert (row.status, row.work_state, row.ack_code, row.repeats) == ("received", "waiting", "AA", 1)


def test_a_repetition_is_answered_as_before_and_counted_and_not_filed_again() -> None:
    put(oru("1"))
    InboundMessage.work.update(work_state="done", status="filed")
    for repeats in (1, 2):
        assert msa(put(oru("1"))[0]) == ("AA", "1")
        row = InboundMessage.objects.get()
        assert (row.repeats, row.status, row.work_state, row.conflict) == (repeats, "filed", "done", False)


def test_another_content_under_a_known_control_id_is_kept_and_both_are_flagged() -> None:
    put(oru("1"), oru("2"))
    assert msa(put(oru("1", value="9.9"))[0]) == ("AA", "1")
    flags = InboundMessage.objects.order_by("control_id", "created_at").values_list("control_id", "conflict")
    assert list(flags) == [("1", True), ("1", True), ("2", False)]


def test_two_contents_under_one_control_id_in_one_batch_are_flagged() -> None:
    put(oru("1"), oru("1", value="9.9"))
    assert list(InboundMessage.objects.values_list("conflict", flat=True)) == [True, True]


def test_the_same_control_id_of_another_sender_is_no_conflict() -> None:
    put(oru("1"), oru("1", app="OTHER"))
    assert list(InboundMessage.objects.values_list("conflict", flat=True)) == [False, False]


@pytest.mark.parametrize(
    ("raw", "answer", "word"),
    [
        (b"\x00\xff not a message", ("AR", ""), "not an HL7 message"),
        (b"", ("AR", ""), "not an HL7 message"),
        (oru(""), ("AE", ""), "no control id"),
        (oru("1", kind="ADT^A08"), ("AR", "1"), "is not taken"),
        (oru("1", kind="ORU^R99"), ("AR", "1"), "is not taken"),
        (oru("1", kind=""), ("AR", "1"), "is not taken"),
    ],
)
def test_what_is_refused_is_kept_too_with_the_reason_and_no_work(
    raw: bytes, answer: tuple[str, str], word: str, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert msa(put(raw)[0]) == answer
    row = InboundMessage.objects.get()
    assert (row.status, row.work_state, bytes(row.raw)) == ("rejected", "done", raw)
    assert word in row.status_reason
    assert rung == []


@pytest.mark.parametrize("kind", ["ORU^R01", "ORU^R01^ORU_R01", "ORU^R30", "ORU^R32", "ORU"])
def test_every_kind_of_result_is_taken(kind: str) -> None:
    assert msa(put(oru("1", kind=kind))[0]) == ("AA", "1")


@pytest.mark.parametrize(("kind", "code"), [("ORU^R01", "CA"), ("ADT^A08", "CR")])
def test_in_enhanced_mode_the_answer_is_a_commit_acknowledgement(kind: str, code: str) -> None:
    assert msa(put(oru("1", kind=kind, mode="AL"))[0]) == (code, "1")


def test_a_lab_that_repeats_an_empty_message_fills_no_table() -> None:
    for _ in range(3):
        put(b"", b"")
    assert InboundMessage.objects.get().repeats == 5


def test_two_hundred_messages_take_as_many_queries_as_two(django_assert_max_num_queries: Any) -> None:
    for name, count in (("A", 2), ("B", 200)):
        batch = [oru(f"{name}{number}") for number in range(count)]
        for _ in range(2):
            with django_assert_max_num_queries(4):  # feeds, savepoint, insert, release
                put(*batch)
    assert InboundMessage.objects.filter(repeats=1).count() == 202


@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.builds(lambda start, rest: b"MSH" + start + rest, st.binary(max_size=6), st.binary(max_size=150)),
        st.lists(st.binary(max_size=8), min_size=1, max_size=20).map(lambda parts: b"MSH|" + b"|".join(parts)),
    )
)
def test_no_bytes_a_peer_can_send_break_the_reader_or_the_answer(raw: bytes) -> None:
    for book in (Book([]), Book([Feed(bytes(16), takes_unknown_types=True, ack_mode="original")])):
        taken = intake.take(Arrival(raw, "10.0.0.7"), book, intake.now())
        assert taken.receipt.startswith(b"MSH") or not taken.receipt
        assert b"MSA" in intake.refusal(taken, intake.now())


@pytest.mark.parametrize("sign", [b" ", b"\xa0", b"\x85", b"\x1f", b"\xff", b"|"])
def test_odd_separators_of_one_sender_stop_nobody(sign: bytes) -> None:
    odd = oru("1").replace(b"^~\\&", sign + b"~\\&", 1)
    assert [msa(answer)[0] for answer in put(odd, oru("2"))][1] == "AA"
    assert InboundMessage.objects.count() == 2


def test_names_longer_than_any_column_are_cut_and_not_refused() -> None:
    raw = oru("C" * 5000, app="A" * 5000)
    assert msa(put(raw)[0])[0] == "AA"
    assert msa(put(raw)[0])[0] == "AA"
    row = InboundMessage.objects.get()
    assert (len(row.control_id), len(row.sending_application), row.repeats) == (250, 250, 1)


def test_a_refusal_asks_the_sender_to_keep_the_message() -> None:
    answer = intake.refusal(intake.take(Arrival(oru("7"), "10.0.0.7"), Book([]), intake.now()), intake.now())
    assert msa(answer) == ("AE", "7")
    assert str(ack.Reason.INTERNAL.value[0]).encode() in answer
    assert not InboundMessage.objects.exists()


@pytest.mark.django_db(**COMMITS)
def test_when_one_of_a_batch_is_refused_by_the_database_none_is_stored() -> None:
    good = Arrival(oru("1"), "10.0.0.7")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE laboratory_inboundmessage ADD CONSTRAINT no_2 CHECK (control_id <> '2') NOT VALID")
    try:
        with pytest.raises(IntegrityError):
            store([good, Arrival(oru("2"), "10.0.0.7")])
        assert not InboundMessage.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE laboratory_inboundmessage DROP CONSTRAINT no_2")


@pytest.mark.django_db(**COMMITS)
def test_two_who_store_the_same_messages_in_opposite_orders_do_not_deadlock() -> None:
    batch = [Arrival(oru(str(number)), "10.0.0.7") for number in range(60)]
    ready, done = threading.Barrier(2), list[int]()

    def job(arrivals: list[Arrival]) -> None:
        ready.wait()
        done.append(sum(len(store(arrivals)) for _ in range(5)))

    first = threading.Thread(target=lambda: elsewhere(lambda: job(batch)))
    first.start()
    elsewhere(lambda: job(batch[::-1]))
    first.join()
    assert done == [300, 300]
    assert set(InboundMessage.objects.values_list("repeats", flat=True)) == {9}
    assert InboundMessage.objects.count() == 60
