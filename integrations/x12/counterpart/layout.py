"""Lays segments out as an interchange; without it each answer would carry an envelope of its own making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from integrations.x12.counterpart.arrivals import Arrival

Element = str | tuple[str, ...]  # a tuple is a composite
Segment = tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """The four separators, in the order of "*:^~"."""

    element: str = "*"
    component: str = ":"
    repetition: str = "^"
    terminator: str = "~"

    @classmethod
    def of(cls, text: str) -> Marks:
        element, component, repetition, terminator = list(text)
        return cls(element, component, repetition, terminator)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One transaction without ST and SE. version: of its GS08; only some name it in ST03 too."""

    functional_id: str
    code: str
    version: str
    segments: Sequence[Segment]
    names_version: bool = True


@dataclass(frozen=True, slots=True)
class Stamp:
    """What sets one interchange of ours apart: its number, when it is written, and its separators."""

    number: int
    at: datetime
    marks: Marks = Marks()

    @property
    def day(self) -> str:
        return f"{self.at:%Y%m%d}"

    @property
    def time(self) -> str:
        return f"{self.at:%H%M}"


def interchange(arrival: Arrival, stamp: Stamp, sheets: Sequence[Sheet], *, ta1: Segment | None = None) -> bytes:
    """Return the answer to `arrival` as a file: from its receiver to its sender; all sheets are of one kind."""
    marks, number = stamp.marks, f"{stamp.number:09d}"
    isa = (
        *("ISA", "00", " " * 10, "00", " " * 10),
        *(arrival.receiver[0], arrival.receiver[1].ljust(15), arrival.sender[0], arrival.sender[1].ljust(15)),
        *(stamp.day[2:], stamp.time, marks.repetition, "00501", number, "0", arrival.usage, marks.component),
    )
    body: list[Segment] = [ta1] if ta1 else []
    if sheets:
        body += _group(arrival, stamp, sheets)
    body.append(("IEA", "1" if sheets else "0", number))
    head = marks.element.join(isa) + marks.terminator
    return (head + "".join(_written(segment, marks) for segment in body)).encode("latin-1")


def _group(arrival: Arrival, stamp: Stamp, sheets: Sequence[Sheet]) -> list[Segment]:
    first, number = sheets[0], str(stamp.number)
    sender, receiver = (
        (arrival.groups[0].receiver, arrival.groups[0].sender)
        if arrival.groups
        else (arrival.receiver[1], arrival.sender[1])
    )
    laid: list[Segment] = [
        ("GS", first.functional_id, sender, receiver, stamp.day, stamp.time, number, "X", first.version)
    ]
    for place, sheet in enumerate(sheets, start=1):
        control = f"{place:04d}"
        laid.append(("ST", sheet.code, control, sheet.version if sheet.names_version else ""))
        laid += sheet.segments
        laid.append(("SE", str(len(sheet.segments) + 2), control))
    return [*laid, ("GE", str(len(sheets)), number)]


def _written(segment: Segment, marks: Marks) -> str:
    elements = [_composite(element, marks) if isinstance(element, tuple) else element for element in segment]
    while elements and not elements[-1]:
        elements.pop()
    return marks.element.join(elements) + marks.terminator


def _composite(parts: tuple[str, ...], marks: Marks) -> str:
    return marks.component.join(parts).rstrip(marks.component)
