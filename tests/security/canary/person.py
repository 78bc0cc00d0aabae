"""The canary: a patient each of whose facts is a text that stands nowhere else, and what of them stands in a text."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from tests.support.disguises import BETWEEN, packed, spelt_day, spelt_number, uncovered

BORN = date(1931, 7, 23)
PERSON: dict[str, Any] = {
    "first_name": "Zqxjkfirst", "last_name": "Zqxjklast", "middle_name": "Zqxjkmiddle", "name_suffix": "Zqxjksuffix",
    "date_of_birth": BORN,
    "medical_record_number": "ZQXJKMRN7",
    "phone": "+14155557391", "email": "zqxjkmail@example.org",
    "address_line1": "1 Zqxjkstreet", "address_line2": "Zqxjkfloor", "city": "Zqxjktown", "state": "TX",
    "postal_code": "73917-3917", "emergency_contact_name": "Zqxjkaunt", "emergency_contact_phone": "+14155557392",
    "emergency_contact_relationship": "Zqxjkkin", "insurance_info": {"policy": "Zqxjkplan"}, "gender": "female",
}  # fmt: skip
COVERED = {"member_id": "ZQXJKMEMBER44", "policy_number": "ZQXJKPOL", "group_number": "ZQXJKGRP"}
REASON, VALUE, DRUG, SAID = "Zqxjkreason", "Zqxjkvalue", "Zqxjkdrug", "Zqxjksaid"
ITEM, NOTE = "Zqxjkitem", "Zqxjknote"  # of what is billed
DIAGNOSIS, TRAP, BUG = "Z63.79", "Zqxjktrap", "Zqxjkbug"
ANY = "zqxjk"
WORDS: dict[str, tuple[str, ...]] = {  # how each mark begins in small letters
    "first_name": ("first",), "last_name": ("last",), "middle_name": ("middle",), "name_suffix": ("suffix",),
    "medical_record_number": ("mrn",), "date_of_birth": ("born",), "phone": ("phone",), "email": ("mail",),
    "address_line1": ("street",), "address_line2": ("floor",), "city": ("town",), "emergency_contact_name": ("aunt",),
    "emergency_contact_relationship": ("kin",), "insurance_info": ("plan",), "member_id": ("member",),
    "policy_number": ("pol",), "group_number": ("grp",), "reason": ("reason",), "value": ("value",), "drug": ("drug",),
    "said": ("said",), "procedure_description": ("item",), "procedure_note": ("note",), "trap": ("trap", "bug"),
}  # fmt: skip
NUMBERS = {  # what each needs to stand in a text, and how it is spelt
    "date_of_birth": ("1931|\x07\x8b", spelt_day(BORN)), "phone": ("7391", spelt_number("415", "555", "7391")),
    "emergency_contact_phone": ("7392", spelt_number("415", "555", "7392")),
    "postal_code": ("73917", rf"{spelt_number('73917', '3917')}|tx{BETWEEN}73917"), "diagnosis": ("z63", r"z63\.?79"),
}  # fmt: skip
PACKED = packed(ANY, "1931-07-23", "19310723", "07/23/1931", "4155557391", "415-555-7391", "4155557392", "73917-3917")
OF_NO_PERSON = {  # of the fields of a patient: what is one of a few, or a moment of ours
    "country", "demographics_as_of", "preferred_language", "races", "time_zone",
}  # fmt: skip


def facts_in(*texts: object) -> set[str]:
    """Return which facts stand in these texts; "something" too for a mark of no fact, or one that is packed away."""
    whole = uncovered(" ".join(map(str, texts)))
    small = whole.lower()
    marks = {mark.removeprefix(ANY) for mark in re.findall(f"{ANY}[a-z]*", small)}
    found = {_fact(mark) for mark in marks} | ({"something"} if any(part in whole for part in PACKED) else set())
    return found | {name for name, (needed, spelt) in NUMBERS.items() if _is_near(small, needed, spelt)}


def _is_near(text: str, needed: str, spelt: str) -> bool:
    """Tell whether a number stands in a text, of which only what is around its most telling part is looked at."""
    places = (found.start() for found in re.finditer(needed, text))
    return any(re.search(spelt, text[max(place - 30, 0) : place + 30]) for place in places)


def _fact(mark: str) -> str:
    return next((name for name, begins in WORDS.items() if mark.startswith(begins)), "something")
