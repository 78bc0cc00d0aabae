"""Reads days and amounts of money, each text once; without it half the time of an 835 would go into the same texts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

LONGEST_AMOUNT = 19  # a sign, 15 digits, a point and 2 digits: more would not fit an account either
MOST_KEPT = 20_000


class BadAmount(ValueError):
    """Not an amount of money in whole cents. The text tells shapes, never values."""


class Amounts(dict[str, Decimal]):
    """Amounts by their text: `amounts["12.5"]`. An absent one ("") is zero: the equations then tell if that was wrong.

    Raises:
        BadAmount: anything but digits with a leading minus and at most two decimals.
    """

    unread = 0  # amounts of information that could not be read

    def of_information(self, text: str) -> Decimal | None:
        """Return an amount that decides nothing; None where it cannot be read."""
        try:
            return self[text]
        except BadAmount:
            self.unread += 1
            return None

    def __missing__(self, text: str) -> Decimal:
        point = text.find(".")
        plain = text.isascii() and text.replace(".", "", 1).isdigit()
        if plain and len(text) < LONGEST_AMOUNT and (point < 0 or point >= len(text) - 3):
            value = Decimal(text)
        else:
            value = amount(text)
        if len(self) >= MOST_KEPT:
            self.clear()
        self[text] = value
        return value


def amount(text: str) -> Decimal:
    """Return the amount written in an R element such as "-12.5"."""
    if not text:
        return Decimal(0)
    whole, _, decimals = text.removeprefix("-").partition(".")
    digits = whole + decimals
    good = digits.isascii() and digits.isdigit() and not decimals[2:].strip("0")
    if not good or len(text) > LONGEST_AMOUNT:
        raise BadAmount(f"not an amount of money: {len(text)} characters")
    return Decimal(text)


def amount_if_any(text: str) -> Decimal | None:
    """Return the amount; None where there is none or it cannot be read, for amounts that decide nothing."""
    try:
        return amount(text) if text else None
    except BadAmount:
        return None


def fraction_if_any(text: str) -> Decimal | None:
    """Return a number of any decimals such as "0.125"; None where there is none or it cannot be read."""
    digits = text.removeprefix("-").replace(".", "", 1)
    good = digits.isascii() and digits.isdigit() and len(text) <= LONGEST_AMOUNT
    return Decimal(text) if good else None


class Days(dict[str, date | None]):
    """Days by their text: `days["20240131"]`; None for what is no day."""

    def __missing__(self, text: str) -> date | None:
        value = day(text)
        if len(self) >= MOST_KEPT:
            self.clear()
        self[text] = value
        return value


def day(text: str) -> date | None:
    """Return the day written as CCYYMMDD, also with a time behind it; None for what is no day."""
    digits = text[:8]
    if len(digits) < 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def short_day(text: str) -> date | None:
    """Return the day of an ISA or TA1, written as YYMMDD."""
    return day(f"20{text}") if len(text) == 6 else day(text)


def span(qualifier: str, text: str) -> tuple[date | None, date | None]:
    """Return first and last day of a DTP: format D8 is one day, RD8 two with a hyphen between."""
    first, _, last = text.partition("-") if qualifier == "RD8" else (text, "", "")
    return day(first), day(last or first)


def whole(text: str) -> int | None:
    """Return a count or place such as "12"; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
