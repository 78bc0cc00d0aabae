"""Reads dates and moments of a segment's fields, noting each that could not be understood."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from typing import TypeVar

from integrations.hl7 import fields
from integrations.hl7.coded import Decode, first
from integrations.hl7.fields import BadField
from integrations.hl7.findings import MOST_FINDINGS, Finding
from integrations.hl7.records import Circumstances
from integrations.hl7.signs import Separators

Value = TypeVar("Value")
Place = tuple[str, int, int]  # a segment's name, which of that name, and the field's number
LONGEST_STAMP = 100  # characters of a stamp that is remembered
MOST_STAMPS = 1_000
MOST_TAILS = 100


class Converter:
    """default_tz: the sender's zone. `findings` grows with every field that could not be read, up to a limit.

    stamps: each moment read so far by its text; a report repeats the same few in every OBX. tails: what an observation
    says from OBX-9 on, by these fields as sent, for those in which nothing is odd.
    """

    def __init__(self, default_tz: tzinfo) -> None:
        self.default_tz = default_tz
        self.findings: list[Finding] = []
        self.stamps: dict[str, datetime | None] = {"": None}
        self.tails: dict[str, Circumstances] = {}

    def remember(self, sent: str, tail: Circumstances) -> None:
        """Remember what an OBX says from OBX-9 on, sent as `sent`."""
        if len(self.tails) < MOST_TAILS:
            self.tails[sent] = tail

    def moment_if_any(self, raw: str) -> datetime | None:
        """Return the moment of a plain time stamp; None where there is none, and nobody is told."""
        try:
            return fields.moment(raw, default_tz=self.default_tz) if raw else None
        except BadField:
            return None

    def stamp(self, place: Place, raw: str, signs: Separators, decode: Decode) -> datetime | None:
        """Return the time stamp in `raw`, the field at `place`.

        None when it is empty, None with a finding when it cannot be read.
        """
        if raw in self.stamps:
            return self.stamps[raw]
        text = first(raw, signs, decode)
        found = self.moment(place, text) if text else None
        if found is not None and len(raw) < LONGEST_STAMP and len(self.stamps) < MOST_STAMPS:
            self.stamps[raw] = found
        return found

    def moment(self, place: Place, text: str) -> datetime | None:
        return self._read(place, text, lambda given: fields.moment(given, default_tz=self.default_tz))

    def date_value(self, place: Place, text: str) -> datetime | None:
        """Return the moment of a value that is a date; a year or a month alone is right, but no moment."""
        return None if fields.is_partial(text) else self.moment(place, text)

    def day(self, place: Place, text: str) -> date | None:
        return self._read(place, text, fields.day) if text else None

    def time_value(self, place: Place, text: str) -> time | None:
        return self._read(place, text, lambda given: fields.time_of_day(given, default_tz=self.default_tz))

    def found(self, place: Place, message: str) -> None:
        """Note what is odd in a field."""
        self.note(Finding(*place, message))

    def note(self, finding: Finding) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        elif len(self.findings) == MOST_FINDINGS:
            self.findings.append(Finding("MSH", 1, 0, f"more than {MOST_FINDINGS} findings; the others are left out"))

    def _read(self, place: Place, text: str, convert: Callable[[str], Value]) -> Value | None:
        try:
            return convert(text)
        except BadField as error:
            self.found(place, str(error))
            return None
