"""Explains one message to an operator: every field with the standard's own name for it, and what is wrong.

Slow (about 2 ms a segment): never on the way of a message, only when a person asks. The result shows a patient's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException, ValidationError
from hl7apy.parser import parse_message, parse_segment

from integrations.hl7.reader import Finding, Message, NotHl7, Segment

LONGEST = 20_000  # characters of a segment that are worth the time
LONGEST_MESSAGE = 100_000
MOST_SEGMENTS = 500
USUAL_VERSION = "2.5.1"
LIBRARY_ERRORS = (HL7apyException, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """`tree` is for the operator's eyes; `findings` hold no values."""

    tree: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class FieldName:
    """What the standard calls a field, its data type, and the names of its components by number."""

    name: str = ""
    data_type: str = ""
    components: tuple[tuple[int, str], ...] = ()


def explain(raw: bytes) -> Explanation:
    """Return the message as a tree of named fields; never fails."""
    try:
        message = Message(raw)
    except NotHl7:
        return Explanation("", (Finding("MSH", 1, 0, "missing: this is not an HL7 message"),))
    version, findings = _version(message)
    lines: list[str] = []
    if len(message.segments) > MOST_SEGMENTS:
        findings.append(Finding("MSH", 1, 0, f"only the first {MOST_SEGMENTS} segments are explained"))
    for segment in message.segments[:MOST_SEGMENTS]:
        names, problem = _names(message, segment, version)
        findings += problem
        lines.append(f"{segment.name} {segment.number}")
        lines.extend(_fields(segment, names))
    return Explanation("\n".join(lines), (*message.findings, *findings, *_structure(message, version)))


def _version(message: Message) -> tuple[str, list[Finding]]:
    """Return the version whose names are used, and a finding when it is not the sender's."""
    version = message.head.component(12)
    if version in SUPPORTED_LIBRARIES:
        return version, []
    return USUAL_VERSION, [Finding("MSH", 1, 12, f"version not known; explained as {USUAL_VERSION}")]


def _names(message: Message, segment: Segment, version: str) -> tuple[dict[int, FieldName], list[Finding]]:
    line = message.separators.field.join(segment.fields)
    if len(line) > LONGEST:
        return {}, [Finding(segment.name, segment.number, 0, f"{len(line)} characters: too long to explain")]
    try:
        parsed = parse_segment(_er7(message, segment), version, _signs(message, version), VALIDATION_LEVEL.TOLERANT)
        return {_number(field.name): _field_name(field) for field in parsed.children if field.name}, []
    except LIBRARY_ERRORS as error:
        return {}, [Finding(segment.name, segment.number, 0, f"cannot be explained ({type(error).__name__})")]


def _er7(message: Message, segment: Segment) -> str:
    """Return the segment as sent, its id in capitals; MSH-2 without the fifth character that the library refuses."""
    fields = [segment.name, *segment.fields[1:]]
    if segment.name == "MSH":
        fields = ["MSH", segment.raw(2)[:4], *segment.fields[3:]]
    return message.separators.field.join(fields)


def _signs(message: Message, version: str) -> dict[str, str]:
    """Return the separators under the library's names; from version 2.7 on it insists on a truncation character."""
    signs = message.separators
    truncation = {"TRUNCATION": signs.truncation or "#"} if version >= "2.7" else {}
    return {
        **truncation,
        "SEGMENT": "\r",
        "FIELD": signs.field,
        "COMPONENT": signs.component,
        "REPETITION": signs.repetition,
        "ESCAPE": signs.escape,
        "SUBCOMPONENT": signs.subcomponent,
    }


def _field_name(field: Any) -> FieldName:
    components = [(_number(part.name), part.long_name) for part in field.children if part.name and part.long_name]
    return FieldName(field.long_name or "", field.datatype or "", tuple(components))


def _number(name: str) -> int:
    """Return 3 for "OBX_3"; 1 for a name without a number."""
    last = name.rpartition("_")[2]
    return int(last) if last.isascii() and last.isdigit() else 1


def _fields(segment: Segment, names: dict[int, FieldName]) -> Iterator[str]:
    """Give the lines below a segment: our own reading of the values, the library's names."""
    for number in range(1, len(segment.fields)):
        if not segment.raw(number):
            continue
        known = names.get(number, FieldName())
        title = " ".join(part for part in (f"  {segment.name}-{number}", _spoken(known.name), known.data_type) if part)
        if segment.name == "MSH" and number <= 2:
            yield f"{title}: {segment.raw(number)}"
            continue
        for parts in segment.repetitions(number):
            yield from _repetition(title, parts, dict(known.components))


def _repetition(title: str, parts: list[str], components: dict[int, str]) -> Iterator[str]:
    if len(parts) == 1:
        yield f"{title}: {_indented(parts[0])}"
        return
    yield title
    for number, part in enumerate(parts, start=1):
        if part:
            name = _spoken(components.get(number, ""))
            yield f"    .{number} {name}: {_indented(part)}" if name else f"    .{number}: {_indented(part)}"


def _indented(text: str) -> str:
    """Keep the lines of a longer text below their field."""
    return "\n        ".join(text.splitlines())


def _spoken(name: str) -> str:
    return name.replace("_", " ").lower()


def _structure(message: Message, version: str) -> list[Finding]:
    """Tell whether the order of segments is the one of the message's type. The library's words may hold values."""
    if len(message.text) > LONGEST_MESSAGE:
        return []
    try:
        parse_message("\r".join(_er7(message, segment) for segment in message.segments) + "\r").validate()
    except ValidationError:
        return [Finding("MSH", 1, 9, f"segments or fields are not as version {version} wants them")]
    except LIBRARY_ERRORS as error:
        return [Finding("MSH", 1, 9, f"the structure cannot be checked ({type(error).__name__})")]
    return []
