"""Holds what is a warning about a message, that each tells its place and never a value, and that hl7apy agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import tables
from integrations.hl7.findings import Finding
from integrations.hl7.reader import Message
from integrations.hl7.validate import MOST, validate
from tests.integrations.hl7 import samples

HEAD = b"MSH|^~\\&|LIS|LAB|CR|CLINIC|20260301||ORU^R01^ORU_R01|1|P|2.5.1\rPID|1||M-1||Diaz^Ana\rOBR|1|P-1|F-1|1^A\r"
OBX = b"OBX|1|NM|1^A||10|g/dL|1-2|H|||F|||20260301"


def findings(*segments: bytes) -> tuple[Finding, ...]:
    return validate(Message(HEAD + b"\r".join(segments)))


def test_a_right_message_has_no_findings() -> None:
    assert findings(OBX, b"NTE|1|L|fine", b"ZLA|anything^at&all", OBX) == ()


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (OBX.replace(b"|F|", b"||"), Finding("OBX", 1, 11, "required, and empty")),
        (b"OBX|1|NM|1^A||10", Finding("OBX", 1, 11, "required, and empty")),
        (OBX.replace(b"|10|", b"|high|"), Finding("OBX", 1, 5, "not a number: 4 characters")),
        (OBX.replace(b"|NM|", b"|ZZ|"), Finding("OBX", 1, 2, "not in table 0125: 2 characters")),
        (OBX.replace(b"|H|", b"|TOP|"), Finding("OBX", 1, 8, "not in table 0078: 3 characters")),
        (OBX.replace(b"|F|", b"|Q|"), Finding("OBX", 1, 11, "not in table 0085: 1 characters")),
        (OBX.replace(b"20260301", b"yesterday"), Finding("OBX", 1, 14, "component 1: not a time stamp: 9 characters")),
        (OBX.replace(b"1^A|", b"1^A^L^2^B^L^7|"), Finding("OBX", 1, 3, "7 components, a CE has 6")),
        (OBX.replace(b"|1-2|", b"|1-2~3-4|"), Finding("OBX", 1, 7, "2 repetitions, 1 allowed")),
        (OBX + b"|" * 20 + b"x", Finding("OBX", 1, 26, "more fields than 25")),
        (OBX.replace(b"OBX|1|", b"OBX|one|"), Finding("OBX", 1, 1, "not a sequence number: 3 characters")),
        (b"OBX|1|DT|1^A||2026-03-01||||||F", Finding("OBX", 1, 5, "not a date: 10 characters")),
        (b"OBX|1|CE|1^A||a^b^c^d^e^f^g||||||F", Finding("OBX", 1, 5, "7 components, a CE has 6")),
        (b"QQQ|1", Finding("QQQ", 1, 0, "not a segment of version 2.5.1")),
        (b"PV1|1|O", Finding("PV1", 1, 0, "not expected here in ORU_R01")),
    ],
)
def test_what_is_wrong_is_told_at_its_place(segment: bytes, expected: Finding) -> None:
    assert expected in findings(segment)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"MSH|^~\\&|A|B|||20260301||ORU^R01|1|P|2.9\r", Finding("MSH", 1, 12, "version not known; checked as 2.5.1")),
        (
            b"MSH|^~\\&|A|B|||20260301||XYZ^Q99|1|P|2.5\r",
            Finding("MSH", 1, 9, "no message of this type in version 2.5"),
        ),
        (b"MSH|^~\\&|A|B|||20260301||ORU^R01|1|P|2.5.1\rPID|1", Finding("MSH", 1, 0, "ends too early for ORU_R01")),
        (b"MSH|^~\\&|A|B|||20260301||ORU^R01||P|2.5.1\r", Finding("MSH", 1, 10, "required, and empty")),
    ],
)
def test_a_message_is_checked_as_the_type_and_version_it_names(raw: bytes, expected: Finding) -> None:
    assert expected in validate(Message(raw))


def test_the_same_lines_with_other_stamps_values_and_numbers_are_checked_each_for_itself() -> None:
    bad = OBX.replace(b"|H|", b"|TOP|").replace(b"OBX|1", b"OBX|2").replace(b"|10|", b"|x|")
    assert findings(OBX, bad, OBX) == (
        Finding("OBX", 2, 8, "not in table 0078: 3 characters"),
        Finding("OBX", 2, 5, "not a number: 1 characters"),
    )


def test_findings_are_bounded_and_hold_no_values() -> None:
    found = findings(*[b"OBX|secret|secret|secret^s^s^s^s^s^secret||secret|||secret|||secret|||secret"] * 200)
    assert len(found) == MOST
    assert "secret" not in repr(found)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([b"|", b"^", b"~", b"&", b"\\", b"\rOBX|", b"\rPID|", b"\rORC", b"1", b"x\xe9", b'""']))
)
def test_no_message_is_too_broken_to_check(pieces: list[bytes]) -> None:
    for version in (b"2.1", b"2.3", b"2.5.1", b"2.7", b"2.8.2"):
        head = b"MSH|^~\\&|A|B|||20260301||ORU^R01|1|P|" + version + b"\rOBR|1|||1^A\rOBX|1|CE|"
        assert len(validate(Message(head + b"".join(pieces)))) <= MOST


@pytest.mark.parametrize("version", sorted(tables.VERSIONS))
def test_every_segment_and_message_of_every_version_can_be_compiled(version: str) -> None:
    library = tables.load_library(version)
    compiled = [name for name in library.MESSAGES if tables.grammar(version, name)]
    assert len(compiled) == len(library.MESSAGES)
    assert tables.fields(version, "MSH")


def test_names_that_a_sender_invents_are_not_remembered_without_end() -> None:
    for number in range(tables.MOST_NAMES + 10):
        assert tables.grammar("2.5.1", f"X{number}") is tables.value("2.5.1", f"X{number}") is None
    for remembered in (tables.grammar, tables.value, tables.fields):
        assert remembered.cache_info().currsize <= tables.MOST_NAMES


def test_segments_in_any_order_take_time_in_proportion() -> None:
    raw = HEAD + b"OBR|1|||1^A\r" * 3_000 + b"PV1|1|O\r"
    assert Finding("PV1", 1, 0, "not expected here in ORU_R01") in validate(Message(raw))


@pytest.mark.parametrize("path", samples.MESSAGES, ids=lambda path: path.stem)
def test_hl7apy_finds_the_same_samples_well_built(path: Path) -> None:
    """Values and codes are not compared: the library only warns of them. What differs is told in `EXPLAINED`."""
    message = Message(path.read_bytes())
    found = [one for one in validate(message) if not one.message.endswith("characters")]
    try:
        parse_message(
            "\r".join(line for _, _, line in message.parts) + "\r",
            validation_level=VALIDATION_LEVEL.TOLERANT,
            force_validation=True,
        )
        agreed = not found
    except (HL7apyException, ValueError):
        agreed = bool(found)
    assert agreed == (path.stem not in EXPLAINED)


EXPLAINED = {
    "chemistry": "the library takes an NTE-3 with a bare escape character for another data type",
}
