"""Holds what is decided about a message before anything is stored: who is refused, and which answers are owed when.

Source of the modes: HL7 v2.5.1, chapter 2, sections 2.9.2 and 2.9.3; of the conditions: table 0155.
"""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.laboratory.models import AckMode, InboundStatus
from integrations.hl7.ack import Code
from tests.workers.wire import msa, oru
from workers import intake
from workers.feeds import Book, Feed
from workers.intake import Arrival, Taken


def taken(raw: bytes, *, door: str = intake.NETWORK, **feed: Any) -> Taken:
    return intake.take(Arrival(raw, "10.0.0.7", door), Book([Feed(bytes(16), **feed)]), intake.now())


def told(found: Taken) -> str:
    """Return MSA-1 of the answer on receipt, empty when nothing is said."""
    return msa(found.receipt)[0] if found.receipt else ""


@pytest.mark.parametrize(
    ("raw", "feed", "code", "number", "why"),
    [
        (oru("1", mode="T"), {}, "AR", "202", "processing id"),
        (oru("1", mode="T^A"), {"processing_ids": "PD"}, "AR", "202", "processing id"),
        (oru("1"), {"versions": frozenset({"2.3.1"})}, "AR", "203", "version"),
        (oru("1", kind="ADT^A08"), {}, "AR", "200", "type"),
        (oru("1", kind="ZZZ^Z01"), {"takes_adt": True}, "AR", "200", "type"),
        (oru(""), {}, "AE", "101", "control id"),
        (oru("1"), {"facility": "OTHER"}, "AR", "204", "No feed"),
        (oru("1"), {"certificates": frozenset({"ab" * 32})}, "AR", "204", "address or with this certificate"),
        (b"Zqlast no message", {}, "AR", "100", "not an HL7"),
    ],
)
def test_a_refusal_has_its_code_its_reason_and_no_patients_data(
    raw: bytes, feed: dict[str, Any], code: str, number: str, why: str
) -> None:
    found = taken(raw.replace(b"PID|1||M1", b"PID|1||Zqlast"), **feed)
    assert told(found) == code
    assert why in found.why
    error = next(line for line in found.receipt.split(b"\r") if line.startswith(b"ERR"))
    assert error.split(b"|")[3].startswith(number.encode() + b"^")
    assert b"Zqlast" not in found.receipt
    assert not found.accepted


@pytest.mark.parametrize(
    ("raw", "feed"),
    [
        (oru("1", mode="T"), {"processing_ids": "PT"}),
        (oru("1", mode=""), {}),
        (oru("1"), {"versions": frozenset({"2.3.1", "2.5.1"})}),
        (oru("1", kind="ADT^A08"), {"takes_adt": True}),
        (oru("1", kind="ZZZ^Z01"), {"takes_unknown_types": True}),
        (oru("1", kind="ORU^R31"), {}),
        *[(oru("1", kind=f"OUL^{trigger}"), {}) for trigger in ("R21", "R22", "R23", "R24")],
        *[(oru("1", kind=kind), {}) for kind in ("ORL^O22", "ORG^O20", "MCF", "OML^O21", "ORM^O01")],
        (oru("1"), {"application": "LIS", "facility": "LAB"}),
    ],
)
def test_what_the_feed_takes_is_accepted(raw: bytes, feed: dict[str, Any]) -> None:
    assert taken(raw, **feed).accepted


def test_from_a_file_a_stranger_is_taken_and_has_no_feed() -> None:
    found = taken(oru("1"), door=intake.FILE, facility="OTHER")
    assert found.accepted
    assert found.feed is None
    assert told(found) == "AA"


@pytest.mark.parametrize(
    ("mode", "wants", "receipt", "later"),
    [
        ("as_asked", "", "AA", ""),
        ("as_asked", "AL|NE", "CA", ""),
        ("as_asked", "AL|AL", "CA", "enhanced"),
        ("as_asked", "NE|AL", "", "enhanced"),
        ("as_asked", "|AL", "", "enhanced"),
        ("as_asked", "SU|ER", "CA", "enhanced"),
        ("as_asked", "ER|NE", "", ""),
        ("as_asked", "NE|NE", "", ""),
        ("original", "AL|AL", "AA", ""),
        ("deferred", "", "", "deferred"),
        ("enhanced", "", "CA", "enhanced"),
        ("enhanced", "AL|NE", "CA", ""),
    ],
)
def test_the_feed_and_the_sender_say_which_answers_are_owed(mode: str, wants: str, receipt: str, later: str) -> None:
    found = taken(oru("1", wants=wants), ack_mode=mode)
    assert (told(found), found.later, found.ack_code) == (receipt, later, receipt)


@pytest.mark.parametrize(
    ("mode", "wants", "receipt"),
    [
        ("original", "", "AR"), ("deferred", "", "AR"), ("as_asked", "AL|NE", "CR"), ("as_asked", "ER|NE", "CR"),
        ("as_asked", "SU|NE", ""), ("as_asked", "NE|AL", "AR"), ("as_asked", "NE|ER", "AR"),
        ("as_asked", "NE|SU", ""), ("enhanced", "", "CR"),
    ],
)  # fmt: skip
def test_a_refused_message_owes_nothing_later(mode: str, wants: str, receipt: str) -> None:
    found = taken(oru("1", kind="ADT^A08", wants=wants), ack_mode=mode)
    assert (told(found), found.later) == (receipt, "")


def test_a_laboratorys_own_change_of_an_order_is_answered() -> None:
    assert told(taken(oru("1", kind="OML^O21"))) == "AA"


@pytest.mark.parametrize("kind", ["ACK^R01", "ORL^O22", "ORR^O02", "MCF"])
@pytest.mark.parametrize("mode", ["original", "deferred", "as_asked"])
def test_an_answer_is_never_answered_in_original_mode(kind: str, mode: str) -> None:
    found = taken(oru("1", kind=kind), ack_mode=mode)
    assert found.accepted
    assert (told(found), found.later) == ("", "")
    assert told(taken(oru("", kind=kind), ack_mode=mode)) == ""


def test_an_answer_that_asks_for_a_commit_acknowledgement_gets_that_and_no_other() -> None:
    found = taken(oru("1", kind="ORL^O22", wants="AL|AL"))
    assert (told(found), found.later) == ("CA", "")


@pytest.mark.parametrize(
    ("status", "work_state", "code"),
    [
        ("received", "waiting", None), ("received", "running", None), ("filed", "done", Code.ACCEPT),
        ("worklist", "done", Code.ACCEPT), ("duplicate", "done", Code.ACCEPT), ("rejected", "done", Code.REJECT),
        ("worklist", "failed", Code.ERROR), ("worklist", "held", Code.ERROR),
    ],
)  # fmt: skip
def test_the_outcome_decides_the_answer_after_filing(status: str, work_state: str, code: Code | None) -> None:
    assert intake.filed(status, work_state) == code


def test_an_application_acknowledgement_asks_for_no_answer_and_is_only_sent_where_wanted() -> None:
    found = taken(oru("1", wants="AL|ER"))
    assert intake.outcome_answer(found, Code.ACCEPT, intake.now()) == b""
    answer = intake.outcome_answer(found, Code.REJECT, intake.now())
    assert msa(answer) == ("AR", "1")
    assert answer.split(b"\r")[0].split(b"|")[14:16] == [b"NE", b"NE"]


def test_the_charset_of_the_sender_is_told_back() -> None:
    found = taken(oru("1", wants="|||8859/1"))
    assert found.receipt.split(b"\r")[0].split(b"|")[17] == b"8859/1"


def test_the_words_are_those_of_the_table() -> None:
    assert {intake.RECEIVED, intake.REJECTED} < set(InboundStatus.values)
    assert {intake.AS_ASKED, intake.DEFERRED, intake.ENHANCED} < set(AckMode.values)
