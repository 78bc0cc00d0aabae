"""Shows a stored message to people: as it came and field by field, masked unless they may see it; else they guess."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from integrations.hl7.explain import ExplainedSegment, explain, mask
from integrations.hl7.reader import Message, NotHl7

LONGEST_RAW = 200_000  # characters of a message that a page or an answer shows
LINE_END = re.compile(r"\r\n?")
FIELD = re.compile(r"[A-Z0-9]{3}-(\d+)(?:\[1\])?")  # the path of a field itself, not of a component or a repetition
MOST_OTHERS = 200
Beside = dict[tuple[str, int], dict[int, dict[str, None]]]  # findings by segment and its number, then by field


@dataclass(frozen=True, slots=True)
class Line:
    """One field, or one component of it: `level` 1."""

    path: str
    title: str
    data_type: str
    text: str
    level: int
    findings: list[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One segment."""

    name: str
    number: int
    lines: list[Line]
    findings: list[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """A message for the eyes of people. `others`: findings about segments that are not shown."""

    raw: str
    parts: list[Part]
    others: list[str]


def read(raw: bytes, stored: Iterable[Mapping[str, Any]] = (), *, masked: bool = True, charset: str = "") -> Reading:
    """Return the message as text, a segment a line, and field by field with the findings beside them. Never fails.

    stored: the findings noted when it was filed; those the explanation has too are told once. charset: where MSH-18 is
    empty.
    """
    told = explain(raw, masked=masked, charset=charset)
    beside: Beside = defaultdict(lambda: defaultdict(dict))
    for segment, number, field, message in told.findings:
        beside[segment, number][field][message] = None
    for one in stored:
        place = str(one.get("segment", "")), int(one.get("number", 0))
        beside[place][int(one.get("field", 0))][str(one.get("message", ""))] = None
    parts = [_part(segment, beside.pop((segment.name, segment.number), {})) for segment in told.segments]
    others = [
        f"{_name(*place, field)}: {message}"
        for place, fields in islice(beside.items(), MOST_OTHERS)
        for field, messages in fields.items()
        for message in messages
    ]
    return Reading(text(raw, masked=masked, charset=charset), parts, others)


def text(raw: bytes, *, masked: bool = True, charset: str = "") -> str:
    """Return the message as readable text, at most `LONGEST_RAW` characters."""
    if masked:
        return mask(raw, charset=charset)[:LONGEST_RAW]
    try:
        whole = Message(raw, charset).text
    except NotHl7:
        whole = raw.decode("latin-1")
    return LINE_END.sub("\n", whole).strip("\n")[:LONGEST_RAW]


def _part(segment: ExplainedSegment, beside: dict[int, dict[str, None]]) -> Part:
    """Return the segment, each finding at its field; those of fields that are not shown are told of the segment."""
    lines = []
    for one in segment.fields:
        at = FIELD.fullmatch(one.path)
        found = beside.pop(int(at[1]), {}) if at else {}
        lines.append(Line(one.path, one.title, one.data_type, one.text, int("." in one.path), list(found)))
    whole = list(beside.pop(0, {}))
    whole += [f"{segment.name}-{field}: {message}" for field, messages in beside.items() for message in messages]
    return Part(segment.name, segment.number, lines, whole)


def _name(segment: str, number: int, field: int) -> str:
    return segment + (f" {number}" if number > 1 else "") + (f", field {field}" if field else "")
