"""What a diagnosis and a billed line look like; without it a clearinghouse would find the typing errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

MOST_DIAGNOSES = 12  # 837P, 2300 HI: one principal and eleven others
MOST_LINES = 50  # 837P, 2400: at most 50 service lines
MOST_MODIFIERS = 4
MOST_POINTERS = 4
MOST_UNITS = 9999

# ICD-10-CM, Official Guidelines 2026, I.A: letter, digit, digit or A/B, then a point and one to four characters.
DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9AB](\.[0-9A-Z]{1,4})?")
# CPT: five digits, or four and F, T, U, M or A; HCPCS level II: a letter A to V and four digits.
PROCEDURE = re.compile(r"[0-9]{4}[0-9FTUMA]|[A-V][0-9]{4}")
MODIFIER = re.compile(r"[A-Z0-9]{2}")
CHARGE = re.compile(r"[0-9]{1,8}\.[0-9]{2}")
REQUIRED = frozenset({"code", "units", "charge", "diagnosis_pointers"})
OPTIONAL = frozenset({"modifiers", "service_date"})


def validate_diagnosis_codes(value: Any) -> None:
    """Accept at most 12 different ICD-10-CM codes, the principal one first."""
    if not isinstance(value, list) or len(value) > MOST_DIAGNOSES:
        raise ValidationError(f"Diagnoses are a list of at most {MOST_DIAGNOSES} codes.", code="diagnoses")
    if not all(isinstance(code, str) and DIAGNOSIS.fullmatch(code) for code in value):
        raise ValidationError("Write each diagnosis as an ICD-10-CM code with its point, as E11.9.", code="diagnoses")
    if len(set(value)) < len(value):
        raise ValidationError("A diagnosis stands in the list twice.", code="diagnoses")


def validate_procedure_codes(value: Any) -> None:
    """Accept a list of lines {code, modifiers, units, charge, diagnosis_pointers, service_date}.

    charge: text with two decimals, for the whole line. diagnosis_pointers: places in the list of diagnoses, from 1.
    modifiers and service_date (ISO; the claim's own day when left out) may be missing.
    """
    if not isinstance(value, list) or len(value) > MOST_LINES:
        raise ValidationError(f"Procedures are a list of at most {MOST_LINES} lines.", code="procedures")
    for number, line in enumerate(value, start=1):
        if fault := _fault(line):
            raise ValidationError(f"Line {number}: {fault}", code="procedures")


def are_valid(diagnoses: Any, procedures: Any) -> bool:
    try:
        validate_diagnosis_codes(diagnoses)
        validate_procedure_codes(procedures)
    except ValidationError:
        return False
    return True


def _fault(line: Any) -> str:
    """Return what is wrong with one line, "" when nothing is; never the value itself."""
    if not isinstance(line, dict):
        return "a line is an object."
    if not (REQUIRED <= set(line) <= REQUIRED | OPTIONAL):
        return "a line has code, units, charge, diagnosis_pointers and perhaps modifiers and service_date."
    checks = {
        "the code is five characters of CPT or HCPCS.": _matches(PROCEDURE, line["code"]),
        "the charge is text with two decimals, as 125.00.": _matches(CHARGE, line["charge"]),
        f"units are a whole number from 1 to {MOST_UNITS}.": _whole(line["units"], MOST_UNITS),
        "modifiers are at most four different pairs of characters.": _are_modifiers(line.get("modifiers", [])),
        "diagnosis pointers are one to four different places from 1 to 12.": _are_pointers(line["diagnosis_pointers"]),
        "the day of service is a date such as 2026-01-31.": "service_date" not in line or _is_day(line["service_date"]),
    }
    return next((fault for fault, right in checks.items() if not right), "")


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _are_modifiers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MOST_MODIFIERS
        and all(_matches(MODIFIER, modifier) for modifier in value)
        and len(set(value)) == len(value)
    )


def _are_pointers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= MOST_POINTERS
        and all(_whole(pointer, MOST_DIAGNOSES) for pointer in value)
        and len(set(value)) == len(value)
    )


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def total(lines: Iterable[Mapping[str, Any]]) -> Decimal:
    """Return the sum of the charges of lines that passed `validate_procedure_codes`."""
    return sum((Decimal(line["charge"]) for line in lines), Decimal("0.00"))


def last_pointer(lines: Iterable[Mapping[str, Any]]) -> int:
    """Return the highest diagnosis pointer of any line, 0 without lines."""
    return max((pointer for line in lines for pointer in line["diagnosis_pointers"]), default=0)


def days(lines: Iterable[Mapping[str, Any]]) -> list[date]:
    """Return the days of service that lines name themselves."""
    return [date.fromisoformat(line["service_date"]) for line in lines if "service_date" in line]
