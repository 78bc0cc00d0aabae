"""Hides what tells of a patient in a message that an operator looks at; codes, numbers of orders and status stay.

Only what is known to hold no such thing is shown: an unknown segment and one of the sender's own are hidden whole.
"""

from __future__ import annotations

from integrations.hl7.coded import MOST_PARTS
from integrations.hl7.reader import Segment

SHOWN: dict[str, frozenset[int]] = {  # segments that are shown, and their fields that are hidden all the same
    "MSH": frozenset({8}),
    "MSA": frozenset({3}),
    "ERR": frozenset({1, 6, 7, 8, 9}),
    "SFT": frozenset(),
    "EVN": frozenset(),
    "ORC": frozenset({11, 16, 22, 24, 25}),
    "OBR": frozenset({13, 17, 20, 21, 31, 39}),
    "OBX": frozenset({5}),
    "TQ1": frozenset({11}),
    "TQ2": frozenset(),
    "SPM": frozenset({13, 14}),
    "NTE": frozenset(range(3, 100)),
}


def hides(segment: str, field: int) -> bool:
    """Return whether a field may tell of a patient."""
    hidden = SHOWN.get(segment)
    return hidden is None or field in hidden


def shape(text: str) -> str:
    return f"{len(text)} character{'' if len(text) == 1 else 's'}"


def line(segment: Segment) -> str:
    """Return a segment as it was sent, with the shape of each component that is hidden; separators stay."""
    signs = segment.message.separators
    shown = [
        _masked(raw, signs.repetition, signs.component) if raw and hides(segment.name, number) else raw
        for number, raw in enumerate(segment.fields)
        if number
    ]
    if segment.name == "MSH":
        shown = shown[1:]
    return signs.field.join([segment.name, *shown])


def _masked(raw: str, repetition: str, component: str) -> str:
    return repetition.join(
        component.join(shape(part) if part else "" for part in one.split(component, MOST_PARTS))
        for one in raw.split(repetition, MOST_PARTS)
    )
