"""What a message says about a patient in the clinic's words: `integrations.hl7.adt` to `patients.demographics`. Pure.

Source: HL7 v2.5.1, tables 0001 (sex), 0296 (language: ISO 639) and 0399 (country: ISO 3166).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import phonenumbers

from backend.apps.laboratory.reports import PatientIn
from integrations.hl7.adt import Address, Demographics, Said
from integrations.hl7.records import Identifier
from workers.records.lab import numbers

SEX = {"F": "female", "M": "male", "O": "other", "A": "other", "N": "other", "U": "unknown", "": "unknown"}
COUNTRIES = {"USA": "US", "CAN": "CA", "MEX": "MX", "GBR": "GB", "DEU": "DE", "FRA": "FR", "ESP": "ES", "ITA": "IT"}
LANGUAGES = {  # ISO 639-2 codes that have a shorter one in BCP 47 (RFC 5646, section 2.2.1: the shortest is used)
    "ara": "ar", "chi": "zh", "zho": "zh", "deu": "de", "eng": "en", "fas": "fa", "fra": "fr", "fre": "fr",
    "ger": "de", "hat": "ht", "hin": "hi", "ita": "it", "jpn": "ja", "kor": "ko", "per": "fa", "pol": "pl", "por": "pt",
    "rus": "ru", "spa": "es", "tgl": "tl", "ukr": "uk", "urd": "ur", "vie": "vi",
}  # fmt: skip
FIELDS = {  # where in PID each kind stands
    "first_name": 5, "last_name": 5, "date_of_birth": 7, "gender": 8, "address": 11, "phone": 13, "email": 13,
    "preferred_language": 15,
}  # fmt: skip
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class Unusable(ValueError):
    """A value cannot be understood; it is left out and told without itself."""


def said(person: Demographics, *, country: str, by_name: bool, by_birth: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the values of each kind that was said, and the kinds that cannot be understood.

    country: the patient's, for a phone number without one. A name is taken from a message that the birth date vouches
    for, a birth date from one that the name vouches for.
    """
    readers: tuple[tuple[str, Callable[[Any], Any], Any], ...] = (
        ("last_name", _name, person.family if by_birth else None),
        ("first_name", _name, person.given if by_birth else None),
        ("date_of_birth", _same, person.birth_date if by_name else None),
        ("gender", _sex, person.sex),
        ("address", _address, person.address),
        ("phone", lambda text: _phone(text, country), person.phone),
        ("email", _same, person.email),
        ("preferred_language", _language, person.language),
    )
    kinds, wrong = dict[str, Any](), list[str]()
    for kind, read, given in readers:
        if given is None:
            continue
        try:
            value = read(given)
        except Unusable:
            wrong.append(kind)
        else:
            kinds[kind] = value if isinstance(value, Mapping) else {kind: value}
    return kinds, wrong


def patient(identifiers: tuple[Identifier, ...], family: Said, given: Said, birth_date: Any, sex: Said) -> PatientIn:
    """Return who a message is about, for finding them."""
    return PatientIn(
        identifiers=numbers(identifiers),
        family_name=family or "",
        given_name=given or "",
        birth_date=birth_date,
        sex=sex or "",
    )


def _same(value: Any) -> Any:
    return value


def _name(text: str) -> str:
    if not text:
        raise Unusable("a name cannot be emptied")
    return text


def _sex(text: str) -> str:
    try:
        return SEX[text.upper()]
    except KeyError:
        raise Unusable("not a sex that is known") from None


def _phone(text: str, country: str) -> str:
    """Return a number in E.164 as the API takes it."""
    if not text:
        return ""
    try:
        number = phonenumbers.parse(text, country or "US")
    except phonenumbers.NumberParseException:
        raise Unusable("not a phone number") from None
    if not phonenumbers.is_possible_number(number):
        raise Unusable("not a phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _language(text: str) -> str:
    """Return a language tag; the clinic's own language where it is emptied."""
    if not text:
        return "en"
    tag = LANGUAGES.get(text.lower(), text)
    if not LANGUAGE.fullmatch(tag):
        raise Unusable("not a language tag")
    first, *rest = tag.split("-")
    return "-".join([first.lower(), *rest])


def _address(sent: Address) -> dict[str, str]:
    values = {
        "address_line1": sent.street,
        "address_line2": sent.other,
        "city": sent.city,
        "state": sent.state,
        "postal_code": sent.postal_code,
    }
    country = sent.country.upper()
    return {**values, "country": COUNTRIES.get(country, country)} if country else values
