"""Opens and closes an interchange in the partner's separators; without it each writer would count and pad by itself.

Writers write with * : ^ ~, and the finished text is translated: no data holds any of these or of the partner's own.

Source: X12.5 (ISA, IEA) and X12.6 (GS, GE); TR3 appendix C.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from integrations.x12.text import NotWritable

OURS = "*^:~"
USAGES = {"T", "P"}
LINE_ENDS = {"", "\n", "\r\n"}
ID = re.compile(r"[!-~](?:[ -~]{0,13}[!-~])?").fullmatch


class Interchange:
    """One ISA with one GS. functional: GS01, as HC. version: GS08, as 005010X222A1."""

    def __init__(self, envelope: Any, *, functional: str, version: str) -> None:
        self.foreign = _separators(envelope)
        self.encode = _encoder(self.foreign, envelope.segment_terminator[1:])
        self.envelope, self.functional, self.version = envelope, functional, version
        self.day, self.time = f"{envelope.at:%Y%m%d}", f"{envelope.at:%H%M}"
        if envelope.usage not in USAGES:
            raise NotWritable("ISA15: T or P")
        if envelope.at.tzinfo is None:
            raise NotWritable("ISA09: a time without its zone")
        for element in ("interchange_number", "group_number"):
            if not 0 < getattr(envelope, element) < 10**9:
                raise NotWritable(f"{element}: 1 to 9 digits")

    def opening(self) -> str:
        one = self.envelope
        ours, theirs = self._id(one.isa_id_ours, "ISA06"), self._id(one.isa_id_theirs, "ISA08")
        qualifiers = self._qualifier(one.isa_qualifier_ours), self._qualifier(one.isa_qualifier_theirs)
        return (
            f"ISA*00*{'':10}*00*{'':10}*{qualifiers[0]}*{ours:15}*{qualifiers[1]}*{theirs:15}*{self.day[2:]}*{self.time}"
            f"*^*00501*{one.interchange_number:09}*{int(one.ack_requested)}*{one.usage}*:~"
            f"GS*{self.functional}*{self._id(one.gs_id_ours, 'GS02')}*{self._id(one.gs_id_theirs, 'GS03')}"
            f"*{self.day}*{self.time}*{one.group_number}*X*{self.version}~"
        )

    def closing(self, transactions: int) -> str:
        one = self.envelope
        return f"GE*{transactions}*{one.group_number}~IEA*1*{one.interchange_number:09}~"

    def reference(self, transaction: int) -> str:
        """Return a BHT03 that this partner gets once: the interchange's number and the transaction's."""
        return f"{self.envelope.interchange_number:09}{transaction:04}"

    def _id(self, value: str, element: str) -> str:
        if not ID(value) or set(value) & {*OURS, *self.foreign}:
            raise NotWritable(f"{element}: 1 to 15 characters that are no separators")
        return value

    def _qualifier(self, value: str) -> str:
        if not re.fullmatch("[0-9A-Z]{2}", value):
            raise NotWritable("ISA05, ISA07: two characters")
        return value


def _separators(envelope: Any) -> str:
    """Return the partner's separators in the order of OURS."""
    end = envelope.segment_terminator
    found = [envelope.element_separator, envelope.repetition_separator, envelope.component_separator, end[:1]]
    if len(set(found)) < 4 or any(
        len(sign) != 1 or sign.isalnum() or sign in " .-" or ord(sign) > 126 for sign in found
    ):
        raise NotWritable("ISA: four different separators of one character")
    if end[1:] not in LINE_ENDS:
        raise NotWritable("ISA: a segment ends with one character, and perhaps a line end")
    return "".join(found)


def _encoder(separators: str, line_end: str) -> Callable[[str], bytes]:
    table = bytes.maketrans(OURS.encode(), separators.encode())
    end = separators[3].encode()

    def encode(text: str) -> bytes:
        content = text.encode("ascii")
        if separators != OURS:
            content = content.translate(table)
        return content.replace(end, end + line_end.encode()) if line_end else content

    return encode
