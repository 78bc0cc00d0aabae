"""Reads what a laboratory answers to an order (ACK, ORL, ORR, and OML or ORM it sends itself) into records.

Source: HL7 v2.5.1, chapter 2, 2.15.8 (MSA), 2.15.5 (ERR); chapter 4, 4.4.2 (ORR), 4.4.7 (ORL), 4.5.1 (ORC).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum

from integrations.hl7.ack import Reason
from integrations.hl7.coded import kept
from integrations.hl7.converter import Converter
from integrations.hl7.reader import Message, Segment

LONGEST_ID = 200
PLACE = re.compile(r"[A-Z][A-Z0-9]{2}")
KNOWN = {str(reason.value[0]): reason.value[1] for reason in Reason} | {
    "102": "Data type error",
    "103": "Table value not found",
    "201": "Unsupported event code",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
}  # table 0357


class Verdict(Enum):
    """What ORC-1 of an answer says about one test."""

    DONE = "done"
    UNABLE = "unable"
    CANCELLED = "cancelled"


# ORC-1, table 0119: the codes a filler uses.
VERDICTS = {
    "OK": Verdict.DONE, "CR": Verdict.DONE, "XR": Verdict.DONE, "OR": Verdict.DONE, "NA": Verdict.DONE,
    "RE": Verdict.DONE, "SC": Verdict.DONE, "OE": Verdict.DONE, "AF": Verdict.DONE,
    "UA": Verdict.UNABLE, "UC": Verdict.UNABLE, "UX": Verdict.UNABLE, "UM": Verdict.UNABLE, "DE": Verdict.UNABLE,
    "OC": Verdict.CANCELLED, "OD": Verdict.CANCELLED,
}  # fmt: skip
ASKED = {"CR": "CA", "UC": "CA", "XR": "XO", "UX": "XO", "UM": "XO"}  # what we had asked, where the code tells


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """What is said about one test. placer, filler: the order's numbers here and there. status: ORC-5, table 0038."""

    control: str
    placer: str
    filler: str
    status: str = ""

    @property
    def verdict(self) -> Verdict | None:
        if self.status == "CA" and self.control in ("SC", "OK", "SR"):
            return Verdict.CANCELLED
        return VERDICTS.get(self.control)


@dataclass(frozen=True, slots=True)
class Trouble:
    """ERR: a code of table 0357 in its standard words, and where. The laboratory's own words may name a patient."""

    code: str
    place: str = ""

    @property
    def sentence(self) -> str:
        words = KNOWN.get(self.code)
        where = f" ({self.place})" if self.place else ""
        return f"{words}{where}." if words else f"Error {self.code}{where}." if self.code else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """code: MSA-1. answers: MSA-2, the control id of the message it answers; both empty where there is no MSA.

    sending_app, sending_facility: MSH-3 and MSH-4 as sent. sent_at: MSH-7; None when it is missing or no moment.
    """

    message_code: str
    control_id: str
    sending_app: str
    sending_facility: str
    sent_at: datetime | None
    code: str = ""
    answers: str = ""
    troubles: tuple[Trouble, ...] = ()
    parts: tuple[Part, ...] = ()


def read(message: Message, *, default_tz: tzinfo) -> Answer:
    """Return what `message` answers. Never fails on what a field holds."""
    head = message.head
    msa = next((segment for segment in message.segments if segment.name == "MSA"), None)
    return Answer(
        message_code=kept(head.component(9, 1)).upper(),
        control_id=kept(head.text(10)),
        sending_app=head.raw(3).strip(),
        sending_facility=head.raw(4).strip(),
        sent_at=Converter(default_tz).moment_if_any(kept(head.component(7))),
        code=kept(msa.component(1)).upper() if msa else "",
        answers=kept(msa.text(2)) if msa else "",
        troubles=_troubles(message.segments, msa),
        parts=tuple(_parts(message.segments)),
    )


def _parts(segments: list[Segment]) -> list[Part]:
    """Return one part for each ORC; a number that stands in its OBR only is taken from there."""
    found: list[Part] = []
    for segment in segments:
        if segment.name == "ORC":
            control, status = kept(segment.component(1)).upper(), kept(segment.component(5)).upper()
            found.append(Part(control, _number(segment, 2), _number(segment, 3), status))
        elif segment.name == "OBR" and found:
            last = found[-1]
            placer, filler = last.placer or _number(segment, 2), last.filler or _number(segment, 3)
            found[-1] = Part(last.control, placer, filler, last.status)
    return found


def _number(segment: Segment, field: int) -> str:
    return kept(segment.component(field))[:LONGEST_ID]


def _troubles(segments: list[Segment], msa: Segment | None) -> tuple[Trouble, ...]:
    found = [_trouble(segment) for segment in segments if segment.name == "ERR"]
    if msa is not None and msa.raw(6):  # the error condition of versions before 2.5
        found.append(Trouble(_code(msa.component(6))))
    return tuple(trouble for trouble in found if trouble.code)


def _trouble(err: Segment) -> Trouble:
    """Return ERR-3 with ERR-2, or the older ERR-1: segment, sequence, field and code in one."""
    if err.raw(3):
        return Trouble(_code(err.component(3)), _place(err.component(2, 1), err.component(2, 3)))
    codes = err.subcomponents(1, 4)
    return Trouble(_code(codes[0] if codes else ""), _place(err.component(1, 1), err.component(1, 3)))


def _code(text: str) -> str:
    """Return a code that is a number; whatever else a laboratory writes there may name a patient."""
    code = kept(text)
    return code if code.isascii() and code.isdigit() and len(code) <= 6 else ""


def _place(segment: str, field: str) -> str:
    name, number = kept(segment).upper(), _code(field)
    return f"{name}-{number}" if PLACE.fullmatch(name) and number else ""
