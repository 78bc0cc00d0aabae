"""Turns single PID, ORC, OBR, TQ1 and SPM segments into records; what cannot be read is told and costs only itself.

Source: HL7 v2.5.1, chapter 3, 3.4.2 (PID); chapter 4, 4.5.1 (ORC), 4.5.4 (TQ1); chapter 7, 7.4.1 (OBR), 7.4.3 (SPM).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from integrations.hl7 import coded
from integrations.hl7.coded import Decode, first, identifiers, kept
from integrations.hl7.converter import Converter
from integrations.hl7.reader import Segment
from integrations.hl7.records import Coded, Identifier, Observation, Order, Parent, Patient, Specimen
from integrations.hl7.signs import Separators

PRIORITY = 6  # component of TQ (OBR-27, ORC-7)
LONGEST_REMEMBERED = 300  # characters of a field


def patient(convert: Converter, pid: Segment) -> Patient:
    signs, decode, field = pid.message.separators, pid.message.decode, pid.filled(18)
    names = [*field[5].partition(signs.repetition)[0].split(signs.component, 3), "", "", ""][:3]
    family, given, middle = [kept(decode(name.partition(signs.subcomponent)[0])) for name in names]
    known = identifiers(field[3], signs, decode) or identifiers(field[2], signs, decode)
    accounts = identifiers(field[18], signs, decode)
    return Patient(
        tuple(known or identifiers(field[4], signs, decode)),
        family,
        given,
        middle,
        convert.day(("PID", pid.number, 7), first(field[7], signs, decode)),
        first(field[8], signs, decode).upper(),
        accounts[0] if accounts else None,
    )


def order(
    convert: Converter,
    obr: Segment | None,
    orc: Segment | None,
    *,
    timing: Segment | None = None,
    specimens: Sequence[Segment] = (),
    notes: tuple[str, ...] = (),
    observations: tuple[Observation, ...] = (),
) -> Order:
    """Return the order an OBR reports; its numbers may stand in the ORC only, and either may be missing."""
    common = NO_COMMON if orc is None else _common(orc)
    found = tuple([specimen(convert, each) for each in specimens]) if specimens else ()
    if obr is None:
        return Order(*common[:4], provider=common.provider, priority=common.priority)._replace(
            notes=notes, observations=observations, specimens=found
        )
    signs, decode, field = obr.message.separators, obr.message.decode, obr.filled(29)
    number = obr.number
    collected_at = convert.stamp(("OBR", number, 7), field[7], signs, decode)
    until = convert.stamp(("OBR", number, 8), field[8], signs, decode)
    received_at = convert.stamp(("OBR", number, 14), field[14], signs, decode)
    reported_at = convert.stamp(("OBR", number, 22), field[22], signs, decode)
    sent = Order(
        first(field[2], signs, decode) or common.placer,
        first(field[3], signs, decode) or common.filler,
        common.group,
        common.control,
        _coded(field[4], signs, decode),
        first(field[25], signs, decode).upper(),
        collected_at,
        received_at,
        reported_at,
        _person(field[16], signs, decode) or common.provider,
        notes,
        observations,
        number,
        until,
        first(field[11], signs, decode),
        _priority(field, signs, decode, timing) or common.priority,
        _parent(obr) if field[26] or field[29] else None,
        found,
    )
    whole = sent._replace(specimens=_older_specimen(obr, sent)) if field[15] and not found else sent
    obr.release()
    return whole


class Common(NamedTuple):
    """What an ORC tells of its order."""

    placer: str = ""
    filler: str = ""
    group: str = ""
    control: str = ""
    provider: Identifier | None = None
    priority: str = ""


NO_COMMON = Common()


def _common(orc: Segment) -> Common:
    signs, decode, field = orc.message.separators, orc.message.decode, orc.filled(12)
    return Common(
        first(field[2], signs, decode),
        first(field[3], signs, decode),
        first(field[4], signs, decode),
        first(field[1], signs, decode),
        _person(field[12], signs, decode),
        kept([*coded.components(field[7], signs, decode), *[""] * PRIORITY][PRIORITY - 1]) if field[7] else "",
    )


def specimen(convert: Converter, spm: Segment) -> Specimen:
    signs, decode, field = spm.message.separators, spm.message.decode, spm.filled(24)
    since, until = [*field[17].partition(signs.repetition)[0].split(signs.component, 2), ""][:2]
    found = Specimen(
        segment=(spm.name, spm.number),
        placer=_inner(spm, 2, 1),
        filler=_inner(spm, 2, 2),
        kind=_coded(field[4], signs, decode),
        method=_coded(field[7], signs, decode),
        site=_coded(field[8], signs, decode),
        description=first(field[14], signs, decode),
        collected_at=convert.stamp(("SPM", spm.number, 17), since, signs, decode),
        collected_until=convert.stamp(("SPM", spm.number, 17), until, signs, decode),
        received_at=convert.stamp(("SPM", spm.number, 18), field[18], signs, decode),
        rejected=coded.several(field[21], signs, decode),
        conditions=coded.several(field[24], signs, decode),
    )
    spm.release()
    return found


def _older_specimen(obr: Segment, sent: Order) -> tuple[Specimen, ...]:
    """Return OBR-15, the specimen of versions before 2.5: source, text and site are codes in subcomponents."""
    kind, site = _nested(obr, 15, 1), _nested(obr, 15, 4)
    text = kept(obr.component(15, 3))
    if not (kind.label or site.label or text):
        return ()
    return (
        Specimen(
            segment=(obr.name, obr.number),
            kind=kind,
            site=site,
            description=text,
            collected_at=sent.collected_at,
            collected_until=sent.collected_until,
            received_at=sent.received_at,
        ),
    )


def _priority(field: list[str], signs: Separators, decode: Decode, timing: Segment | None) -> str:
    """Return how urgent the order is, as sent: TQ1-9, else OBR-27, else OBR-5."""
    urgent = kept(timing.component(9)) if timing else ""
    if not urgent and field[27]:
        urgent = kept([*coded.components(field[27], signs, decode), *[""] * PRIORITY][PRIORITY - 1])
    return urgent or first(field[5], signs, decode)


def _parent(obr: Segment) -> Parent | None:
    found = Parent(
        placer=_inner(obr, 29, 1),
        filler=_inner(obr, 29, 2),
        code=_nested(obr, 26, 1),
        sub_id=kept(obr.component(26, 2)),
        value=kept(obr.component(26, 3)),
    )
    return found if any(found[:2]) or any(found.code) or any(found[3:]) else None


def _coded(raw: str, signs: Separators, decode: Decode) -> Coded:
    """Return a code; one without escapes is remembered, as a laboratory says the same few again and again."""
    return coded.coded_before(raw, signs) if _is_simple(raw, signs) else coded.coded(raw, signs, decode)


def _person(raw: str, signs: Separators, decode: Decode) -> Identifier | None:
    return coded.person_before(raw, signs) if _is_simple(raw, signs) else coded.person(raw, signs, decode)


def _is_simple(raw: str, signs: Separators) -> bool:
    return len(raw) < LONGEST_REMEMBERED and signs.escape not in raw and "\0" not in raw


def _nested(segment: Segment, number: int, component: int) -> Coded:
    return coded.code_of(segment.subcomponents(number, component))


def _inner(segment: Segment, number: int, component: int) -> str:
    """Return the first subcomponent of a component."""
    found = segment.subcomponents(number, component)
    return kept(found[0]) if found else ""
