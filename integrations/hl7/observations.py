"""Turns one OBX into an observation; without it a result would stay a line of text.

This runs thirty times for each report, so what repeats in a laboratory (names of tests, units, ranges, times) is read
once and remembered, and a line without escapes is split once.

Source: HL7 v2.5.1, chapter 7, section 7.4.2 (OBX).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, time
from typing import NamedTuple

from integrations.hl7 import coded, fields
from integrations.hl7.coded import DELETED, MOST_PARTS, NO_CODE, Decode, kept, plain
from integrations.hl7.converter import Converter
from integrations.hl7.fields import BadField, Measured
from integrations.hl7.reader import Segment
from integrations.hl7.records import Coded, Document, Identifier, Observation, Pointer
from integrations.hl7.signs import Separators

CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
FORMATTED = frozenset({"TX", "FT"})  # blanks before a line and blank lines are its layout
DATES = frozenset({"DT", "TS", "DTM"})
LONGEST_REMEMBERED = 1_000  # characters of a line; bounds what the remembered fields can hold in memory
LONGEST_NUMBER = 12
FIELDS_READ = 15  # up to OBX-14; later fields are looked at only where they exist
EMPTY = [""] * FIELDS_READ
MORE_EMPTY = [""] * 25

_new = tuple.__new__  # a named tuple by position: a third of the time of calling its class


class Value(NamedTuple):
    """OBX-5 in every form that its type has. `problem` tells the shape of what could not be read."""

    values: tuple[str, ...] = ()
    coded: Coded | None = None
    measured: Measured | None = None
    document: Document | None = None
    pointer: Pointer | None = None
    problem: str = ""


class More(NamedTuple):
    """What few laboratories send: the fields after OBX-5 and OBX-14 in the order `Observation` has them."""

    pointer: Pointer | None = None
    moment: datetime | None = None
    time_of_day: time | None = None
    access: str = ""
    producer: Coded = NO_CODE
    responsible: Identifier | None = None
    method: Coded = NO_CODE
    analyzed_at: datetime | None = None
    performer: str = ""
    performer_address: str = ""


NO_VALUE = Value()
NO_MORE = More()


def observation(convert: Converter, obx: Segment, notes: tuple[str, ...] = ()) -> Observation:
    """Return what an OBX says; each field that cannot be read is told to `convert` and costs only itself."""
    message, line = obx.message, obx.line
    signs = message.separators
    field = line.split(signs.field, MOST_PARTS)
    if len(field) < FIELDS_READ:
        field += EMPTY
    decode: Decode = plain
    if len(line) <= LONGEST_REMEMBERED and not (message.escaped and (signs.escape in line or "\0" in line)):
        value_type, code = coded.named_before(field[2], field[3], signs)
        unit, span, flags, status = coded.described_before(field[6], field[7], field[8], field[11], signs)
    else:
        decode = message.unescape
        value_type, code = coded.named(field[2], field[3], signs, decode)
        unit, span, flags, status = coded.described(field[6], field[7], field[8], field[11], signs, decode)
    if value_type == "NM" and len(field[5]) <= LONGEST_NUMBER:
        value = short_number(field[5], signs)
    else:
        value = READERS.get(value_type, _text)(field[5], signs, decode) if field[5] else NO_VALUE
    if not (code[0] or code[1]) or not status or value[5]:
        _tell(convert, obx, code, status, value)
    more = NO_MORE
    if value_type in UNUSUAL or len(field) > FIELDS_READ and any(field[FIELDS_READ:]) or field[13]:
        more = _more(convert, obx, field, value_type, decode, value)
    sub_id = kept(decode(field[4])) if field[4] else ""
    observed_at = convert.moment_of(obx, 14, coded.first(field[14], signs, decode)) if field[14] else None
    head = (obx.number, value_type, code, sub_id, value[0], value[1], value[2], value[3], unit, span)
    return _new(Observation, (*head, flags, status, observed_at, notes, *more))


def _tell(convert: Converter, obx: Segment, code: Coded, status: str, value: Value) -> None:
    if not code.label:
        convert.found(obx, 3, "no code")
    if not status:
        convert.found(obx, 11, "no status")
    if value.problem:
        convert.found(obx, 5, value.problem)


def _more(
    convert: Converter, obx: Segment, field: list[str], value_type: str, decode: Decode, value: Value
) -> More:
    signs, field = obx.message.separators, field + MORE_EMPTY
    text = next(iter(value.values), "")
    moment = convert.date_of(obx, 5, text) if value_type in DATES and text else None
    clock = convert.time_of(obx, 5, text) if value_type == "TM" and text else None
    analyzed = coded.first(field[19], signs, decode)
    return More(
        pointer=value.pointer,
        moment=moment,
        time_of_day=clock,
        access=kept(decode(field[13])),
        producer=coded.coded(field[15], signs, decode),
        responsible=coded.person(field[16], signs, decode),
        method=coded.coded(field[17], signs, decode),
        analyzed_at=convert.moment_of(obx, 19, analyzed) if analyzed else None,
        performer=coded.first(field[23], signs, decode),
        performer_address=_address(field[24], signs, decode),
    )


def _address(raw: str, signs: Separators, decode: Decode) -> str:
    """Return an address (XAD) in one line."""
    parts = [part for part in coded.components(raw, signs)[:6] if part.strip()]
    return ", ".join(kept(decode(part.split(signs.subcomponent, 1)[0])) for part in parts)


@functools.lru_cache(maxsize=4096)  # most results are one of a few thousand short numbers
def short_number(raw: str, signs: Separators) -> Value:
    """Return a short NM field; an escape in it makes it no number, but the text is kept as sent."""
    return _number(raw, signs, plain) if raw else NO_VALUE


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
UNUSUAL = DATES | {"TM", "RP"}
