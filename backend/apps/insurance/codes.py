"""What a diagnosis and a billed line look like; without it a clearinghouse would find the typing errors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

MOST_DIAGNOSES = 12  # 837P, 2300 HI: one principal and eleven others
MOST_LINES = 50  # 837P, 2400: at most 50 service lines
MOST_MODIFIERS = 4
MOST_POINTERS = 4
MOST_UNITS = 9999

# ICD-10-CM: a letter and two letters or digits (the second is a letter since the edition of 2026, as in QA0.0101), then
# a point and one to four characters. Which of these is a code, the clinic's own list says.
DIAGNOSIS = re.compile(r"[A-Z][0-9A-Z]{2}(\.[0-9A-Z]{1,4})?")
# CPT: five digits, or four and F, T, U, M or A; HCPCS level II: a letter A to V and four digits.
PROCEDURE = re.compile(r"[0-9]{4}[0-9FTUMA]|[A-V][0-9]{4}")
MODIFIER = re.compile(r"[A-Z0-9]{2}")
CHARGE = re.compile(r"[0-9]{1,8}\.[0-9]{2}")
PLACE = re.compile(r"[0-9]{2}")
NDC = re.compile(r"[0-9]{11}")  # 5-4-2 without hyphens
QUANTITY = re.compile(r"(?!0+(\.0+)?$)[0-9]{1,7}(\.[0-9]{1,3})?")
UNIT_BASES = frozenset({"UN", "MJ"})  # SV103: units, minutes
NDC_UNITS = frozenset({"F2", "GR", "ME", "ML", "UN"})  # CTP05
DRUG = frozenset({"ndc", "ndc_quantity", "ndc_unit"})
MOST_TEXT = 80
MOST_REFERENCE = 50
REQUIRED = frozenset({"code", "units", "charge", "diagnosis_pointers"})
OPTIONAL = DRUG | {
    "modifiers",
    "service_date",
    "service_to",
    "place_of_service",
    "unit_basis",
    "is_emergency",
    "description",
    "prior_authorization",
    "note",
    "rendering_doctor",
}


def validate_diagnosis_codes(value: Any) -> None:
    """Accept at most 12 different ICD-10-CM codes, the principal one first."""
    if not isinstance(value, list) or len(value) > MOST_DIAGNOSES:
        raise ValidationError(f"Diagnoses are a list of at most {MOST_DIAGNOSES} codes.", code="diagnoses")
    if not all(isinstance(code, str) and DIAGNOSIS.fullmatch(code) for code in value):
        raise ValidationError("Write each diagnosis as an ICD-10-CM code with its point, as E11.9.", code="diagnoses")
    if len(set(value)) < len(value):
        raise ValidationError("A diagnosis stands in the list twice.", code="diagnoses")


def validate_procedure_codes(value: Any) -> None:
    """Accept a list of lines {code, modifiers, units, charge, diagnosis_pointers, ...}: OPTIONAL may be left out.

    charge: text with two decimals, for the whole line. diagnosis_pointers: places in the list of diagnoses, from 1.
    service_date: ISO; the claim's own day when left out; service_to: the last day of several. unit_basis: UN (units) or
    MJ (minutes). ndc: eleven digits, with ndc_quantity (text) of ndc_unit. rendering_doctor: id of another doctor.
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
        return f"a line has code, units, charge, diagnosis_pointers and perhaps {', '.join(sorted(OPTIONAL))}."
    for name, (check, fault) in CHECKS.items():
        if name in line and not check(line[name]):
            return fault
    return _contradiction(line)


def _contradiction(line: Mapping[str, Any]) -> str:
    if DRUG & set(line) and not set(line) >= DRUG:
        return "a drug has its NDC, its quantity and the quantity's unit."
    if "service_to" in line and not line.get("service_date", line["service_to"]) <= line["service_to"]:
        return "the last day of service is not before the first."
    return ""


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


def _is_text(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= most and value.isprintable()


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "code": (lambda value: _matches(PROCEDURE, value), "the code is five characters of CPT or HCPCS."),
    "charge": (lambda value: _matches(CHARGE, value), "the charge is text with two decimals, as 125.00."),
    "units": (lambda value: _whole(value, MOST_UNITS), f"units are a whole number from 1 to {MOST_UNITS}."),
    "modifiers": (_are_modifiers, "modifiers are at most four different pairs of characters."),
    "diagnosis_pointers": (_are_pointers, "diagnosis pointers are one to four different places from 1 to 12."),
    "service_date": (_is_day, "the day of service is a date such as 2026-01-31."),
    "service_to": (_is_day, "the last day of service is a date such as 2026-01-31."),
    "place_of_service": (lambda value: _matches(PLACE, value), "the place of service has two digits, as 11."),
    "unit_basis": (lambda value: isinstance(value, str) and value in UNIT_BASES, "units are counted in UN or MJ."),
    "is_emergency": (lambda value: isinstance(value, bool), "whether it was an emergency is true or false."),
    "ndc": (lambda value: _matches(NDC, value), "an NDC has eleven digits without hyphens."),
    "ndc_quantity": (
        lambda value: _matches(QUANTITY, value),
        "the quantity of a drug is text above zero with at most three decimals, as 1.5.",
    ),
    "ndc_unit": (
        lambda value: isinstance(value, str) and value in NDC_UNITS,
        "a drug is measured in F2, GR, ME, ML or UN.",
    ),
    "description": (_is_text(MOST_TEXT), f"the description is text of at most {MOST_TEXT} characters."),
    "note": (_is_text(MOST_TEXT), f"the note is text of at most {MOST_TEXT} characters."),
    "prior_authorization": (
        _is_text(MOST_REFERENCE),
        f"the authorisation is text of at most {MOST_REFERENCE} characters.",
    ),
    "rendering_doctor": (_is_uuid, "the doctor of a line is named by its id."),
}  # of the parts of a line, in the order in which a person would look


def total(lines: Iterable[Mapping[str, Any]]) -> Decimal:
    """Return the sum of the charges of lines that passed `validate_procedure_codes`."""
    return sum((Decimal(line["charge"]) for line in lines), Decimal("0.00"))


def last_pointer(lines: Iterable[Mapping[str, Any]]) -> int:
    """Return the highest diagnosis pointer of any line, 0 without lines."""
    return max((pointer for line in lines for pointer in line["diagnosis_pointers"]), default=0)


def days(lines: Iterable[Mapping[str, Any]]) -> list[date]:
    """Return the days of service that lines name themselves."""
    return [date.fromisoformat(line[name]) for line in lines for name in ("service_date", "service_to") if name in line]


def first_day(lines: Iterable[Mapping[str, Any]], *, usual: date) -> date:
    """Return the first day on which a line was served. usual: the claim's, of lines that name none."""
    return min(
        (date.fromisoformat(line["service_date"]) if "service_date" in line else usual for line in lines), default=usual
    )


def doctors(lines: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the ids of the doctors that lines name themselves."""
    return {line["rendering_doctor"] for line in lines if "rendering_doctor" in line}
