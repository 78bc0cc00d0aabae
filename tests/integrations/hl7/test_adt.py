"""Holds that demographics are read so that silence, emptiness and a value are never taken for each other."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.hl7 import adt
from integrations.hl7.adt import Address, Event
from integrations.hl7.reader import Message
from integrations.hl7.records import Identifier

ZONE = ZoneInfo("America/New_York")
MSH = "MSH|^~\\&|ADT|HOSPITAL|||20260302120000||ADT^A08^ADT_A01|A1|P|2.5.1"


def read(*lines: str) -> Event:
    return adt.read(Message("\r".join([MSH, *lines]).encode()), default_tz=ZONE)


def person(**fields: str) -> Any:
    """Return what a PID says of these fields, as pid5="Okafor^Ada"."""
    numbers = {int(name.removeprefix("pid")): value for name, value in fields.items()}
    line = "|".join(["PID", *(numbers.get(number, "") for number in range(1, 31))])
    return read(line).changes[0].person


def test_a_whole_message_is_read() -> None:
    """HL7 v2.5.1, 3.3.8 ADT^A08; 3.4.2 PID."""
    event = read(
        "EVN|A08|20260301070809+0000",
        "PID|1||M1^^^CLINIC&1.2.3&ISO^MR~987^^^SSA^SS||Okafor^Ada^B^^^^L||19800517|F|||1 Elm^Apt 2^Troy^NY^12180^USA^H"
        "||(518)555-0143^PRN^PH||eng^English^ISO639",
    )
    assert (event.trigger, event.as_of) == ("A08", datetime(2026, 3, 1, 7, 8, 9, tzinfo=UTC))
    said = event.changes[0].person
    assert said.identifiers == (Identifier("M1", "CLINIC", "MR", "1.2.3"), Identifier("987", "SSA", "SS"))
    assert (said.family, said.given, said.birth_date, said.sex) == ("Okafor", "Ada", date(1980, 5, 17), "F")
    assert said.address == Address("1 Elm", "Apt 2", "Troy", "NY", "12180", "USA")
    assert (said.phone, said.email, said.language) == ("(518)555-0143", None, "eng")
    assert event.findings == ()


def test_silence_says_nothing() -> None:
    said = person(pid3="M1")
    assert (said.family, said.given, said.birth_date, said.sex) == (None, None, None, None)
    assert (said.address, said.phone, said.email, said.language) == (None, None, None, None)


def test_a_null_empties() -> None:
    """HL7 v2.5.1, 2.5.3: two double quotes delete what is on file."""
    said = person(pid5='""', pid8='""', pid11='""', pid13='""~^NET^Internet^""', pid15='""')
    assert (said.family, said.given, said.sex, said.address) == ("", "", "", Address())
    assert (said.phone, said.email, said.language) == ("", "", "")


@pytest.mark.parametrize(
    ("field", "phone", "email"),
    [
        ("5185550143", "5185550143", None),
        ("^PRN^PH^^1^518^5550143", "+15185550143", None),
        ("^PRN^PH^^^^5550143^^^^^+1 518 555 0143", "+1 518 555 0143", None),
        ("^NET^Internet^a@example.org~5185550143", "5185550143", "a@example.org"),
        ("a@example.org^NET", None, "a@example.org"),
        ("^^^a@example.org", None, "a@example.org"),
        ("^PRN^PH", None, None),
    ],
)
def test_numbers_and_addresses_are_found_where_senders_write_them(
    field: str, phone: str | None, email: str | None
) -> None:
    """HL7 v2.5.1, 2A.89 XTN, its older first component and the newer twelfth."""
    said = person(pid13=field)
    assert (said.phone, said.email) == (phone, email)


def test_the_legal_name_and_the_home_address_are_taken_where_several_are_sent() -> None:
    said = person(pid5="Maiden^Ada^^^^^M~Okafor&van^Ada^^^^^L", pid11="Work St^^A^NY^1^^B~Home St&Home^^B^NY^2^^H")
    assert (said.family, said.given) == ("Okafor", "Ada")
    assert (said.address.street, said.address.city) == ("Home St", "B")


def test_a_merge_names_both_records() -> None:
    """HL7 v2.5.1, 3.3.40 ADT^A40; 3.4.9 MRG."""
    event = read("EVN|A40|", "PID|1||M1||Okafor^Ada", "MRG|M2^^^CLINIC^MR||||||Okafor^Ada", "PID|2||M3||X^Y", "MRG|M4")
    assert event.as_of == datetime(2026, 3, 2, 12, tzinfo=ZONE)
    assert [change.merged.identifiers[0].value for change in event.changes if change.merged] == ["M2", "M4"]
    assert event.changes[0].merged is not None
    assert (event.changes[0].merged.family, event.changes[0].merged.given) == ("Okafor", "Ada")


def test_what_cannot_be_read_is_told_without_itself() -> None:
    event = read("EVN|A08|yesterday", "PID|1||M1||||19801345")
    assert [(finding.segment, finding.field) for finding in event.findings] == [("PID", 7), ("EVN", 2)]
    assert "1980" not in str(event.findings)
    assert event.as_of == datetime(2026, 3, 2, 12, tzinfo=ZONE)


def test_ten_thousand_numbers_of_one_patient_take_little_time() -> None:
    began = time.process_time()
    [change] = read("PID|1||" + "~".join([f"M1^^^{'C' * 1000}&1.2.3&ISO^MR"] * 10_000)).changes
    assert time.process_time() - began < 2
    assert len(change.person.identifiers) == 10_000


def test_a_message_of_far_too_many_patients_is_read_in_part_and_told() -> None:
    event = read(*["PID|1||M1", "MRG|M2"] * (adt.MOST_CHANGES + 5))
    assert len(event.changes) == adt.MOST_CHANGES == sum(change.merged is not None for change in event.changes)
    assert [finding.message for finding in event.findings] == ["only the first 500 patients are read"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text('|^~\\&\r"PIDMRGEVN0123456789+@', max_size=80), max_size=6))
def test_no_message_is_too_strange_to_be_read(lines: list[str]) -> None:
    read(*lines)
    read("PID|" + "|".join(lines))


def test_demographics_show_nobody_when_they_are_printed() -> None:
    event = read("PID|1||M1||Okafor^Ada||||||1 Elm^^Troy", "MRG|M2||||||Okafor^Ada")
    assert "Okafor" not in repr(event)
    assert "Elm" not in repr(event)
