"""Holds what dates, moments and numbers may look like, and that a refusal tells the shape only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.hl7 import fields
from integrations.hl7.fields import BadField, Measured

NEW_YORK = ZoneInfo("America/New_York")
SUMMER = timezone(timedelta(hours=-4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260301", datetime(2026, 3, 1, tzinfo=NEW_YORK)),
        ("2026030108", datetime(2026, 3, 1, 8, tzinfo=NEW_YORK)),
        ("202603010830", datetime(2026, 3, 1, 8, 30, tzinfo=NEW_YORK)),
        (" 20260301083015 ", datetime(2026, 3, 1, 8, 30, 15, tzinfo=NEW_YORK)),
        ("20260301083015.1234", datetime(2026, 3, 1, 8, 30, 15, tzinfo=NEW_YORK)),
        ("20260701083015-0400", datetime(2026, 7, 1, 8, 30, 15, tzinfo=SUMMER)),
        ("202603010830+0530", datetime(2026, 3, 1, 3, 0, tzinfo=UTC)),
        ("20240229", datetime(2024, 2, 29, tzinfo=NEW_YORK)),
    ],
)
def test_a_moment_is_read_and_always_has_a_zone(text: str, expected: datetime) -> None:
    found = fields.moment(text, default_tz=NEW_YORK)
    assert found == expected
    assert found.utcoffset() == expected.utcoffset() or "+" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026", "not a time stamp: 4 characters"),
        ("", "not a time stamp: 0 characters"),
        ("2026-03-01", "not a time stamp: 10 characters"),
        ("20260301T0830", "not a time stamp: 13 characters"),
        ("2026030108301", "not a time stamp: 13 characters"),
        ("٢٠٢٦٠٣٠١", "not a time stamp: 8 characters"),
        ("20260230", "not a real date"),
        ("20260301240000", "not a real date"),
        ("00000000", "not a date of our time"),
        ("99991231", "not a date of our time"),
        ("20260301083015+9900", "not a real time zone"),
        ("20260301083015+0075", "not a real time zone"),
    ],
)
def test_no_moment_is_refused_by_its_shape(text: str, message: str) -> None:
    with pytest.raises(BadField) as raised:
        fields.moment(text, default_tz=UTC)
    assert str(raised.value) == message


def test_a_birth_date_is_a_day_wherever_it_is_read() -> None:
    assert fields.day("19790412") == date(1979, 4, 12)
    assert fields.day("19790412235959-1200") == date(1979, 4, 12)


@given(st.text(alphabet="0123456789+-. ", max_size=26))
def test_whatever_looks_like_a_moment_is_one_or_a_bad_field(text: str) -> None:
    try:
        found = fields.moment(text, default_tz=NEW_YORK)
    except BadField:
        return
    assert found.astimezone(UTC).year in range(1799, 2201)


@pytest.mark.parametrize(
    ("text", "expected"), [("5", "5"), ("-0.50", "-0.50"), ("+7", "7"), (".5", "0.5"), (" 12. ", "12")]
)
def test_a_number_keeps_its_digits(text: str, expected: str) -> None:
    assert str(fields.number(text)) == expected


@pytest.mark.parametrize("text", ["", "1e5", "NaN", "Infinity", "1,5", "1_000", "٣", "--1", "5 mg", "9" * 21])
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(BadField):
        fields.number(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", Measured(Decimal(5))),
        ("<5", Measured(Decimal(5), "<")),
        (">= 1000", Measured(Decimal(1000), ">=")),
        ("< 0.01", Measured(Decimal("0.01"), "<")),
    ],
)
def test_a_comparator_before_a_number_is_kept_apart(text: str, expected: Measured) -> None:
    assert fields.measured(text) == expected


@pytest.mark.parametrize("text", ["<", "<<5", "about 5", "5-6", ""])
def test_a_measurement_without_a_number_is_refused(text: str) -> None:
    with pytest.raises(BadField):
        fields.measured(text)
