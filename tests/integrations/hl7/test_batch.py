"""Holds that a file of messages falls apart whole, that its counts are checked, and that it is answered as a batch."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import ack, batch
from integrations.hl7.findings import Finding
from integrations.hl7.head import read_head
from integrations.hl7.reader import Message
from tests.integrations.hl7 import samples

AT = datetime(2026, 3, 13, 9, 30, tzinfo=UTC)
MSH = b"MSH|^~\\&|LIS|NORTHSIDE|CARERELAY|RIVERSIDE|20260313||ORU^R01|%d|P|2.3\r"


def test_every_message_of_a_file_comes_once_and_without_the_envelope() -> None:
    found = list(batch.each(samples.raw("batches")))
    assert [read_head(raw).control_id for raw in found] == ["B-1", "B-2", "B-3"]
    assert not any(name in raw for raw in found for name in (b"BTS", b"BHS", b"FTS", b"FHS"))


def test_a_wrong_count_is_told_and_nothing_is_refused() -> None:
    described = batch.describe(samples.raw("batches"))
    assert (described.batch_id, described.messages) == ("BATCH-1", 3)
    assert described.findings == (Finding("BTS", 1, 1, "counts 3 messages, there are 2"),)
    assert batch.describe(samples.raw("batch")).findings == ()


@pytest.mark.parametrize(
    ("raw", "findings"),
    [
        (b"BHS|^~\\&\r" + MSH % 1 + b"BTS|x1\r", (Finding("BTS", 1, 1, "not a count: 2 characters"),)),
        (b"BHS|^~\\&\r" + MSH % 1 + b"BTS\r", ()),
        (b"BHS|^~\\&\r" + MSH % 1, (Finding("BHS", 1, 0, "no BTS after it"),)),
        (b"FHS|^~\\&\r" + MSH % 1 + b"FTS|1\r", ()),
        (b"FHS|^~\\&\r" + MSH % 1 + b"FTS|7\r", (Finding("FTS", 1, 1, "counts 7 batches, there are 1"),)),
        (MSH % 1 + MSH % 2 + b"BTS|2\r", ()),
        (b"", ()),
    ],
)
def test_counts_are_compared_where_they_are_given(raw: bytes, findings: tuple[Finding, ...]) -> None:
    assert batch.describe(raw).findings == findings


def test_a_batch_is_answered_by_a_batch_of_acknowledgements() -> None:
    raw = samples.raw("batches")
    answers = [
        ack.build(read_head(each), ack.Code.ACCEPT, control_id=f"A-{place}", at=AT)
        for place, each in enumerate(batch.each(raw), start=1)
    ]
    answer = batch.acknowledge(batch.describe(raw), answers, batch_id="ANSWER-1", at=AT)
    lines = answer.split(b"\r")
    assert lines[0] == b"BHS|^~\\&|CARERELAY|RIVERSIDE|LIS|NORTHSIDE|20260313093000+0000||||ANSWER-1|BATCH-1"
    assert [line for line in lines if line.startswith(b"MSA")] == [b"MSA|AA|B-1", b"MSA|AA|B-2", b"MSA|AA|B-3"]
    assert lines[-2:] == [b"BTS|3", b""]
    assert batch.describe(answer).findings == ()
    assert [Message(each).head.text(10) for each in batch.each(answer)] == ["A-1", "A-2", "A-3"]


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([b"MSH|", b"BHS|", b"BTS|2", b"FTS|", b"FHS", b"\r", b"\n", b"x", b"PID|1"]), max_size=30)
)
def test_no_file_is_too_broken_to_take_apart(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    described = batch.describe(raw)
    assert described.messages == len(list(batch.each(raw)))


def test_a_file_in_two_bytes_a_character_falls_apart_too() -> None:
    raw = samples.raw("batches").decode().encode("utf-16")
    assert [read_head(each).control_id for each in batch.each(raw)] == ["B-1", "B-2", "B-3"]
