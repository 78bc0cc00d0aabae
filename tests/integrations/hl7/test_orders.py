"""Holds that orders are written as the standard says, and that no text can change what a message asks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message, parse_segment
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import orders
from integrations.hl7.mllp import Deframer, frame
from integrations.hl7.order_records import CANCEL, CHANGE, NEW, OML, ORM, Envelope, Order, OrderedTest, Person, Provider
from integrations.hl7.reader import Message, Segment

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "hl7_orders"
AT = datetime(2026, 3, 2, 12, 0, 5, tzinfo=timezone(timedelta(hours=-5)))
POTASSIUM = OrderedTest("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "LN", "SER")
GLUCOSE = OrderedTest("GLU & more", "Glucose, fasting", "L", "BLD")
PERSON = Person("MRN0000001", "CLINIC", "Okafor", "Zoë", date(1980, 5, 17), "F")
ORDER = Order(
    number="LO0000001",
    control=NEW,
    priority="A",
    at=AT,
    person=PERSON,
    tests=(POTASSIUM, GLUCOSE),
    provider=Provider("1234567893", "Grey", "Mira"),
    collected_at=AT - timedelta(minutes=30),
    diagnosis="E11.9",
    reason="Cramps after dialysis.\nPotassium was 2.9 | last week.",
)
ENVELOPE = Envelope(OML, "2.5.1", "LO0000001.1", "P", AT, "CARERELAY", "1457624387", "LIS", "LAB")
OLD = replace(ENVELOPE, kind=ORM, version="2.3")
ODD = st.text(st.sampled_from("|^~\\&#\r\n\x0b\x1c\x00\x85\u2028\ufdd0\ufdd3\uffffäé漢ab .X0D"), max_size=40)
GOLDEN = {
    "new_oml_2_5_1": (ORDER, ENVELOPE),
    "change_oml_2_5_1": (
        replace(
            ORDER,
            control=CHANGE,
            collected_at=None,
            tests=(POTASSIUM, replace(GLUCOSE, control=NEW), OrderedTest("718-7", "Hemoglobin", "LN", control=CANCEL)),
        ),
        replace(ENVELOPE, control_id="LO0000001.2"),
    ),
    "new_oml_2_4": (ORDER, replace(ENVELOPE, version="2.4")),
    "cancel_orm_2_3": (
        replace(
            ORDER,
            control=CANCEL,
            person=replace(PERSON, family="O'Neill-|^~\\&"),
            tests=(POTASSIUM,),
            cancelled_because="Ordered twice",
        ),
        OLD,
    ),
}


def segments(raw: bytes, name: str) -> list[Segment]:
    return [segment for segment in Message(raw).segments if segment.name == name]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_orders_are_written_as_in_the_golden_messages(name: str) -> None:
    assert orders.build(*GOLDEN[name]) == (FOLDER / f"{name}.hl7").read_bytes()


@pytest.mark.parametrize("version", ["2.4", "2.5.1", "2.7", "2.8.2"])
def test_hl7apy_finds_the_structure_right_at_its_strictest(version: str) -> None:
    """With one test: the grammar of OML lets a second order be taken for a prior result of the first."""
    raw = orders.build(replace(ORDER, tests=(POTASSIUM,)), replace(ENVELOPE, version=version))
    parse_message(raw.decode(), validation_level=VALIDATION_LEVEL.STRICT, force_validation=True)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_hl7apy_finds_each_segment_right_at_its_strictest(name: str) -> None:
    """For ORM only this: its tables ask for all of a choice of segments where one is meant."""
    order, envelope = GOLDEN[name]
    for written in orders.build(order, envelope).decode().split("\r")[:-1]:
        parse_segment(written, version=envelope.version, validation_level=VALIDATION_LEVEL.STRICT).validate()


@pytest.mark.parametrize(
    ("kind", "version"),
    [(OML, "2.4"), (OML, "2.5"), (OML, "2.8.2"), (ORM, "2.3.1"), (ORM, "2.5.1"), (ORM, "2.6")],
)
def test_every_version_says_the_same(kind: str, version: str) -> None:
    raw = orders.build(ORDER, replace(ENVELOPE, kind=kind, version=version))
    assert [(test.code, test.control) for test in orders.asked(raw)] == [("2823-3", "NW"), ("GLU & more", "NW")]
    assert segments(raw, "MSH")[0].raw(12) == version
    obr, tq1 = segments(raw, "OBR")[0], segments(raw, "TQ1")
    assert (tq1[0].component(9) if tq1 else obr.component(27, 6)) == "A"
    assert segments(raw, "NTE")[0].text(3) == ORDER.reason


@pytest.mark.parametrize(("kind", "version"), [(ORM, "2.7"), (OML, "2.3"), (OML, "2.2"), (OML, "3"), (OML, "")])
def test_a_version_without_such_a_message_is_refused(kind: str, version: str) -> None:
    with pytest.raises(orders.NotInThisVersion):
        orders.build(ORDER, replace(ENVELOPE, kind=kind, version=version))


@settings(max_examples=25, deadline=None)
@given(family=ODD, code=ODD, reason=ODD, because=ODD)
def test_no_text_can_change_what_a_message_asks(family: str, code: str, reason: str, because: str) -> None:
    person = replace(PERSON, family=family)
    order = replace(
        ORDER,
        person=person,
        reason=reason,
        cancelled_because=because,
        tests=(OrderedTest(code, family, "L"),),
        provider=None,
    )
    raw = orders.build(order, replace(OLD, version="2.5.1"))
    assert Deframer().feed(frame(raw)) == [raw]
    names = [segment.name for segment in Message(raw).segments]
    expected = ["MSH", "PID", "PV1", "ORC", "OBR", *(["NTE"] if reason else []), "DG1"]
    assert names == expected
    assert segments(raw, "PID")[0].component(5) == line(family)
    assert segments(raw, "OBR")[0].component(4) == line(code)
    assert segments(raw, "ORC")[0].component(16, 2) == line(because)
    assert Message(raw).findings == []


def line(text: str) -> str:
    """Return what a text becomes in a field of one line: blanks for control characters, no noncharacters."""
    shown = "".join(" " if sign in "\r\n\x0b\x1c\x00\x85\u2028" else sign for sign in text)
    runs = re.sub("[\r\n\x0b\x1c\x00\x85\u2028]+", "\x00", text).replace("\x00", " ").strip()
    assert runs.split() == shown.split()
    return re.sub("[\ufdd0\ufdd3\uffff]", "\ufffd", runs)


@pytest.mark.parametrize(
    ("charset", "name", "declared", "codec"),
    [("8859/1", "Zoë", "8859/1", "latin-1"), ("8859/1", "漢", "UNICODE UTF-8", "utf-8"), ("?", "Zoë", "?", "utf-8")],
)
def test_text_goes_out_in_the_laboratorys_charset_or_says_that_it_does_not(
    charset: str, name: str, declared: str, codec: str
) -> None:
    raw = orders.build(replace(ORDER, person=replace(PERSON, given=name)), replace(OLD, charset=charset))
    assert name.encode(codec) in raw
    assert segments(raw, "MSH")[0].raw(18) == declared
    assert segments(raw, "PID")[0].component(5, 2) == name


def test_an_order_shows_nobody_when_it_is_printed() -> None:
    assert "Okafor" not in repr(ORDER) + repr(PERSON) + repr(ORDER.provider)
