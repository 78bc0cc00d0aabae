"""Reads the raw text of coded fields, names and lists into values: one implementation, remembered where it repeats.

Every function takes the field as sent, the sender's separators, and `decode`, which decodes escapes. `plain` is the
`decode` of a text without any; only such short texts may be remembered, see `Lines`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from integrations.hl7.records import Coded, Identifier
from integrations.hl7.signs import Separators

Decode = Callable[[str], str]

DELETED = '""'  # HL7's null: the sender wants the value empty
NO_CODE = Coded()
MOST_PARTS = 10_000  # repetitions, components or fields; what a hostile one has more stays together in the last
ORIGINAL_TEXT = 9  # component of CWE


def plain(text: str) -> str:
    return text


def kept(text: str) -> str:
    """Return `text` without blanks around it; HL7's null is empty."""
    stripped = text.strip()
    return "" if stripped == DELETED else stripped


def repetitions(raw: str, signs: Separators, decode: Decode = plain) -> list[list[str]]:
    """Return the components of each repetition, decoded; subcomponents stay together."""
    if not raw:
        return []
    if signs.component not in raw and signs.repetition not in raw:
        return [[decode(raw)]]
    whole = raw.split(signs.repetition, MOST_PARTS)
    return [[decode(part) for part in one.split(signs.component, MOST_PARTS)] for one in whole]


def components(raw: str, signs: Separators, decode: Decode = plain) -> list[str]:
    """Return the decoded components of the first repetition."""
    if not raw:
        return []
    first = raw.split(signs.repetition, 1)[0]
    return [decode(part) for part in first.split(signs.component, MOST_PARTS)]


def first(raw: str, signs: Separators, decode: Decode = plain) -> str:
    """Return the first component of the first repetition, without blanks."""
    if not raw:
        return ""
    if signs[2] in raw:
        raw = raw.partition(signs[2])[0]
    if signs[1] in raw:
        raw = raw.partition(signs[1])[0]
    text = raw.strip() if decode is plain else decode(raw).strip()
    return "" if text == DELETED else text


def coded(raw: str, signs: Separators, decode: Decode = plain) -> Coded:
    return code_of(components(raw, signs, decode)) if raw else NO_CODE


def code_of(parts: list[str]) -> Coded:
    return Coded(*[kept(part) for part in parts[:6]])


def label(parts: list[str]) -> str:
    """Return a coded value's text; the original text wins over nothing, the code is the last resort."""
    original = parts[ORIGINAL_TEXT - 1] if len(parts) >= ORIGINAL_TEXT else ""
    code = code_of(parts)
    return code.text or code.other_text or kept(original) or code.label


def several(raw: str, signs: Separators, decode: Decode = plain) -> tuple[Coded, ...]:
    """Return each repetition that says something as a code."""
    return tuple(code for parts in repetitions(raw, signs, decode) if (code := code_of(parts)).label)


def nested(part: str, signs: Separators, decode: Decode = plain) -> Coded:
    """Return the code in a component whose own parts are subcomponents."""
    return code_of([decode(sub) for sub in part.split(signs.subcomponent, MOST_PARTS)]) if part else NO_CODE


def identifiers(raw: str, signs: Separators, decode: Decode = plain) -> list[Identifier]:
    """Return each repetition of a CX: number, who gave it out (HD: a name, a universal id, or both), kind."""
    found = []
    for one in raw.split(signs.repetition, MOST_PARTS) if raw else ():
        value, *rest = one.split(signs.component, 6)
        if value := kept(decode(value)):
            authority, kind = ([*rest, "", "", "", ""])[2:4]
            name, _, other = authority.partition(signs.subcomponent)
            name, other = kept(decode(name)), kept(decode(other.partition(signs.subcomponent)[0])) if other else ""
            found.append(Identifier(value, name or other, kept(decode(kind)), other))
    return found


def person(raw: str, signs: Separators, decode: Decode = plain) -> Identifier | None:
    """Return a person's number with its authority and kind (XCN), as NPI."""
    if not raw:
        return None
    parts = [*raw.split(signs.repetition, 1)[0].split(signs.component, 20), *[""] * 13]
    value = kept(decode(parts[0]))
    names = [kept(decode(sub)) for sub in [*parts[8].split(signs.subcomponent, 3), ""][:2]]
    return Identifier(value, names[0], kept(decode(parts[12])), names[1]) if value else None


def described(
    sent: tuple[str, str, str, str, str, str], signs: Separators, decode: Decode = plain
) -> tuple[str, Coded, Coded, str, tuple[str, ...], str]:
    """Return OBX-2, OBX-3, OBX-6, OBX-7, OBX-8 and OBX-11, given as sent."""
    value_type, code, unit, span, flags, status = sent
    return (
        first(value_type, signs, decode).upper(),
        coded(code, signs, decode),
        coded(unit, signs, decode),
        kept(decode(span)),
        tuple(flag for parts in repetitions(flags, signs, decode) if (flag := kept(parts[0]).upper())),
        first(status, signs, decode).upper(),
    )


def performed(
    sent: tuple[str, str, str, str, str], signs: Separators, decode: Decode = plain
) -> tuple[str, Coded, Coded, str, str]:
    """Return OBX-13, OBX-15, OBX-17, OBX-23 and OBX-24, an address in one line, given as sent."""
    access, producer, method, performer, address = sent
    parts = [part for part in components(address, signs)[:6] if part.strip()]
    lines = [kept(decode(part.split(signs.subcomponent, 1)[0])) for part in parts]
    return (
        kept(decode(access)),
        coded(producer, signs, decode),
        coded(method, signs, decode),
        first(performer, signs, decode),
        ", ".join(lines),
    )


# A laboratory has a few hundred tests and says each of them every day in the same words.
described_before = functools.lru_cache(maxsize=8192)(described)
performed_before = functools.lru_cache(maxsize=512)(performed)
coded_before = functools.lru_cache(maxsize=2048)(coded)
person_before = functools.lru_cache(maxsize=2048)(person)
