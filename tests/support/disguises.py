"""Takes out of a text what stands in it packed, escaped or broken up; else a leak in base64 would pass for noise."""

from __future__ import annotations

import html
import re
import zlib
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import date

ESCAPED = re.compile(r"%([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})")
FOLDED = re.compile(r"(?:=|\\)?\r?\n[ \t]*(?:\| )?|\\r?\\n")  # as mails, calendars, logs and reprs break a line
ZIPPED = re.compile(r"(?<![A-Za-z0-9+/_-])(?:H4sI|e[AFJN])[A-Za-z0-9+/_-]{12,}")  # gzip or zlib, in base64
GZIP, MOST = "\x1f\x8b\x08", 1_000_000  # how its bytes begin; characters that are unpacked of one
BETWEEN = r"[\W_]{1,4}"  # what people and libraries put between the parts of a number


def uncovered(text: str) -> str:
    """Return `text` and after it itself without escapes, line breaks and NULs, and what was in it zipped."""
    plain = ESCAPED.sub(_character, ESCAPED.sub(_character, text))  # twice: an address in an address
    parts = [text, *_unzipped(plain)]
    plain = plain.replace("\0", "")
    plain = html.unescape(plain) if "&" in plain else plain
    return "\n".join([*parts, plain, FOLDED.sub("", plain)])


def spelt_number(*parts: str) -> str:
    """Return a pattern of a number, in one or with whatever between its parts."""
    return r"[\W_]{0,4}".join(parts)


def spelt_day(day: date) -> str:
    """Return a pattern of a day in small letters: in digits, with the name of its month, as Python packs it."""
    year, month, short = f"{day:%Y}", f"{day:%m}", f"{day.month}"
    name = rf"{day:%b}(?:{f'{day:%B}'[3:]})?".lower()
    in_month, month_in = f"{day:%d}(?:st|nd|rd|th)?", rf"(?:0?{short}|{name})"
    orders = (year, month_in, in_month), (month_in, in_month, year), (in_month, month_in, year)
    whole = (f"{year}{month}{day:%d}", f"{month}{day:%d}{year}", f"{day:%d}{month}{year}")
    pickled = re.escape((day.year.to_bytes(2) + bytes((day.month, day.day))).decode("latin-1"))
    alone = rf"(?<![\d.])(?:{'|'.join(whole)})"  # of long fractions any digits are a part some time
    return "|".join((*(BETWEEN.join(order) for order in orders), alone, pickled))


def packed(*words: str) -> frozenset[str]:
    """Return the parts by which words are seen in base64, wherever they stand in what was packed, and in hex."""
    spellings = {spelt for word in words for spelt in (word, word.upper(), word.lower(), word.capitalize())}
    in_hex = {spelt.encode().hex() for spelt in spellings}
    return frozenset(in_hex.union(*map(_in_base64, spellings)))


def _in_base64(word: str) -> set[str]:
    """Return the characters that a word alone decides, for each place among three bytes it may begin at."""
    found = set[str]()
    for before in range(3):
        begin, end = -(-before * 8 // 6), (before + len(word)) * 8 // 6
        raw = b" " * before + word.encode()
        found |= {write(raw).decode()[begin:end] for write in (b64encode, urlsafe_b64encode)}
    return found


def _character(found: re.Match[str]) -> str:
    return chr(int(found[found.lastindex or 0], 16))


def _unzipped(text: str) -> list[str]:
    raws = [text[found.start() :][:MOST].encode("latin-1", "replace") for found in re.finditer(GZIP, text)]
    for found in ZIPPED.finditer(text):
        words = found[0].replace("+", "-").replace("/", "_")
        raws.append(urlsafe_b64decode(words[: len(words) // 4 * 4]))
    told = []
    for raw in raws:
        with suppress(zlib.error):
            told.append(zlib.decompressobj(47).decompress(raw, MOST).decode("latin-1"))
    return told
