"""Reads dates and moments of a segment's fields, noting each that could not be understood."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from typing import TypeVar

from integrations.hl7 import fields
from integrations.hl7.coded import kept
from integrations.hl7.fields import BadField
from integrations.hl7.findings import MOST_FINDINGS, Finding
from integrations.hl7.reader import Segment

Value = TypeVar("Value")


class Converter:
    """default_tz: the sender's zone. `findings` grows with every field that could not be read, up to a limit."""

    def __init__(self, default_tz: tzinfo) -> None:
        self.default_tz = default_tz
        self.findings: list[Finding] = []

    def moment(self, segment: Segment, number: int, component: int = 1) -> datetime | None:
        """Return a time stamp; None when it is empty, None with a finding when it cannot be read."""
        text = kept(segment.component(number, component))
        return self.moment_of(segment, number, text) if text else None

    def day(self, segment: Segment, number: int) -> date | None:
        text = kept(segment.component(number))
        return self._read(segment, number, text, fields.day) if text else None

    def moment_of(self, segment: Segment, number: int, text: str) -> datetime | None:
        """Return the moment in a text that was in field `number`."""
        return self._read(segment, number, text, self._moment) if text else None

    def date_of(self, segment: Segment, number: int, text: str) -> datetime | None:
        """Return the moment of a value that is a date; a year or a month alone is right, but no moment."""
        return None if fields.is_partial(text) else self.moment_of(segment, number, text)

    def time_of(self, segment: Segment, number: int, text: str) -> time | None:
        return self._read(segment, number, text, lambda given: fields.time_of_day(given, default_tz=self.default_tz))

    def found(self, segment: Segment, number: int, message: str) -> None:
        """Note what is odd in a field."""
        self.note(Finding(segment.name, segment.number, number, message))

    def note(self, finding: Finding) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        elif len(self.findings) == MOST_FINDINGS:
            self.findings.append(Finding("MSH", 1, 0, f"more than {MOST_FINDINGS} findings; the others are left out"))

    def _moment(self, text: str) -> datetime:
        return fields.moment(text, default_tz=self.default_tz)

    def _read(self, segment: Segment, number: int, text: str, convert: Callable[[str], Value]) -> Value | None:
        try:
            return convert(text)
        except BadField as error:
            self.found(segment, number, str(error))
            return None
