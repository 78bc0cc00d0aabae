"""Holds that answers to orders are read in every form they come in, without a word that may name a patient."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import answers
from integrations.hl7.answers import Answer, Part, Verdict
from integrations.hl7.reader import Message

ZONE = ZoneInfo("America/New_York")
MSH = "MSH|^~\\&|LIS|LAB|CARERELAY|CLINIC|20260302120005||{kind}|L1|P|2.5.1"
# HL7 v2.5.1, 4.4.7 ORL: the patient is named only where the laboratory wishes.
ORL = [
    MSH.format(kind="ORL^O22^ORL_O22"), "MSA|AA|LO0000001.1", "PID|1||MRN1",
    "ORC|OK|LO0000001|F1||IP", "OBR|1|LO0000001|F1|2823-3^K^LN", "ORC|UA|LO0000001", "OBR|2||F2|718-7^Hb^LN",
]  # fmt: skip


def read(*lines: str) -> Answer:
    return answers.read(Message("\r".join(lines).encode()), default_tz=ZONE)


def test_an_orl_is_read_with_each_of_its_orders() -> None:
    found = read(*ORL)
    assert (found.message_code, found.control_id, found.code, found.answers) == ("ORL", "L1", "AA", "LO0000001.1")
    assert (found.sending_facility, found.sent_at) == ("LAB", datetime(2026, 3, 2, 12, 0, 5, tzinfo=ZONE))
    assert found.parts == (Part("OK", "LO0000001", "F1", "IP"), Part("UA", "LO0000001", "F2"))
    assert [part.verdict for part in found.parts] == [Verdict.DONE, Verdict.UNABLE]


@pytest.mark.parametrize(
    ("control", "status", "verdict"),
    [
        ("OK", "", Verdict.DONE), ("CR", "", Verdict.DONE), ("XR", "", Verdict.DONE), ("RE", "", Verdict.DONE),
        ("UA", "", Verdict.UNABLE), ("UC", "", Verdict.UNABLE), ("UX", "", Verdict.UNABLE),
        ("OC", "", Verdict.CANCELLED), ("SC", "CA", Verdict.CANCELLED), ("SC", "IP", Verdict.DONE),
        ("NW", "", None), ("", "", None), ("Q?", "", None),
    ],
)  # fmt: skip
def test_what_is_said_of_a_test(control: str, status: str, verdict: Verdict | None) -> None:
    """HL7 v2.5.1, 4.5.1.1, table 0119, and table 0038."""
    (part,) = read(ORL[0], f"ORC|{control}|P1|F1||{status}").parts
    assert part.verdict == verdict


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["MSA|AR|X", "ERR||PID^1^3|101^ADA OKAFOR^HL70357|E"], "Required field missing (PID-3)."),
        (["MSA|AR|X", "ERR|PID^1^5^101&Required field missing&HL70357"], "Required field missing (PID-5)."),
        (["MSA|AE|X|ADA OKAFOR IS UNKNOWN|||207^Application internal error"], "Application internal error."),
        (["MSA|AR|X", "ERR||OBR^1|999^x"], "Error 999."),
        (["MSA|AR|X|ADA OKAFOR", "ERR||ADA OKAFOR^1^2|ADA OKAFOR"], ""),
    ],
    ids=["2.5", "2.3", "in MSA", "an unknown code", "words only"],
)
def test_trouble_is_told_in_the_standards_words_only(lines: list[str], sentence: str) -> None:
    """HL7 v2.5.1, 2.15.5 ERR; v2.3, 2.24.2 ERR and 2.24.8.6 MSA-6."""
    found = read(MSH.format(kind="ACK"), *lines)
    assert " ".join(trouble.sentence for trouble in found.troubles) == sentence


def test_what_is_missing_is_empty() -> None:
    found = read("MSH|^~\\&|||||2026|||")
    assert found == Answer("", "", "", "", None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text('|^~\\&\r"AMSORCERRPID0123456789', max_size=60), max_size=8))
def test_no_message_is_too_strange_to_be_read(lines: list[str]) -> None:
    read(ORL[0], *lines)
