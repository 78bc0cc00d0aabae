"""What numbers, states and codes look like; without it every rule would spell a pattern of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from backend.apps.core.validators import luhn_ok


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TAXONOMY = re.compile(r"[0-9A-Z]{9}X")
CLIA = re.compile(r"[0-9]{2}D[0-9]{7}")
# Public names of a box: PO BOX 12, P.O. BOX, POST OFFICE BOX, BOX 12.
PO_BOX = re.compile(r"\b(P\W*O\W*|POST\s+OFFICE\s+)BOX\b|^\W*BOX\s+\d", re.IGNORECASE)
# CMS, "Medicare Beneficiary Identifier format": eleven places, without S, L, O, I, B, Z.
LETTER = "AC-HJKMNP-RT-Y"
MBI = re.compile(rf"[1-9][{LETTER}][0-9{LETTER}]\d[{LETTER}][0-9{LETTER}]\d[{LETTER}]{{2}}\d{{2}}")
# ICD-10-CM without its point; the second place may be a letter since the edition of 2026. Of U only U0 is in use.
DIAGNOSIS = re.compile(r"[A-Z][0-9A-Z]{2}[0-9A-Z]{0,4}")
EXTERNAL_CAUSE = frozenset("VWXY")
PROCEDURE = re.compile(r"\d{4}[0-9AFTUM]|[A-V]\d{4}")
MODIFIER = re.compile(r"[A-Z0-9]{2}")
NDC = re.compile(r"\d{11}")
LONGEST_CHARGE = 11  # 99999999.99
CHARGES = re.compile(r"(?:[0-9]{1,8}\.[0-9]{2},)*+")
STATES = words(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR "
    "PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI FM MH PW AA AE AP"
)
# CMS, "Place of Service Codes for Professional Claims", edition of 2024.
PLACES = words(
    "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 31 32 33 34 41 42 49 50 51 52 53 "
    "54 55 56 57 58 60 61 62 65 66 71 72 81 99"
)
# What a file holds of a number, in capitals: printable ASCII without the separators of any partner.
WRITABLE = re.compile(r"[ -)+-9;-=?-\]_{}]*+")
NDC_UNITS = frozenset({"F2", "GR", "ME", "ML", "UN"})
LONG_ZIP = 9


def is_writable(text: str) -> bool:
    """Whether a file can hold a number as it is, but for capitals and the blanks around it."""
    return bool(WRITABLE.fullmatch(text.upper().strip()))


def medicare_number(text: str) -> str:
    """Return a number of Medicare as it is sent: capitals, without the hyphens and blanks of the card."""
    return text.upper().replace("-", "").replace(" ", "")


@lru_cache(maxsize=20_000)
def is_npi(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isdigit() and text[0] in "12" and luhn_ok("80840" + text)


@lru_cache(maxsize=20_000)
def is_zip(text: str) -> bool:
    return len(text) in {5, LONG_ZIP} and text.isascii() and text.isdigit() and text[:5] != "00000"


@lru_cache(maxsize=20_000)
def is_phone(text: str) -> bool:
    """Ten digits (or eleven from 1 on); neither area nor exchange begins with 0 or 1 (North American numbering)."""
    digits = text[1:] if len(text) == 11 and text[0] == "1" else text
    return len(digits) == 10 and digits.isascii() and digits.isdigit() and digits[0] > "1" and digits[3] > "1"


@lru_cache(maxsize=20_000)
def is_tax_id(text: str) -> bool:
    return len(text) == 9 and text.isascii() and text.isdigit() and len(set(text)) > 1


@lru_cache(maxsize=100_000)
def is_diagnosis(text: str) -> bool:
    return bool(DIAGNOSIS.fullmatch(text)) and (text[0] != "U" or text[:2] == "U0")


@lru_cache(maxsize=20_000)
def is_procedure(text: str) -> bool:
    return bool(PROCEDURE.fullmatch(text))


@lru_cache(maxsize=20_000)
def is_positive(text: str) -> bool:
    """Whether a number of PostgreSQL's is above zero."""
    return text.replace(".", "", 1).isdigit() and bool(text.strip("0."))


@lru_cache(maxsize=20_000)
def are_modifiers(text: str) -> bool:
    return not text or all(MODIFIER.fullmatch(one) for one in text.split(","))


def charge(text: str) -> int | None:
    """Return a charge ("125.00") in cents, None where it has not two decimals or is 100 million and more."""
    digits = text.replace(".", "", 1)
    good = text[-3:-2] == "." and len(text) <= LONGEST_CHARGE and digits.isdigit() and digits.isascii()
    return int(digits) if good else None


def charges(texts: Sequence[str]) -> list[int | None]:
    """Return many charges in cents, None for each that `charge` knows none for; good ones are read all at once."""
    joined = "".join([f"{text}," for text in texts])
    if joined.count(",") == len(texts) and CHARGES.fullmatch(joined):
        return [int(digits) for digits in joined.replace(".", "").split(",")[:-1]]
    return [charge(text) for text in texts]


@lru_cache(maxsize=50_000)
def cents(text: str) -> int | None:
    """Return an amount ("125.00", "5", "-1.5") in cents, None where it is none or finer than cents."""
    whole, _, part = text.partition(".")
    try:
        return None if part.rstrip("0")[2:] else int(whole + (part + "00")[:2])
    except ValueError:
        return None
