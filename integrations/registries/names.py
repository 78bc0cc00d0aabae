"""When two spellings are the same name; without it an accent, a hyphen or a cut-off end would hide an exclusion."""

from __future__ import annotations

import re
import unicodedata

PARTICLES = frozenset({"van", "von", "der", "den", "del", "las", "los", "dos", "das"})
# Letters that no decomposition takes apart, in the spelling of a passport (ICAO Doc 9303, part 3, section 6 A).
STROKES = str.maketrans({
    "Ł": "L", "ł": "l", "Ø": "O", "ø": "o", "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Ħ": "H", "ħ": "h", "Ŧ": "T",
    "ŧ": "t", "\u0131": "i", "ĸ": "q", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Þ": "TH", "þ": "th", "ẞ": "SS",
    "Ŋ": "N", "ŋ": "n", "Ə": "E", "ə": "e",
})  # fmt: skip
LEAST = 3  # letters of a part that is a name of its own
PARTS = re.compile(r"[\s\-]+")


def key(text: str, width: int | None = None) -> str:
    """Return the letters of a name in lower case without accents, of its first `width` characters."""
    plain = text.strip()[:width]
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain).translate(STROKES)
    return "".join(letter for letter in plain.casefold() if letter.isalpha())


def last_keys(text: str, width: int | None = None) -> tuple[str, ...]:
    """Return the keys under which a last name is found: the whole, and each part of one with a hyphen or a space.

    Source: OIG, "Quick Tips": somebody with a hyphenated name is to be checked under each of the names.
    """
    short = text.strip()[:width]
    parts = [part for part in map(key, PARTS.split(short)) if len(part) >= LEAST and part not in PARTICLES]
    return tuple(dict.fromkeys(found for found in (key(short), *parts) if found))


def first_key(text: str, width: int | None = None) -> str:
    """Return the key of the first of the first names: Mary Ann is found as Mary."""
    return key((PARTS.split(text.strip()[:width]) or [""])[0])


def number_key(text: str) -> str:
    """Return what counts of the number of a licence: letters and digits, without zeros in front."""
    return "".join(sign for sign in text.upper() if sign.isalnum()).lstrip("0")


def same_number(one: str, other: str) -> bool:
    """Return whether two spellings are one number; one of them may lack the letters in front."""
    a, b = number_key(one), number_key(other)
    digits = [re.sub(r"\D", "", text).lstrip("0") for text in (a, b)]
    return a == b or (bool(digits[0]) and digits[0] == digits[1] and (a.isdigit() or b.isdigit()))
