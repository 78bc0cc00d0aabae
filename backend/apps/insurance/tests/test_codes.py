"""Proves which diagnoses and billed lines are accepted, and that a refusal never repeats what was written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from backend.apps.insurance import codes
from backend.apps.insurance.tests.factories import line


@pytest.mark.parametrize(
    "good",
    [
        [],
        ["E11.9"],
        ["I10", "Z00.00", "S72.001A", "C4A.9", "M1A.0110", "U07.1", "QA0.0101"],
        [f"A{n}" for n in range(10, 22)],
    ],
)
def test_lists_of_icd_10_codes_are_accepted(good: list[str]) -> None:
    codes.validate_diagnosis_codes(good)


@pytest.mark.parametrize(
    "bad",
    [
        "E11.9",
        {"E11.9": 1},
        None,
        [1],
        ["e11.9"],
        ["E119"],
        ["E1"],
        ["E11."],
        ["E11.90000"],
        ["E11.9 "],
        ["E11.9\n"],
        ["111.9"],
        ["1E1"],
        ["EE"],
        ["E-1"],
        ["E11.9", "E11.9"],
        [f"A{n}" for n in range(10, 23)],
        [["E11.9"]],
    ],
)
def test_other_diagnoses_are_refused(bad: Any) -> None:
    with pytest.raises(ValidationError):
        codes.validate_diagnosis_codes(bad)


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"code": "0001F"},
        {"code": "0202U"},
        {"code": "J1885", "units": 9999},
        {"modifiers": ["25", "GT", "LT", "59"]},
        {"charge": "0.00"},
        {"charge": "99999999.99"},
        {"diagnosis_pointers": [4, 3, 2, 1]},
        {"service_date": "2026-01-31"},
        {"service_date": "2026-01-31", "service_to": "2026-02-02"},
        {"service_to": "2026-02-02"},
        {"place_of_service": "02"},
        {"unit_basis": "MJ", "units": 47},
        {"is_emergency": True},
        {"code": "J1885", "ndc": "00409379501", "ndc_quantity": "0.5", "ndc_unit": "ML"},
        {"description": "Toradol", "note": "Given twice", "prior_authorization": "A-1"},
        {"rendering_doctor": "0199c0de-0000-7000-8000-000000000001"},
    ],
)
def test_lines_are_accepted(over: dict[str, Any]) -> None:
    codes.validate_procedure_codes([line(**over)])


@pytest.mark.parametrize(
    "over",
    [
        {"code": "9921"},
        {"code": "W1234"},
        {"code": "j1885"},
        {"code": 99213},
        {"units": 0},
        {"units": 1.5},
        {"units": True},
        {"units": 10_000},
        {"charge": 125},
        {"charge": 125.0},
        {"charge": "125"},
        {"charge": "-1.00"},
        {"charge": "1e3"},
        {"charge": "100000000.00"},
        {"charge": "\u0661.\u0660\u0660"},
        {"modifiers": ["25", "25"]},
        {"modifiers": ["a1"]},
        {"modifiers": ["25", "GT", "LT", "59", "XU"]},
        {"modifiers": "25"},
        {"diagnosis_pointers": []},
        {"diagnosis_pointers": [0]},
        {"diagnosis_pointers": [13]},
        {"diagnosis_pointers": [1, 1]},
        {"diagnosis_pointers": [1, 2, 3, 4, 5]},
        {"diagnosis_pointers": ["1"]},
        {"service_date": "2026-02-30"},
        {"service_date": "20260131"},
        {"service_date": None},
        {"price": "1.00"},
        {"service_date": "2026-02-02", "service_to": "2026-01-31"},
        {"service_to": 20260131},
        {"place_of_service": "1"},
        {"place_of_service": 12},
        {"unit_basis": "DA"},
        {"unit_basis": ["UN"]},
        {"is_emergency": "Y"},
        {"ndc": "00409379501"},
        {"ndc": "0409-3795-01", "ndc_quantity": "1", "ndc_unit": "ML"},
        {"ndc_quantity": "0.000", "ndc": "00409379501", "ndc_unit": "ML"},
        {"ndc_unit": "QT", "ndc": "00409379501", "ndc_quantity": "1"},
        {"description": "x" * 81},
        {"note": "a\x00b"},
        {"prior_authorization": "9" * 51},
        {"rendering_doctor": "Dr. Stone"},
    ],
)
def test_other_lines_are_refused_without_repeating_them(over: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Line 2") as refusal:
        codes.validate_procedure_codes([line(), line(**over)])
    assert str(next(iter(over.values()))) not in {word.strip(".") for word in refusal.value.messages[0].split()[2:]}


@pytest.mark.parametrize("bad", [None, "x", {}, [1], [None], [{}], [[]], [line()] * 51])
def test_anything_but_a_list_of_at_most_fifty_lines_is_refused(bad: Any) -> None:
    with pytest.raises(ValidationError):
        codes.validate_procedure_codes(bad)


@pytest.mark.parametrize("name", sorted(codes.REQUIRED))
def test_a_line_without_a_needed_part_is_refused(name: str) -> None:
    short = line()
    del short[name]
    with pytest.raises(ValidationError):
        codes.validate_procedure_codes([short])


def test_charges_add_up_exactly() -> None:
    assert codes.total([line("0.10")] * 3) == Decimal("0.30")
    assert codes.total([]) == 0
