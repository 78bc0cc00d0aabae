"""Turns one OBX into an observation; without it a result would stay a line of text.

This runs thirty times for each report, so what repeats in a laboratory (names of tests, units, ranges, times) is read
once and remembered, and a line without escapes is split once.

Source: HL7 v2.5.1, chapter 7, section 7.4.2 (OBX).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain

from integrations.hl7 import coded, fields
from integrations.hl7.coded import DELETED, MOST_PARTS, Decode, first, kept, plain
from integrations.hl7.converter import Converter
from integrations.hl7.fields import BadField, Measured
from integrations.hl7.reader import Message, Part
from integrations.hl7.records import Asked, Circumstances, Coded, Document, Observation, Pointer, Value
from integrations.hl7.signs import Separators

CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
FORMATTED = frozenset({"TX", "FT"})  # blanks before a line and blank lines are its layout
DATES = frozenset({"DT", "TS", "DTM"})
LONGEST_REMEMBERED = 1_000  # characters of a line; bounds what the remembered fields can hold in memory
LONGEST_NUMBER = 12
MOST_REMEMBERED = 4096
FIELDS_READ = 15  # up to OBX-14; later fields are looked at only where they exist
EMPTY = [""] * FIELDS_READ
MORE_EMPTY = [""] * 25
TAIL = 9  # from this field on, the lines of a report say the same

About = tuple[str, str, str, str, str, str]  # OBX-2, 3, 4, 6, 7 and 8 as sent

_new = tuple.__new__  # a named tuple by position: a third of the time of calling its class

NO_VALUE = Value()


def consecutive(
    convert: Converter, message: Message, part: Part, following: Iterator[Part]
) -> tuple[list[Observation], Part | None]:
    """Return what OBX `part` and those right after it say, and the first other segment.

    Each field that cannot be read is told to `convert` and costs only itself. A line in which nothing is odd is put
    together from what is remembered: what it says before OBX-9 apart from the value, the value where it is a short
    number, and what the lines of this message say from OBX-9 on. Any other is read field by field.
    """
    found: list[Observation] = []
    escaped, signs, sign, tails = message.escaped, message.separators, message.separators.field, convert.tails
    known, numbered = remembered(signs)
    for name, number, line in chain((part,), following):
        if name != "OBX":
            return found, (name, number, line)
        parts = line.split(sign, TAIL)
        if len(parts) > TAIL and len(line) <= LONGEST_REMEMBERED and (not escaped or message.is_plain(line)):
            tail = tails.get(parts[TAIL]) or _tail(convert, parts[TAIL], signs)
            _, _, kind, code, sub_id, raw, unit, span, flags, _ = parts
            about = (kind, code, sub_id, unit, span, flags)
            asked = known.get(about) or _asked(known, signs, about)
            value = numbered(raw) if kind == "NM" and len(raw) <= LONGEST_NUMBER else _unnumbered(asked, raw, signs)
            if asked is not None and value is not None and tail is not None:
                found.append(_new(Observation, (number, asked, value, tail, ())))
                continue
        found.append(_split(convert, message, number, line))
    return found, None


@functools.lru_cache(maxsize=4)
def remembered(signs: Separators) -> tuple[dict[About, Asked], Callable[[str], Value | None]]:
    """Return what was asked before, and `_short_number` with its memory, for one set of separators.

    A laboratory says the same of each of its few hundred tests every day, and most results are one of a few thousand
    short numbers.
    """
    return {}, functools.lru_cache(maxsize=4096)(functools.partial(_short_number, signs))


def _asked(known: dict[About, Asked], signs: Separators, about: About) -> Asked | None:
    """Return what an OBX without escapes says before OBX-9 apart from its value; None where anything is odd."""
    value_type, code, sub_id, unit, span, flags = about
    kind, name, measure, normal, marks, _ = coded.described((value_type, code, unit, span, flags, ""), signs)
    if kind in UNUSUAL or not name.code:
        return None
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    return known.setdefault(about, Asked(kind, name, kept(sub_id), measure, normal, marks))


def _tail(convert: Converter, rest: str, signs: Separators) -> Circumstances | None:
    """Return what an OBX without escapes says from OBX-9 on, and remember it; None where anything is odd."""
    field = [*EMPTY[:TAIL], *rest.split(signs.field), *MORE_EMPTY]
    status, observed_at, analyzed_at = first(field[11], signs).upper(), field[14], field[19]
    moments = [convert.moment_if_any(stamp) for stamp in (observed_at, analyzed_at)]
    if not status or moments.count(None) != (observed_at, analyzed_at).count(""):
        return None
    access, producer, method, performer, address = coded.performed_before(
        (field[13], field[15], field[17], field[23], field[24]), signs
    )
    person = coded.person(field[16], signs) if field[16] else None
    tail = Circumstances(status, moments[0], access, producer, person, method, moments[1], performer, address)
    convert.remember(rest, tail)
    return tail


def _short_number(signs: Separators, raw: str) -> Value | None:
    """Return the value of an NM; None where it is no number."""
    if fields.NUMBER.fullmatch(raw):
        return Value((raw,), measured=Measured(Decimal(raw)))
    value = _number(raw, signs, plain) if raw else NO_VALUE
    return None if value.problem else value


def _unnumbered(asked: Asked | None, raw: str, signs: Separators) -> Value | None:
    """Return the value of any other type; None where anything is odd."""
    value = _value(asked.value_type, raw, signs, plain) if asked is not None else NO_VALUE
    return None if value.problem else value


def _split(convert: Converter, message: Message, number: int, line: str) -> Observation:
    """Read one OBX field by field."""
    signs = message.separators
    field = line.split(signs.field, MOST_PARTS)
    if len(field) < FIELDS_READ:
        field += EMPTY
    simple = len(line) <= LONGEST_REMEMBERED and message.is_plain(line)
    decode: Decode = plain if simple else message.unescape
    sent = (field[2], field[3], field[6], field[7], field[8], field[11])
    kind, code, unit, span, flags, status = (
        coded.described_before(sent, signs) if simple else coded.described(sent, signs, decode)
    )
    value = _timed(convert, number, kind, _value(kind, field[5], signs, decode))
    if value.problem or not status or not code.code:
        _tell(convert, number, code, status, value.problem)
    asked = Asked(kind, code, kept(decode(field[4])), unit, span, flags)
    return Observation(number, asked, value, _circumstances(convert, number, field, status, signs, decode))


def _tell(convert: Converter, number: int, code: Coded, status: str, problem: str) -> None:
    if not code.label:
        convert.found(("OBX", number, 3), "no code")
    if not status:
        convert.found(("OBX", number, 11), "no status")
    if problem:
        convert.found(("OBX", number, 5), problem)


def _timed(convert: Converter, number: int, kind: str, value: Value) -> Value:
    """Return a value that is a date or a time of day with the moment it is."""
    if kind not in UNUSUAL or not (text := next(iter(value.values), "")):
        return value
    if kind in DATES:
        return value._replace(moment=convert.date_value(("OBX", number, 5), text))
    return value._replace(time_of_day=convert.time_value(("OBX", number, 5), text)) if kind == "TM" else value


def _circumstances(  # noqa: PLR0917  # what `_split` has
    convert: Converter, number: int, field: list[str], status: str, signs: Separators, decode: Decode
) -> Circumstances:
    observed_at = convert.stamp(("OBX", number, 14), field[14], signs, decode)
    if len(field) <= FIELDS_READ and not field[13]:
        return Circumstances(status, observed_at)
    field = field + MORE_EMPTY
    sent = (field[13], field[15], field[17], field[23], field[24])
    access, producer, method, performer, address = (
        coded.performed_before(sent, signs) if decode is plain else coded.performed(sent, signs, decode)
    )
    responsible = coded.person(field[16], signs, decode) if field[16] else None
    analyzed_at = convert.stamp(("OBX", number, 19), field[19], signs, decode)
    return Circumstances(status, observed_at, access, producer, responsible, method, analyzed_at, performer, address)


def _value(kind: str, raw: str, signs: Separators, decode: Decode) -> Value:
    return READERS.get(kind, _text)(raw, signs, decode) if raw else NO_VALUE


def _number(raw: str, signs: Separators, decode: Decode) -> Value:
    return _measured(raw, signs, decode, lambda parts: fields.measured(_first_filled(parts)))


def _structured(raw: str, signs: Separators, decode: Decode) -> Value:
    value = _measured(raw, signs, decode, fields.structured)
    parts = coded.repetitions(raw, signs, decode)
    return value._replace(values=tuple(text for one in parts if (text := "".join(part.strip() for part in one))))


def _measured(raw: str, signs: Separators, decode: Decode, read: Callable[[list[str]], Measured]) -> Value:
    """Return a numeric value; what is no number stays as its text."""
    text = _text(raw, signs, decode)
    if kept(raw) == "":
        return text
    try:
        return text._replace(measured=read(coded.components(raw, signs, decode)))
    except BadField as error:
        return text._replace(problem=str(error))


def _coded(raw: str, signs: Separators, decode: Decode) -> Value:
    labels = (coded.label(parts) for parts in coded.repetitions(raw, signs, decode))
    return Value(tuple(text for text in labels if text), coded=coded.coded(raw, signs, decode))


def _text(raw: str, signs: Separators, decode: Decode) -> Value:
    """Return each repetition as a person would read it, without the blanks around it."""
    lines = tuple(line.strip() for line in _lines(raw, signs, decode))
    return Value(lines) if any(lines) else NO_VALUE


def _formatted(raw: str, signs: Separators, decode: Decode) -> Value:
    lines = tuple(_lines(raw, signs, decode))
    return Value(lines) if any(lines) else NO_VALUE


def _lines(raw: str, signs: Separators, decode: Decode) -> list[str]:
    return [_line(parts, signs.component) for parts in coded.repetitions(raw, signs, decode)]


def _line(parts: list[str], sign: str) -> str:
    """Return a text that should have no components whole again; some analysers write "^12.3" or "NEGATIVE^"."""
    text = sign.join(parts[_leading_blanks(parts) : len(parts) - _leading_blanks(parts[::-1])]).rstrip()
    return "" if text == DELETED else text


def _leading_blanks(parts: list[str]) -> int:
    return next((place for place, part in enumerate(parts) if part), len(parts))


def _first_filled(parts: list[str]) -> str:
    """Return the first component that says something: some analysers write "^12.3"."""
    return next((part for part in parts if part.strip()), "")


def _document(raw: str, signs: Separators, decode: Decode) -> Value:
    """Return an ED value. Source: HL7 v2.5.1, chapter 2A, data type ED."""
    parts = [*coded.components(raw, signs, decode), "", "", "", "", ""]
    source, kind, subtype, encoding = (kept(part) for part in parts[:4])
    return Value(document=Document(kind, subtype, encoding, parts[4], source))


def _pointer(raw: str, signs: Separators, decode: Decode) -> Value:
    """Return an RP value. Source: HL7 v2.5.1, chapter 2A, data type RP."""
    pointers = tuple(text for parts in coded.repetitions(raw, signs, decode) if (text := kept(parts[0])))
    parts = [*coded.components(raw, signs), "", "", "", ""]
    names = [kept(decode(sub)) for sub in [*parts[1].split(signs.subcomponent, 3), ""][:2]]
    pointer, kind, subtype = (kept(decode(parts[place])) for place in (0, 2, 3))
    return Value(pointers, pointer=Pointer(pointer, names[0] or names[1], kind, subtype))


READERS: dict[str, Callable[[str, Separators, Decode], Value]] = {
    "NM": _number,
    "SN": _structured,
    "ED": _document,
    "RP": _pointer,
    **dict.fromkeys(CODED, _coded),
    **dict.fromkeys(FORMATTED, _formatted),
}
UNUSUAL = DATES | {"TM"}
