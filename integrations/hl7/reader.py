"""Reads any HL7 v2 message without losing a byte: lazily, in any version, never failing on what a field holds.

Source: HL7 v2.5.1, chapter 2, sections 2.5 (message structure) and 2.7 (escape sequences).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from integrations.hl7 import charsets, coded
from integrations.hl7.coded import MOST_PARTS
from integrations.hl7.findings import Finding
from integrations.hl7.head import BOM, FIRST, MSH
from integrations.hl7.signs import Separators, decoder, escape

__all__ = ["Finding", "Message", "NotHl7", "Part", "Segment", "Separators", "escape"]

MSH_IN_TEXT = re.compile(MSH.pattern.decode())
SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{2}")
MOST_SEGMENTS = 100_000  # far above any real message; bounds what a hostile one can cost
ENVELOPES = frozenset({"MSH", "FHS", "BHS"})  # their first field is the separator itself
BATCH_ONLY = frozenset({"FHS", "BHS", "BTS", "FTS"})


class NotHl7(ValueError):
    """No segment begins with MSH."""


class Segment:
    """One segment, split when it is asked. Fields, repetitions and components count from 1, as the standard does."""

    __slots__ = ("_fields", "line", "message", "name", "number")

    def __init__(self, message: Message, name: str, number: int, line: str) -> None:
        self.message = message
        self.name = name
        self.line = line
        self.number = number
        self._fields: list[str] | None = None

    def filled(self, last: int) -> list[str]:
        """Return the fields as sent, with empty ones behind them so that there is one for every number to `last`."""
        if self.name in ENVELOPES:
            return self.fields + [""] * (last + 1)
        return self.line.split(self.message.separators.field, MOST_PARTS) + [""] * last

    @property
    def fields(self) -> list[str]:
        """The fields as sent, MSH-1 at index 1 as everywhere else."""
        if self._fields is None:
            separator = self.message.separators.field
            self._fields = self.line.split(separator, MOST_PARTS)
            if self.name in ENVELOPES:
                self._fields.insert(1, separator)
        return self._fields

    def release(self) -> None:
        """Forget the split fields: of 100,000 segments they take far more memory than the text."""
        self._fields = None

    def raw(self, field: int) -> str:
        """Return the field as sent, escapes and separators included."""
        fields = self._fields or self.fields
        return fields[field] if field < len(fields) else ""

    def text(self, field: int) -> str:
        """Return the whole field as one text, for types that have no components."""
        return self.message.unescape(self.raw(field))

    def repetitions(self, field: int) -> list[list[str]]:
        """Return the components of each repetition, decoded; subcomponents stay together."""
        return coded.repetitions(self.raw(field), self.message.separators, self.message.unescape)

    def texts(self, field: int) -> list[str]:
        """Return each repetition as one text, for types that have no components."""
        whole, message = self.raw(field), self.message
        return (
            [message.unescape(one) for one in whole.split(message.separators.repetition, MOST_PARTS)] if whole else []
        )

    def components(self, field: int) -> list[str]:
        """Return the decoded components of the first repetition."""
        return coded.components(self.raw(field), self.message.separators, self.message.unescape)

    def component(self, field: int, component: int = 1) -> str:
        """Return one decoded component of the first repetition; empty when there is none."""
        whole = self.raw(field)
        if not whole:
            return ""
        signs = self.message.separators
        parts = whole.split(signs.repetition, 1)[0].split(signs.component, component)
        return self.message.unescape(parts[component - 1]) if component <= len(parts) else ""

    def subcomponents(self, field: int, component: int, repetition: int = 1) -> list[str]:
        """Return the decoded subcomponents of one component."""
        signs, decode = self.message.separators, self.message.unescape
        repetitions = self.raw(field).split(signs.repetition, repetition)
        parts = repetitions[repetition - 1].split(signs.component, component) if repetition <= len(repetitions) else []
        found = parts[component - 1] if component <= len(parts) else None
        return [] if found is None else [decode(sub) for sub in found.split(signs.subcomponent, MOST_PARTS)]


Part = tuple[str, int, str]  # a segment's name, which of that name from 1, and its line


class Message:
    """One message. `raw` is what came; `encode()` gives the same bytes from MSH on.

    parts: the segments as plain tuples, for who reads them all; `segments` splits them. escaped: whether anything has
    to be decoded. `findings` tells what was odd.

    Raises:
        NotHl7: there is no MSH; nothing else is an error.
    """

    __slots__ = ("_segments", "charset", "escaped", "findings", "parts", "raw", "separators", "shifts", "text")

    def __init__(self, raw: bytes, usual_charset: str = "") -> None:
        """usual_charset: what MSH-18 would say, for a sender that leaves it empty."""
        self.raw = raw
        self.findings: list[Finding] = []
        self._segments: list[Segment] | None = None
        self.text, self.charset, note, self.shifts = _decoded(raw, usual_charset)
        self.separators = Separators.of(self.text)
        self.escaped = self.text.find(self.separators.escape, 9) >= 0 or "\0" in self.text
        if note:
            self.findings.append(Finding("MSH", 1, 18, note))
        self.parts = self._split()
        if len(self.text) > MOST_PARTS:
            self._weigh()

    @property
    def segments(self) -> list[Segment]:
        if self._segments is None:
            self._segments = [self.segment(part) for part in self.parts]
        return self._segments

    def segment(self, part: Part) -> Segment:
        return Segment(self, *part)

    def _split(self) -> list[Part]:
        """Return the segments of the first message; more messages in the same bytes are a finding, see `batch`."""
        counts: dict[str, int] = {}
        parts: list[Part] = []
        strange, sign = 0, self.separators.field
        named, usual, observed, add = _namer(sign), f"OBX{sign}", 0, parts.append
        lines = _lines(self.text, sign)
        for line in lines if len(lines) <= MOST_SEGMENTS else lines[:MOST_SEGMENTS]:
            if line[:4] == usual:  # four of five lines of a report
                observed += 1
                add(("OBX", observed, line))
                continue
            name = named(line[:4])
            if not name:
                strange += _is_strange(line, sign)
                continue
            if name == "OBX":
                observed += 1
                parts.append((name, observed, line))
                continue
            counts[name] = number = counts.get(name, 0) + 1
            if number > 1 and name == "MSH":
                self.findings.append(Finding("MSH", number, 0, "more than one message; only the first is read"))
                break
            parts.append((name, number, line))
        if strange:
            self.findings.append(Finding("???", strange, 0, "lines that are no segments"))
        if len(lines) > MOST_SEGMENTS:
            self.findings.append(Finding("MSH", 1, 0, f"only the first {MOST_SEGMENTS} segments are read"))
        return parts

    def _weigh(self) -> None:
        """Tell of each segment in which not every separator can count."""
        signs = self.separators
        for name, number, line in self.parts:
            if len(line) > MOST_PARTS and max(line.count(sign) for sign in signs[:3]) > MOST_PARTS:
                told = f"more than {MOST_PARTS} parts; what follows is kept together"
                self.findings.append(Finding(name, number, 0, told))

    @property
    def head(self) -> Segment:
        return self.segment(self.parts[0])

    def encode(self) -> bytes:
        """Return the bytes that came, from MSH on, written anew from the text."""
        return charsets.encode(self.text, self.charset, self.shifts)

    @property
    def decode(self) -> Callable[[str], str]:
        """What decodes a text of this message; where nothing is escaped, nothing."""
        return self.unescape if self.escaped else coded.plain

    def is_plain(self, line: str) -> bool:
        """Return whether nothing in a line has to be decoded."""
        return self.separators.escape not in line and "\0" not in line

    def unescape(self, text: str) -> str:
        """Decode escapes. Unknown ones and bare escape characters stay; NUL becomes U+FFFD."""
        if self.separators.escape in text:
            text = decoder(self.separators, self.charset)(text)
        return text.replace("\0", "\ufffd") if "\0" in text else text


def _decoded(raw: bytes, usual_charset: str) -> charsets.Decoded:
    """Return the text from MSH on."""
    found = FIRST.match(raw)
    if found:
        return charsets.decode(raw, _declared(found[0], usual_charset))
    if encoded := charsets.wide(raw):
        return _decoded_wide(raw, *encoded)
    body = raw.removeprefix(BOM).lstrip()
    found = MSH.search(body)
    if not found:
        raise NotHl7("no segment begins with MSH")
    return charsets.decode(body[found.start(1) :], _declared(found[1], usual_charset))


def _decoded_wide(raw: bytes, charset: str, mark: int) -> charsets.Decoded:
    """Return the text of a message in UTF-16 or UTF-32."""
    try:
        text = raw[mark:].decode(charset).lstrip()
    except UnicodeError:
        raise NotHl7(f"not readable as {charset}") from None
    found = MSH_IN_TEXT.search(text)
    if not found:
        raise NotHl7("no segment begins with MSH")
    return charsets.Decoded(text[found.start(1) :], charset)


def _declared(line: bytes, usual_charset: str) -> list[str]:
    """Return MSH-18's charsets from the undecoded line, else the usual one; names of charsets are ASCII."""
    fields = line.split(line[3:4], 18)
    declared = _repeated(fields[17][:200]) if len(fields) > 17 else []
    return declared if not usual_charset or any(declared) else [usual_charset]


@functools.lru_cache(maxsize=64)
def _repeated(names: bytes) -> list[str]:
    return re.split(r"[~^]", names.decode("ascii", "replace"))


@functools.lru_cache(maxsize=16)
def _namer(sign: str) -> Callable[[str], str]:
    """Return the function that tells a segment's name from the first four characters of its line, empty if none."""

    @functools.lru_cache(maxsize=1024)
    def named(start: str) -> str:
        name = start[:3].upper()
        known = SEGMENT_ID.fullmatch(name) and name not in BATCH_ONLY and start[3:] in ("", sign)
        return name if known else ""

    return named


def _is_strange(line: str, sign: str) -> bool:
    """Return whether a line that begins no segment is neither blank nor a part of a batch's envelope."""
    enveloped = line[:3].upper() in BATCH_ONLY and line[3:4] in ("", sign)
    return not enveloped and bool(line.strip())


def _lines(text: str, sign: str) -> list[str]:
    """Return the lines, at most one more than counts. Any line end will do, but a LF inside a text is not an end."""
    if "\n" not in text:
        lines = text.split("\r", MOST_SEGMENTS)
        if len(lines) <= MOST_SEGMENTS:  # with fewer, blank ones among them take no other's place
            return lines
    return _ends(sign).split(text, MOST_SEGMENTS)


@functools.lru_cache(maxsize=64)
def _ends(sign: str) -> re.Pattern[str]:
    """Return what ends a segment: a run of line ends with a CR in it, or LFs before what begins a segment."""
    begins = rf"[A-Za-z][A-Za-z0-9]{{2}}{re.escape(sign)}|[A-Z][A-Z0-9]{{2}}(?:[\r\n]|\Z)|\Z"
    return re.compile(rf"(?<![\r\n])(?:\n*+\r[\r\n]*+|\n++(?={begins}))")
