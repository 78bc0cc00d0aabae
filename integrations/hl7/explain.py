"""Explains one message to an operator: every field with the standard's own name for it, and what is wrong beside it.

For a person who asks, never on the way of a message. Unmasked, the result shows a patient's data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import chain
from typing import NamedTuple

from integrations.hl7 import masking, oru, tables
from integrations.hl7.findings import Finding
from integrations.hl7.masking import shape
from integrations.hl7.reader import Message, NotHl7, Segment
from integrations.hl7.tables import Rule
from integrations.hl7.validate import validate, version_of

LONGEST = 20_000  # characters of one value that are shown
MOST_SEGMENTS = 500
MOST_VALUES = 200  # of one segment
OBSERVED = 5  # OBX-5: its type stands in OBX-2


class ExplainedField(NamedTuple):
    """One value. path: OBX-3, OBX-3.1 or PID-3[2].1 (second repetition). text: decoded, or its shape when masked.

    A field of several components comes first without a text, then each component. findings: what is wrong with the
    field, at its first entry only.
    """

    path: str
    title: str
    data_type: str
    text: str
    findings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ExplainedField({self.path})"


class ExplainedSegment(NamedTuple):
    """One segment; `findings` is what is wrong with it as a whole."""

    name: str
    number: int
    fields: tuple[ExplainedField, ...]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """`tree` and `segments` say the same, as text and for a page. `findings` hold no values."""

    tree: str
    findings: tuple[Finding, ...]
    segments: tuple[ExplainedSegment, ...] = ()

    @property
    def told(self) -> str:
        """The tree with what is wrong beside each field, for a terminal."""
        return "\n".join(chain.from_iterable(_tree(segment, told=True) for segment in self.segments))


def explain(raw: bytes, *, masked: bool = False, charset: str = "") -> Explanation:
    """Return the message field by field; never fails.

    masked: show shapes ("12 characters") instead of what tells of a patient, see `masking`. charset: where MSH-18 is
    empty.
    """
    try:
        message = Message(raw, charset)
    except NotHl7:
        return Explanation("", (Finding("MSH", 1, 0, "missing: this is not an HL7 message"),))
    version, _ = version_of(message)
    findings = _findings(message)
    beside: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for finding in findings:
        beside[finding[:3]].append(finding.message)
    shown = [message.segment(part) for part in message.parts[:MOST_SEGMENTS]]
    segments = tuple(_segment(segment, version, beside, masked=masked) for segment in shown)
    if len(message.parts) > MOST_SEGMENTS:
        findings.append(Finding("MSH", 1, 0, f"only the first {MOST_SEGMENTS} segments are explained"))
    tree = "\n".join(chain.from_iterable(_tree(segment) for segment in segments))
    return Explanation(tree, tuple(findings), segments)


def mask(raw: bytes, *, charset: str = "") -> str:
    """Return the message as it was sent, a line for each segment, with shapes for what tells of a patient."""
    try:
        message = Message(raw, charset)
    except NotHl7:
        return f"{len(raw)} bytes that are no HL7 message"
    return "\n".join(masking.line(message.segment(part)) for part in message.parts)


def _findings(message: Message) -> list[Finding]:
    """Return what was odd in reading, what the standard's tables say, and what filing would say besides."""
    found = dict.fromkeys((*message.findings, *validate(message)))
    if message.head.component(9) in ("ORU", "OUL"):
        told = {finding[:3] for finding in found}
        read = oru.read(message, default_tz=UTC).findings
        found.update(dict.fromkeys(finding for finding in read if finding[:3] not in told))
    return list(found)


def _segment(
    segment: Segment, version: str, beside: Mapping[tuple[str, int, int], Sequence[str]], *, masked: bool
) -> ExplainedSegment:
    rules = tables.fields(version, segment.name) or ()
    values: list[ExplainedField] = []
    for number in range(1, max(len(segment.fields), len(rules) + 1)):
        problems = tuple(beside.get((segment.name, segment.number, number), ()))
        if len(values) >= MOST_VALUES and not problems:
            continue
        rule, parts = _rule(segment, number, rules, version)
        hide = masked and masking.hides(segment.name, number)
        found = list(_values(segment, number, rule, parts, hide=hide))
        if not found and problems:
            found = [ExplainedField(f"{segment.name}-{number}", _title(rule), _type(rule), "")]
        if found:
            values += [found[0]._replace(findings=problems), *found[1:MOST_VALUES]]
    whole = tuple(beside.get((segment.name, segment.number, 0), ()))
    segment.release()
    return ExplainedSegment(segment.name, segment.number, tuple(values), whole)


def _rule(segment: Segment, number: int, rules: Sequence[Rule], version: str) -> tuple[Rule | None, Sequence[Rule]]:
    """Return a field's rule and those of its components; OBX-5 has the components of the type that OBX-2 names."""
    rule = rules[number - 1] if number <= len(rules) else None
    if segment.name == "OBX" and number == OBSERVED:
        observed = tables.value(version, segment.component(2)[:3])
        return rule, observed.parts if observed else ()
    return rule, rule.parts if rule else ()


def _values(
    segment: Segment, number: int, rule: Rule | None, parts: Sequence[Rule], *, hide: bool
) -> Iterator[ExplainedField]:
    """Yield each repetition of a field, and below it its components where there are several."""
    raw = segment.raw(number)
    if not raw:
        return
    path, title, data_type = f"{segment.name}-{number}", _title(rule), _type(rule)
    if segment.name == "MSH" and number <= 2:
        yield ExplainedField(path, title, data_type, raw)
        return
    repetitions = segment.repetitions(number)
    for place, found in enumerate(repetitions[:MOST_VALUES], start=1):
        at = f"{path}[{place}]" if len(repetitions) > 1 else path
        yield ExplainedField(at, title, data_type, _shown(found[0], hide=hide) if len(found) == 1 else "")
        if len(found) > 1:
            for component, text in enumerate(found[:MOST_VALUES], start=1):
                if text:
                    inner = parts[component - 1] if component <= len(parts) else None
                    shown = _shown(text, hide=hide)
                    yield ExplainedField(f"{at}.{component}", _title(inner), _type(inner), shown)


def _shown(text: str, *, hide: bool) -> str:
    if hide:
        return shape(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"


def _title(rule: Rule | None) -> str:
    return rule.title.replace("_", " ").lower() if rule else ""


def _type(rule: Rule | None) -> str:
    return (rule.data_type or "") if rule else ""


def _tree(segment: ExplainedSegment, *, told: bool = False) -> Iterator[str]:
    """Yield the lines of a segment: fields two blanks in, components four, findings behind what they tell of."""
    yield f"{segment.name} {segment.number}{_beside(segment.findings if told else ())}"
    for one in segment.fields:
        _, _, component = one.path.partition(".")
        names = (f"    .{component}", one.title) if component else (f"  {one.path}", one.title, one.data_type)
        text = "\n        ".join(one.text.splitlines())
        shown = f"{' '.join(name for name in names if name)}{': ' if text else ''}{text}"
        yield f"{shown}{_beside(one.findings if told else ())}"


def _beside(findings: Iterable[str]) -> str:
    return "".join(f"  <- {finding}" for finding in findings)
