"""Compares what a person reads back with what is stored; without it an acknowledgement would prove nothing.

Source: Joint Commission PC.02.01.03 EP 20: who takes a critical result writes it down and reads it back.
"""

from __future__ import annotations

import re
from decimal import Decimal

from backend.apps.laboratory.models import LabResult

NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w,.]*\d)")
WHOLE = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
ENOUGH = 20  # characters of the beginning of a long text


def names_value(read_back: str, result: LabResult) -> bool:
    """Return whether `read_back` says the value of `result`; upper and lower case, spaces and the unit do not matter.

    A number: exactly one number is said and it is the value ("6.9", "potassium 6.90 mmol/L"). Any other value: the same
    text, or at least the first 20 characters of a longer one. A result without a value (a document): anything.
    """
    said, value = _bare(read_back, result), _bare(result.result_value, result)
    if not said:
        return False
    number = number_of(result)
    if number is not None:
        return [_decimal(found) for found in NUMBER.findall(said)] == [number]
    return said == value or not value or (len(said) >= ENOUGH and value.startswith(said))


def number_of(result: LabResult) -> Decimal | None:
    """Return the value where it is one number, as the laboratory sent it or a person wrote it."""
    if result.numeric_value is not None:
        return result.numeric_value
    text = result.result_value.strip()
    return _decimal(text) if WHOLE.fullmatch(text) else None


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def _bare(text: str, result: LabResult) -> str:
    """Return the text in lower case with single spaces, without a full stop and the unit at its end."""
    plain = _single(text).rstrip(".").strip()
    for unit in (result.unit, result.unit_as_sent):
        plain = plain.removesuffix(_single(unit)).strip()
    return plain


def _single(text: str) -> str:
    return " ".join(text.casefold().split())
