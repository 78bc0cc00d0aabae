"""Checks of identifiers that several apps share: phone numbers, NPI, Luhn."""

import re
from datetime import date, timedelta

import phonenumbers
from django.core.exceptions import ValidationError
from django.utils import timezone


def luhn_ok(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def validate_npi(value: str) -> None:
    """Accept a National Provider Identifier: ten digits whose Luhn sum with the prefix 80840 is right.

    Source: 45 CFR 162.406; NPPES, "Requirements for NPI check digit".
    """
    if not (len(value) == 10 and value.isascii() and value.isdigit() and value[0] in "12"):
        raise ValidationError("An NPI has ten digits and begins with 1 or 2.", code="npi")
    if not luhn_ok("80840" + value):
        raise ValidationError("The check digit of this NPI is wrong.", code="npi")


def validate_phone(value: str) -> None:
    """Accept a phone number in E.164, as +14155550100."""
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException as error:
        raise ValidationError("Write the phone number as +14155550100.", code="phone") from error
    if not phonenumbers.is_possible_number(number) or value != phonenumbers.format_number(
        number, phonenumbers.PhoneNumberFormat.E164
    ):
        raise ValidationError("Write the phone number as +14155550100.", code="phone")


def validate_not_future(value: date) -> None:
    """Refuse a day that has not come yet (UTC, with a day's grace for zones ahead of it)."""
    if value > timezone.now().date() + timedelta(days=1):
        raise ValidationError("This day is in the future.", code="future")


LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


def validate_language(value: str) -> None:
    """Accept a language tag of BCP 47, as en or pt-BR."""
    if not (isinstance(value, str) and LANGUAGE.fullmatch(value)):
        raise ValidationError("Write the language as en or pt-BR.", code="language")
