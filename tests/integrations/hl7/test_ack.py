"""Holds every byte of an acknowledgement, for any sender, and that it repeats nothing about a patient."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.hl7 import ack
from integrations.hl7.ack import Code, Reason, build
from integrations.hl7.head import read_head
from integrations.hl7.reader import Message
from tests.integrations.hl7 import samples

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def acknowledged(raw: bytes, code: Code = Code.ACCEPT, reason: Reason | None = None) -> bytes:
    return build(read_head(raw), code, control_id="CR-1", at=AT, reason=reason)


def test_names_are_swapped_and_control_id_version_and_separators_kept() -> None:
    assert acknowledged(samples.raw("structured_numbers")) == (
        b"MSH|^~\\&|CARERELAY|RIVERSIDE|SEROLAB|NORTHSIDE|20260301093000+0000||ACK^R01^ACK|CR-1|P|2.3.1\rMSA|AA|S-1\r"
    )


def test_the_senders_own_signs_are_used() -> None:
    assert acknowledged(samples.raw("foreign_signs"), Code.ERROR, Reason.INTERNAL) == (
        b"MSH$%*!@#$CARERELAY$RIVERSIDE$LIS$NORTHSIDE$20260301093000+0000$$ACK%R01%ACK$CR-1$T$2.9\r"
        b"MSA$AE$X-9\r"
        b"ERR$$$207%Application internal error%HL70357$E$$$$Application internal error\r"
    )


def test_older_versions_get_the_older_err_segment() -> None:
    lines = acknowledged(samples.raw("structured_numbers"), Code.REJECT, Reason.MESSAGE_TYPE).split(b"\r")
    assert lines[1:3] == [b"MSA|AR|S-1", b"ERR|^^^200&Unsupported message type&HL70357"]


@pytest.mark.parametrize(("code", "written"), [(Code.ACCEPT, b"CA"), (Code.ERROR, b"CE"), (Code.REJECT, b"CR")])
def test_a_sender_in_enhanced_mode_gets_a_commit_acknowledgement(code: Code, written: bytes) -> None:
    assert b"\rMSA|" + written + b"|NL-000101\r" in acknowledged(samples.raw("chemistry"), code)


def test_never_asked_for_commit_acknowledgements_are_ordinary() -> None:
    assert b"MSA|AA|7" in acknowledged(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5.1|||NE|AL")


@pytest.mark.parametrize("trigger", [b"R30", b"R31", b"R32"])
def test_results_from_the_point_of_care_have_their_own_answer(trigger: bytes) -> None:
    assert b"|ACK^R33^ACK|" in acknowledged(b"MSH|^~\\&|A|B|C|D|2026||ORU^" + trigger + b"|7|P|2.5.1")


@pytest.mark.parametrize(
    ("raw", "msa"),
    [
        (b"MSH|^~\\&|A|B|C|D|2026||ORU^R01", b"MSA|AR|"),
        (b"MSH|", b"MSA|AR|"),
        (b"GET / HTTP/1.1\r\n", b"MSA|AR|"),
        (b"", b"MSA|AR|"),
    ],
)
def test_a_message_without_a_control_id_or_without_msh_is_answered_too(raw: bytes, msa: bytes) -> None:
    answer = Message(acknowledged(raw, Code.REJECT, Reason.REQUIRED_FIELD))
    assert answer.text.split("\r")[1] == msa.decode()
    assert answer.head.component(12) == "2.5.1"


def test_bytes_of_the_sender_are_repeated_as_they_are() -> None:
    raw = "MSH|^~\\&|Labör|B|C|D|2026||ORU^R01|ß-1|P|2.5.1".encode("latin-1")
    answer = acknowledged(raw)
    assert "|Labör|B|".encode("latin-1") in answer
    assert "|ß-1\r".encode("latin-1") in answer


def test_nothing_of_the_patient_is_repeated() -> None:
    raw = samples.raw("chemistry")
    answer = acknowledged(raw, Code.REJECT, Reason.SEGMENTS)
    names = [field for line in raw.split(b"\r")[1:] for field in line.split(b"|") if len(field) > 3]
    assert [field for field in names if field in answer] == []


@given(st.binary(max_size=200))
def test_any_bytes_get_one_answer_that_cannot_break_the_frame(noise: bytes) -> None:
    for raw in (noise, b"MSH" + noise, b"MSH|^~\\&|" + noise):
        answer = acknowledged(raw, Code.ERROR, Reason.SEGMENTS)
        assert b"\x0b" not in answer
        assert b"\x1c" not in answer
        assert answer.count(b"\r") == 3
        assert answer.startswith(b"MSH")


def test_the_head_is_read_without_the_body() -> None:
    head = read_head(samples.raw("chemistry"))
    assert (head.sending_app, head.sending_facility) == ("CHEMLAB^2.16.840.1.113883.3.9^ISO", "Northside Laboratory")
    assert (head.message_code, head.trigger, head.control_id) == ("ORU", "R01", "NL-000101")
    assert (head.processing_id, head.version, head.accept_ack) == ("P", "2.5.1", "AL")
    assert read_head(samples.raw("batch")).control_id == "S-1"


@pytest.mark.parametrize("flood", [b"|", b"|\xe9", "|\u0141".encode()])
def test_a_head_of_megabytes_is_read_as_far_as_it_counts(flood: bytes) -> None:
    raw = b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5.1|||AL|NE||8859/1" + flood * 5_000_000
    began = time.process_time()
    head = read_head(raw)
    assert time.process_time() - began < 0.5
    assert (head.control_id, head.accept_ack, head.charset, len(head.fields)) == ("7", "AL", "8859/1", 19)


def test_no_long_trigger_is_remembered() -> None:
    ack._kind.cache_clear()
    for number in range(3):
        raw = b"MSH|^~\\&|A|B|C|D|2026||ORU^" + b"R" * (1_000_000 + number) + b"|7|P|2.5.1"
        assert b"|ACK|" in acknowledged(raw)
    assert ack._kind.cache_info().currsize == 1


def test_the_head_never_holds_what_a_database_refuses() -> None:
    assert read_head(b"MSH|^~\\&|A\0B").sending_app == "A\ufffdB"
