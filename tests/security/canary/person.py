"""The canary: a patient each of whose facts is a text that stands nowhere else, and what of them stands in a text."""

from __future__ import annotations

from datetime import date
from typing import Any

PERSON: dict[str, Any] = {
    "first_name": "Zqxjkfirst", "last_name": "Zqxjklast", "middle_name": "Zqxjkmiddle", "name_suffix": "Zqxjksuffix",
    "date_of_birth": date(1931, 7, 23),
    "medical_record_number": "ZQXJKMRN7",
    "phone": "+14155557391", "email": "zqxjkmail@example.org",
    "address_line1": "1 Zqxjkstreet", "address_line2": "Zqxjkfloor", "city": "Zqxjktown", "state": "TX",
    "postal_code": "73917-3917", "emergency_contact_name": "Zqxjkaunt", "emergency_contact_phone": "+14155557392",
    "emergency_contact_relationship": "Zqxjkkin", "insurance_info": {"policy": "Zqxjkplan"}, "gender": "female",
}  # fmt: skip
COVERED = {"member_id": "ZQXJKMEMBER44", "policy_number": "ZQXJKPOL", "group_number": "ZQXJKGRP"}
REASON, VALUE, DRUG, SAID = "Zqxjkreason", "Zqxjkvalue", "Zqxjkdrug", "Zqxjksaid"
DIAGNOSIS, TRAP, BUG = "Z63.79", "Zqxjktrap", "Zqxjkbug"
SEARCHED = "q=zqxjklast"  # what the administrator types into the search of the admin stands in that page's own address
FORMS: dict[str, tuple[str, ...]] = {  # how a fact looks in small letters, wherever it is written
    "first_name": ("zqxjkfirst",), "last_name": ("zqxjklast",), "middle_name": ("zqxjkmiddle",),
    "name_suffix": ("zqxjksuffix",), "medical_record_number": ("zqxjkmrn",),
    "date_of_birth": ("1931-07-23", "19310723", "07/23/1931", "july 23, 1931", "jul 23, 1931", "23 july 1931"),
    "phone": ("4155557391", "415-555-7391", "(415) 555-7391", "415 555 7391"), "email": ("zqxjkmail",),
    "address_line1": ("zqxjkstreet",), "address_line2": ("zqxjkfloor",), "city": ("zqxjktown",),
    "postal_code": ("73917-3917", "739173917"), "emergency_contact_name": ("zqxjkaunt",),
    "emergency_contact_phone": ("4155557392",), "emergency_contact_relationship": ("zqxjkkin",),
    "insurance_info": ("zqxjkplan",), "member_id": ("zqxjkmember",), "policy_number": ("zqxjkpol",),
    "group_number": ("zqxjkgrp",), "reason": ("zqxjkreason",), "value": ("zqxjkvalue",), "drug": ("zqxjkdrug",),
    "said": ("zqxjksaid",), "diagnosis": ("z63.79", "z6379"), "trap": ("zqxjktrap", "zqxjkbug"),
}  # fmt: skip
ANY = "zqxjk"
OF_NO_PERSON = {  # of the fields of a patient: what is one of a few, or a moment of ours
    "country", "demographics_as_of", "preferred_language", "races", "time_zone",
}  # fmt: skip


def facts_in(*texts: object) -> set[str]:
    """Return which facts stand in these texts; "something" for a mark of no fact."""
    whole = " ".join(map(str, texts)).lower()
    found = {name for name, forms in FORMS.items() if any(form in whole for form in forms)}
    return found or ({"something"} if ANY in whole else set())
