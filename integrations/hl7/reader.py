"""Reads any HL7 v2 message without losing a byte: lazily, in any version, never failing on what a field holds.

Source: HL7 v2.5.1, chapter 2, sections 2.5 (message structure) and 2.7 (escape sequences).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest

from integrations.hl7 import charsets
from integrations.hl7.head import BOM, MSH

SEGMENT_ID = re.compile(r"[A-Za-z][A-Za-z0-9]{2}")
MOST_SEGMENTS = 100_000  # far above any real message; bounds what a hostile one can cost
LINE_END = re.compile(r"[\r\n]+")
BATCH_ONLY = frozenset({"FHS", "BHS", "BTS", "FTS"})
BATCH_LINE = re.compile(rb"(?<=[\r\n])(?:FHS|BHS|BTS|FTS)[^A-Za-z0-9][^\r\n]*[\r\n]*")


class NotHl7(ValueError):
    """No segment begins with MSH."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, told without the value: where, and what."""

    segment: str
    number: int  # which segment of that name, from 1
    field: int  # 0: the segment as a whole
    message: str


@dataclass(frozen=True, slots=True)
class Separators:
    """MSH-1 and MSH-2; senders may choose their own. `truncation` exists from version 2.7 on, in the wild before."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @classmethod
    def of(cls, line: str) -> Separators:
        """Read them from a line that begins with MSH; what is missing is as usual."""
        field = line[3:4] or "|"
        given = line[4:].split(field, 1)[0]
        component, repetition, escape, subcomponent = (given[i : i + 1] or usual for i, usual in enumerate("^~\\&"))
        return cls(field, component, repetition, escape, subcomponent, given[4:5])


class Segment:
    """One segment, split when it is asked. Fields, repetitions and components count from 1, as the standard does."""

    __slots__ = ("_fields", "_line", "_message", "name", "number")

    def __init__(self, message: Message, line: str, number: int) -> None:
        self._message = message
        self._line = line
        self._fields: list[str] | None = None
        self.name = line[:3].upper()
        self.number = number

    @property
    def component_sign(self) -> str:
        return self._message.separators.component

    @property
    def fields(self) -> list[str]:
        """The fields as sent, MSH-1 at index 1 as everywhere else."""
        if self._fields is None:
            separator = self._message.separators.field
            self._fields = self._line.split(separator)
            if self.name in ("MSH", "FHS", "BHS"):
                self._fields.insert(1, separator)
        return self._fields

    def raw(self, field: int) -> str:
        """Return the field as sent, escapes and separators included."""
        fields = self._fields or self.fields
        return fields[field] if field < len(fields) else ""

    def text(self, field: int) -> str:
        """Return the whole field as one text, for types that have no components."""
        return self._message.unescape(self.raw(field))

    def repetitions(self, field: int) -> list[list[str]]:
        """Return the components of each repetition, decoded; subcomponents stay together."""
        whole = self.raw(field)
        if not whole:
            return []
        signs, decode = self._message.separators, self._message.unescape
        if signs.component not in whole and signs.repetition not in whole:
            return [[decode(whole)]]
        return [[decode(part) for part in one.split(signs.component)] for one in whole.split(signs.repetition)]

    def texts(self, field: int) -> list[str]:
        """Return each repetition as one text, for types that have no components."""
        whole = self.raw(field)
        return (
            [self._message.unescape(one) for one in whole.split(self._message.separators.repetition)] if whole else []
        )

    def components(self, field: int) -> list[str]:
        """Return the decoded components of the first repetition."""
        whole = self.raw(field)
        if not whole:
            return []
        signs = self._message.separators
        first = whole.split(signs.repetition, 1)[0]
        parts = first.split(signs.component)
        if signs.escape in first or "\0" in first:
            return [self._message.unescape(part) for part in parts]
        return parts

    def component(self, field: int, component: int = 1) -> str:
        """Return one decoded component of the first repetition; empty when there is none."""
        found = self.components(field)
        return found[component - 1] if component <= len(found) else ""

    def subcomponents(self, field: int, component: int, repetition: int = 1) -> list[str]:
        """Return the decoded subcomponents of one component."""
        signs, decode = self._message.separators, self._message.unescape
        repetitions = self.raw(field).split(signs.repetition)
        parts = repetitions[repetition - 1].split(signs.component) if repetition <= len(repetitions) else []
        return (
            [decode(sub) for sub in parts[component - 1].split(signs.subcomponent)] if component <= len(parts) else []
        )


class Message:
    """One message. `raw` is what came; `text.encode(charset)` is the same bytes from MSH on.

    Raises:
        NotHl7: there is no MSH; nothing else is an error, `findings` tells what was odd.
    """

    def __init__(self, raw: bytes) -> None:
        body = raw.removeprefix(BOM).lstrip()
        found = MSH.search(body)
        if not found:
            raise NotHl7("no segment begins with MSH")
        self.raw = raw
        self.findings: list[Finding] = []
        decoded = charsets.decode(body[found.start(1) :], _declared_charset(found[1]))
        self.text, self.charset = decoded.text, decoded.charset
        self.separators = Separators.of(re.split(r"[\r\n]", self.text, maxsplit=1)[0])
        self._decoder = _decoder(self.separators, self.charset)
        if decoded.note:
            self.findings.append(Finding("MSH", 1, 18, decoded.note))
        self.segments = list(self._split())

    def _split(self) -> Iterator[Segment]:
        """Give the segments of the first message; more messages in the same bytes are a finding, see `messages`."""
        counts: dict[str, int] = {}
        strange = 0
        for line in islice(_lines(self.text, self.separators.field), MOST_SEGMENTS):
            name = line[:3].upper()
            number = counts[name] = counts.get(name, 0) + 1
            if not SEGMENT_ID.fullmatch(name) or line[3:4] not in ("", self.separators.field):
                strange += 1
            elif name == "MSH" and number > 1:
                self.findings.append(Finding("MSH", number, 0, "more than one message; only the first is read"))
                break
            elif name not in BATCH_ONLY:
                yield Segment(self, line, number)
        if strange:
            self.findings.append(Finding("???", strange, 0, "lines that are no segments"))
        if sum(counts.values()) == MOST_SEGMENTS:
            self.findings.append(Finding("MSH", 1, 0, f"only the first {MOST_SEGMENTS} segments are read"))

    @property
    def head(self) -> Segment:
        return self.segments[0]

    def unescape(self, text: str) -> str:
        """Decode escapes. Unknown ones and bare escape characters stay; NUL becomes U+FFFD."""
        if self.separators.escape in text:
            text = self._decoder(text)
        return text.replace("\0", "\ufffd") if "\0" in text else text


def messages(raw: bytes) -> list[bytes]:
    """Return each message of a batch or file as its own bytes; header and trailer segments are left out."""
    body = raw.removeprefix(BOM).lstrip()
    starts = [found.start(1) for found in MSH.finditer(body)]
    return [BATCH_LINE.sub(b"", body[start:end]) for start, end in zip_longest(starts, starts[1:])]


def escape(text: str, separators: Separators) -> str:
    """Write `text` so that no character of it can be taken for a separator or the end of a segment."""
    signs = separators
    codes = {signs.escape: "E", signs.field: "F", signs.component: "S", signs.repetition: "R", signs.subcomponent: "T"}
    table = {ord(sign): f"{signs.escape}{code}{signs.escape}" for sign, code in codes.items()}
    if signs.truncation:
        table[ord(signs.truncation)] = f"{signs.escape}P{signs.escape}"
    for end in "\r\n":
        table[ord(end)] = f"{signs.escape}X{ord(end):02X}{signs.escape}"
    return text.translate(table)


def _declared_charset(line: bytes) -> str:
    """Return MSH-18's first charset from the undecoded line; names of charsets are ASCII."""
    fields = line.split(line[3:4] or b"|")
    first = re.split(rb"[~^]", fields[17])[0] if len(fields) > 17 else b""
    return first.decode("ascii", "replace")


def _lines(text: str, separator: str) -> Iterator[str]:
    """Give the non-empty lines. Any line end will do, but a LF inside a field's text is not an end."""
    if "\n" in text:
        sign = re.escape(separator)
        begins_segment = re.compile(rf"[A-Za-z][A-Za-z0-9]{{2}}{sign}|[A-Z][A-Z0-9]{{2}}(?:[\r\n]|\Z)")

        def end_or_text(found: re.Match[str]) -> str:
            ends = "\r" in found[0] or found.end() == len(text) or begins_segment.match(text, found.end())
            return "\r" if ends else found[0]

        text = LINE_END.sub(end_or_text, text)
    return (line for line in text.split("\r") if line and not line.isspace())


@functools.lru_cache(maxsize=256)
def _decoder(separators: Separators, charset: str) -> Callable[[str], str]:
    """Return the function that replaces known escape sequences; only those are touched."""
    signs, sign = separators, re.escape(separators.escape)
    letters = {
        "F": signs.field,
        "S": signs.component,
        "R": signs.repetition,
        "T": signs.subcomponent,
        "E": signs.escape,
    }
    if signs.truncation:
        letters["P"] = signs.truncation
    pattern = re.compile(rf"{sign}(?:([{''.join(letters)}])|\.(?:br|sp([0-9]{{0,2}}))|X((?:[0-9A-F]{{2}})+)){sign}")

    def replace(found: re.Match[str]) -> str:
        letter, lines, digits = found.groups()
        if letter:
            return letters[letter]
        if digits is None:
            return "\n" * int(lines or 1)
        try:
            return bytes.fromhex(digits).decode(charset)
        except UnicodeError:
            return found[0]

    return functools.partial(pattern.sub, replace)
