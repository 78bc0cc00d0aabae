"""Shows a stored message to people: as it came and as a tree, masked unless they may see it; else they would guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.hl7.explain import explain
from integrations.hl7.reader import Message, NotHl7

LONGEST_RAW = 200_000  # characters of a message that a page or an answer shows
SIGN = "•"
WHOLE = frozenset({"MSH", "MSA", "ERR", "EVN", "BHS", "FHS"})  # segments that name no patient
CLEAR: dict[str, frozenset[int]] = {  # fields that name no patient and hold no finding, in segments that may
    "PID": frozenset({1}),
    "ORC": frozenset({1, 5, 9}),
    "OBR": frozenset({1, 4, 7, 22, 24, 25}),
    "OBX": frozenset({1, 2, 3, 4, 6, 11, 14}),
    "SPM": frozenset({1, 4}),
    "NTE": frozenset({1, 2}),
}
LETTER = re.compile(r"\w")
HEADING = re.compile(r"([A-Z][A-Z0-9]{2}) (\d+)")
FIELD = re.compile(r"  [A-Z][A-Z0-9]{2}-(\d+)")


@dataclass
class Line:
    """One field, or a component of it, in words; `findings` say what is wrong with the field, without its value."""

    field: int
    text: str
    findings: list[str] = field(default_factory=list)


@dataclass
class Part:
    """One segment."""

    name: str
    number: int
    lines: list[Line] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """A message for the eyes of people. `others`: findings about segments that are not in it."""

    raw: str
    parts: list[Part]
    others: list[str]


def read(raw: bytes, stored: Iterable[Mapping[str, Any]] = (), *, masked: bool = True) -> Reading:
    """Return the message as text, a segment a line, and as a tree with the findings at their fields.

    stored: the findings noted when it was filed; those of the explanation come on top. Never fails.
    """
    told = explain(raw)
    parts = _parts(told.tree.splitlines(), masked=masked)
    explained = (
        {"segment": f.segment, "number": f.number, "field": f.field, "message": f.message} for f in told.findings
    )
    return Reading(text(raw, masked=masked), parts, _place(parts, [*stored, *explained]))


def text(raw: bytes, *, masked: bool = True) -> str:
    """Return the message as readable text, at most `LONGEST_RAW` characters."""
    try:
        message = Message(raw)
    except NotHl7:
        return f"{len(raw)} bytes that are no HL7 message" if masked else raw.decode("latin-1")[:LONGEST_RAW]
    signs = message.separators
    lines = []
    for segment in message.segments:
        fields = segment.fields
        shown = [fields[0], *(_shown(segment.name, at, sent, masked=masked) for at, sent in enumerate(fields) if at)]
        if segment.name == "MSH":
            shown[1:3] = [signs.field.join(["", fields[2] if len(fields) > 2 else ""])]
            shown[:2] = ["".join(shown[:2])]
        lines.append(signs.field.join(shown))
    return "\n".join(lines)[:LONGEST_RAW]


def _shown(segment: str, number: int, sent: str, *, masked: bool) -> str:
    clear = not masked or segment in WHOLE or number in CLEAR.get(segment, ())
    return sent if clear else LETTER.sub(SIGN, sent)


def _parts(lines: list[str], *, masked: bool) -> list[Part]:
    parts: list[Part] = []
    for line in lines:
        if found := HEADING.fullmatch(line):
            parts.append(Part(found[1], int(found[2])))
            continue
        at = FIELD.match(line)
        number = int(at[1]) if at else parts[-1].lines[-1].field
        title, colon, value = line.partition(": ")
        value = _shown(parts[-1].name, number, value, masked=masked)
        if not colon and not at:
            title = _shown(parts[-1].name, number, title, masked=masked)
        parts[-1].lines.append(Line(number, f"{title.strip()}{colon}{value}"))
    return parts


def _place(parts: list[Part], findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Put each finding where it belongs, once; return those that belong nowhere."""
    by_name = {(part.name, part.number): part for part in parts}
    others: list[str] = []
    for one in findings:
        told, part = str(one.get("message", "")), by_name.get((one.get("segment"), one.get("number")))
        if part is None:
            home = others
            told = f"{one.get('segment')}: {told}"
        else:
            at = [line for line in part.lines if line.field == one.get("field")]
            home = at[0].findings if at else part.findings
            told = told if at or not one.get("field") else f"{part.name}-{one.get('field')}: {told}"
        if told not in home:
            home.append(told)
    return others
