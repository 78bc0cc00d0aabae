"""Turns single PID, ORC, OBR, TQ1 and SPM segments into records; what cannot be read is told and costs only itself.

Source: HL7 v2.5.1, chapter 3, 3.4.2 (PID); chapter 4, 4.5.1 (ORC), 4.5.4 (TQ1); chapter 7, 7.4.1 (OBR), 7.4.3 (SPM).
"""

from __future__ import annotations

from collections.abc import Sequence

from integrations.hl7 import coded
from integrations.hl7.coded import kept
from integrations.hl7.converter import Converter
from integrations.hl7.reader import Segment
from integrations.hl7.records import Coded, Identifier, Observation, Order, Parent, Patient, Specimen

PRIORITY = 6  # component of TQ (OBR-27, ORC-7)
NO_ORDER = Order()


def patient(convert: Converter, pid: Segment) -> Patient:
    names = pid.subcomponents(5, 1)
    accounts = _identifiers(pid, 18)
    return Patient(
        identifiers=tuple(_identifiers(pid, 3) or _identifiers(pid, 2) or _identifiers(pid, 4)),
        family=kept(names[0] if names else ""),
        given=kept(pid.component(5, 2)),
        middle=kept(pid.component(5, 3)),
        birth_date=convert.day(pid, 7),
        sex=kept(pid.component(8)).upper(),
        account=accounts[0] if accounts else None,
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
    common = NO_ORDER if orc is None else _common(orc)
    found = tuple(specimen(convert, each) for each in specimens)
    if obr is None:
        return common._replace(notes=notes, observations=observations, specimens=found)
    collected_at, received_at = convert.moment(obr, 7), convert.moment(obr, 14)
    sent = Order(
        placer=kept(obr.component(2)) or common.placer,
        filler=kept(obr.component(3)) or common.filler,
        group=common.group,
        control=common.control,
        service=_coded(obr, 4),
        status=kept(obr.component(25)).upper(),
        collected_at=collected_at,
        received_at=received_at,
        reported_at=convert.moment(obr, 22),
        provider=_person(obr, 16) or common.provider,
        notes=notes,
        observations=observations,
        number=obr.number,
        collected_until=convert.moment(obr, 8),
        action=kept(obr.component(11)),
        priority=_priority(obr, timing) or common.priority,
        parent=_parent(obr),
        specimens=found,
    )
    return sent if found else sent._replace(specimens=_older_specimen(obr, sent))


def _common(orc: Segment) -> Order:
    """Return what an ORC tells of its order."""
    return Order(
        placer=kept(orc.component(2)),
        filler=kept(orc.component(3)),
        group=kept(orc.component(4)),
        control=kept(orc.component(1)),
        provider=_person(orc, 12),
        priority=kept(orc.component(7, PRIORITY)),
    )


def specimen(convert: Converter, spm: Segment) -> Specimen:
    signs, decode = spm.message.separators, spm.message.unescape
    return Specimen(
        segment=(spm.name, spm.number),
        placer=_inner(spm, 2, 1),
        filler=_inner(spm, 2, 2),
        kind=_coded(spm, 4),
        method=_coded(spm, 7),
        site=_coded(spm, 8),
        description=kept(spm.component(14)),
        collected_at=convert.moment(spm, 17, 1),
        collected_until=convert.moment(spm, 17, 2),
        received_at=convert.moment(spm, 18),
        rejected=coded.several(spm.raw(21), signs, decode),
        conditions=coded.several(spm.raw(24), signs, decode),
    )


def _older_specimen(obr: Segment, sent: Order) -> tuple[Specimen, ...]:
    """Return OBR-15, the specimen of versions before 2.5: source, text and site are codes in subcomponents."""
    if not obr.raw(15):
        return ()
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


def _priority(obr: Segment, timing: Segment | None) -> str:
    """Return how urgent the order is, as sent: TQ1-9, else OBR-27, else OBR-5."""
    urgent = kept(timing.component(9)) if timing else ""
    return urgent or kept(obr.component(27, PRIORITY)) or kept(obr.component(5))


def _parent(obr: Segment) -> Parent | None:
    if not (obr.raw(26) or obr.raw(29)):
        return None
    found = Parent(
        placer=_inner(obr, 29, 1),
        filler=_inner(obr, 29, 2),
        code=_nested(obr, 26, 1),
        sub_id=kept(obr.component(26, 2)),
        value=kept(obr.component(26, 3)),
    )
    return found if any(found[:2]) or any(found.code) or any(found[3:]) else None


def _coded(segment: Segment, number: int) -> Coded:
    return coded.coded(segment.raw(number), segment.message.separators, segment.message.unescape)


def _nested(segment: Segment, number: int, component: int) -> Coded:
    return coded.code_of(segment.subcomponents(number, component))


def _inner(segment: Segment, number: int, component: int) -> str:
    """Return the first subcomponent of a component."""
    found = segment.subcomponents(number, component)
    return kept(found[0]) if found else ""


def _identifiers(pid: Segment, number: int) -> list[Identifier]:
    return coded.identifiers(pid.raw(number), pid.message.separators, pid.message.unescape)


def _person(segment: Segment, number: int) -> Identifier | None:
    return coded.person(segment.raw(number), segment.message.separators, segment.message.unescape)
