"""Checks a message against the standard's own tables; what is wrong is a warning to keep, never a reason to refuse.

Source: the reference tables of hl7apy 1.3.5, which follow HL7 v2.1 to v2.8.2; see `tables`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from integrations.hl7 import coded, tables
from integrations.hl7.coded import DELETED
from integrations.hl7.fields import NUMBER
from integrations.hl7.findings import Finding
from integrations.hl7.reader import Message
from integrations.hl7.signs import Separators
from integrations.hl7.tables import ANY_SEGMENT, USUAL_VERSION, VERSIONS, Grammar, Rule

MOST = 100  # findings of one message
MOST_OF_A_FIELD = 5
LONGEST_REMEMBERED = 120  # characters of a field
LONGEST_LINE = 1_000
SHORTEST_STAMP = 8
ONES = str.maketrans("0123456789", "1111111111")  # any stamp is as right as another of its shape
OFFSET = r"(?:[+-]\d{4})?"
SHAPES = {
    "NM": ("a number", NUMBER),
    "SI": ("a sequence number", re.compile(r"[0-9]{1,9}")),
    "DT": ("a date", re.compile(r"\d{4}(?:\d\d(?:\d\d)?)?", re.ASCII)),
    "TM": ("a time", re.compile(rf"\d\d(?:\d\d(?:\d\d(?:\.\d{{1,4}})?)?)?{OFFSET}", re.ASCII)),
    "DTM": (
        "a time stamp",
        re.compile(rf"\d{{4}}(?:\d\d){{0,4}}(?:\d\d(?<=\d{{14}})(?:\.\d{{1,4}})?)?{OFFSET}", re.ASCII),
    ),
}
SHAPES["TS"] = SHAPES["DTM"]
OBSERVED = 5  # OBX-5: its type stands in OBX-2


def validate(message: Message) -> tuple[Finding, ...]:
    """Return what is not as the message's version wants it, at most `MOST`; places and shapes, never values.

    Checked: the order of segments (Z segments may stand anywhere), required and repeated fields, components that are
    required or too many, lengths where the tables have them, numbers and dates, codes of HL7's own tables.
    """
    return tuple(islice(_all(message), MOST))


def version_of(message: Message) -> tuple[str, list[Finding]]:
    """Return the version whose tables are used, and a finding when it is not the sender's."""
    version = message.head.component(12).strip()
    if version in VERSIONS:
        return version, []
    return USUAL_VERSION, [Finding("MSH", 1, 12, f"version not known; checked as {USUAL_VERSION}")]


def _all(message: Message) -> Iterator[Finding]:
    version, odd = version_of(message)
    yield from odd
    yield from _order(message, version)
    signs, stamp = message.separators, _usual_stamp(message)
    for name, number, line in message.parts:
        if name == "OBX":
            yield from _observation(number, line, signs, version, stamp)
        elif not name.startswith("Z"):
            yield from _segment(name, number, line, signs, version)


def _usual_stamp(message: Message) -> str:
    """Return the first OBX-14, if it is right: most reports repeat it in every OBX."""
    first = next((line for name, _, line in message.parts if name == "OBX"), "")
    stamp = [*first.split(message.separators.field, 15), *[""] * 15][14]
    return stamp if SHAPES["TS"][1].fullmatch(stamp) and len(stamp) >= SHORTEST_STAMP else ""


def _observation(number: int, line: str, signs: Separators, version: str, stamp: str) -> Sequence[Finding]:
    """Return what is wrong with an OBX; all but its value and its time stamp was mostly seen before."""
    parts = line.split(signs[0], 6)
    if len(parts) < 7 or len(line) > LONGEST_LINE or not (parts[5] and parts[1].isdecimal()):
        return _segment("OBX", number, line, signs, version)
    rest = parts[6].replace(stamp, stamp.translate(ONES)) if stamp else parts[6]
    found = _described((parts[2], parts[3], parts[4], rest), signs, version)
    raw = parts[OBSERVED]
    if found or parts[2] != "NM" or not NUMBER.fullmatch(raw):
        return [
            *(finding._replace(number=number) for finding in found),
            *(Finding("OBX", number, OBSERVED, problem) for problem in _observed(raw, parts, version, signs)),
        ]
    return ()


@functools.lru_cache(maxsize=4096)
def _described(sent: tuple[str, str, str, str], signs: Separators, version: str) -> tuple[Finding, ...]:
    """Return what is wrong with an OBX apart from its value."""
    value_type, code, sub_id, rest = sent
    line = signs.field.join(("OBX", "1", value_type, code, sub_id, "", rest))
    return tuple(one for one in _segment("OBX", 1, line, signs, version) if one.field != OBSERVED)


def _segment(name: str, number: int, line: str, signs: Separators, version: str) -> Sequence[Finding]:
    rules = tables.fields(version, name)
    if rules is None:
        return (Finding(name, number, 0, f"not a segment of version {version}"),)
    return [Finding(name, number, *found) for found in _fields(line, rules, signs, version)]


def _fields(line: str, rules: tuple[Rule, ...], signs: Separators, version: str) -> list[tuple[int, str]]:
    """Return what is wrong with the fields of one segment: which, and what."""
    sent = line.split(signs[0], len(rules) + 1)
    begins = 1
    if line.startswith("MSH"):  # MSH-1 and MSH-2 are the signs themselves
        sent.insert(1, "")
        begins = 3
    found: list[tuple[int, str]] = []
    for place in range(begins, len(rules) + 1):
        raw, rule = sent[place] if place < len(sent) else "", rules[place - 1]
        if not raw:
            if rule.least:
                found.append((place, "required, and empty"))
        elif rule.data_type == "varies":
            problems = _observed(raw, sent, version, signs) if place == OBSERVED and line.startswith("OBX") else ()
            found += [(place, problem) for problem in problems]
        else:
            known = rule.remembered and len(raw) <= LONGEST_REMEMBERED
            problems = checked_before(rule, raw, signs) if known else checked(rule, raw, signs)
            if problems:
                found += [(place, problem) for problem in problems]
    if any(part.strip(signs.field) for part in sent[len(rules) + 1 :]):
        found.append((len(rules) + 1, f"more fields than {len(rules)}"))
    return found


def _observed(raw: str, sent: list[str], version: str, signs: Separators) -> tuple[str, ...]:
    """Return what is wrong with OBX-5, by the type that OBX-2 names."""
    rule = tables.value(version, sent[2][:3]) if sent[2] else None
    return checked(rule, raw, signs) if rule else ()


def checked(rule: Rule, raw: str, signs: Separators) -> tuple[str, ...]:
    """Return what is wrong with one field, at most `MOST_OF_A_FIELD` problems."""
    if raw == DELETED:
        return ()
    repetitions = raw.split(signs.repetition, coded.MOST_PARTS) if signs.repetition in raw else [raw]
    problems: dict[str, None] = {}
    if -1 < rule.most < len(repetitions):
        problems[f"{len(repetitions)} repetitions, {rule.most} allowed"] = None
    for one in repetitions:
        problems.update(dict.fromkeys(_repetition(rule, one, signs)))
        if len(problems) >= MOST_OF_A_FIELD:
            break
    return tuple(islice(problems, MOST_OF_A_FIELD))


checked_before = functools.lru_cache(maxsize=16_384)(
    checked
)  # never of a patient's own segments, see `Rule.remembered`


def _repetition(rule: Rule, text: str, signs: Separators) -> Iterator[str]:
    if -1 < rule.longest < len(text):
        yield f"{len(text)} characters, {rule.longest} allowed"
    yield from _parts(rule, text, (signs.component, signs.subcomponent), signs.escape, "component")


def _parts(rule: Rule, text: str, divided_by: tuple[str, ...], escape: str, called: str) -> Iterator[str]:
    """Yield what is wrong with a field or component made of parts, each divided by the next sign."""
    if not rule.parts:
        yield from _primitive(rule, text, divided_by[0] if divided_by else "", escape, called)
        return
    if not divided_by:
        return
    parts = text.split(divided_by[0], coded.MOST_PARTS)
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) > len(rule.parts):
        yield f"{len(parts)} {called}s, a {rule.data_type} has {len(rule.parts)}"
    if parts and rule.codes is not None and parts[0] and escape not in parts[0] and parts[0] not in rule.codes:
        yield f"not in table {rule.table[3:]}: {len(parts[0])} characters"
    for place, inner in enumerate(rule.parts, start=1):
        part = parts[place - 1] if place <= len(parts) else ""
        if part and part != DELETED:
            for problem in _parts(inner, part, divided_by[1:], escape, "subcomponent"):
                yield f"{called} {place}: {problem}"
        elif inner.least and not part and parts:
            yield f"{called} {place}: required, and empty"


def _primitive(rule: Rule, text: str, sign: str, escape: str, called: str) -> Iterator[str]:
    """Yield what is wrong with a value that has no parts."""
    if sign and sign in text:
        if rule.data_type not in FREE:
            yield f"{text.count(sign) + 1} {called}s, a {rule.data_type} has 1"
        return
    if text == DELETED or escape in text:
        return
    shape = SHAPES.get(rule.data_type)
    if shape and not shape[1].fullmatch(text):
        yield f"not {shape[0]}: {len(text)} characters"
    elif rule.codes is not None and text not in rule.codes:
        yield f"not in table {rule.table[3:]}: {len(text)} characters"


FREE = frozenset({"TX", "FT", "varies", None})


def _order(message: Message, version: str) -> Iterator[Finding]:
    """Yield each segment that may not stand where it does, and whether the message ends too early."""
    structure, grammar = _structure(message, version)
    if grammar is None:
        yield Finding("MSH", 1, 9, f"no message of this type in version {version}")
        return
    state: frozenset[int] = frozenset((0,))
    for name, number, _ in message.parts:
        if name.startswith("Z"):
            continue
        after = _after(version, structure, state, name)
        if after:
            state = after
        else:
            yield Finding(name, number, 0, f"not expected here in {structure}{_wanted(grammar, state)}")
    if state.isdisjoint(grammar.last):
        yield Finding("MSH", 1, 0, f"ends too early for {structure}{_wanted(grammar, state)}")


def _structure(message: Message, version: str) -> tuple[str, Grammar | None]:
    """Return the structure that MSH-9 names, else the one of its message type and event."""
    code, trigger, named = (*message.head.components(9), "", "", "")[:3]
    for structure in (named, f"{code}_{trigger}", code):
        if len(structure) <= 7 and (grammar := tables.grammar(version, structure)):
            return structure, grammar
    return "", None


@functools.lru_cache(maxsize=8192)
def _after(version: str, structure: str, state: frozenset[int], name: str) -> frozenset[int]:
    """Return the places of the grammar that `name` leads to; none when it may not stand here."""
    grammar = tables.grammar(version, structure)
    if grammar is None:
        return frozenset()
    follow = {place for before in state for place in grammar.follow[before]}
    return frozenset(place for place in follow if grammar.names[place] in (name, ANY_SEGMENT))


def _wanted(grammar: Grammar, state: frozenset[int]) -> str:
    """Return which segments could stand next, if they are few."""
    names = sorted({grammar.names[place] for before in state for place in grammar.follow[before]})
    return f"; {' or '.join(names)} could" if 0 < len(names) <= 3 else ""
