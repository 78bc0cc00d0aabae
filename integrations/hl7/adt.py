"""Reads what another system says about who a patient is (ADT^A04, A08, A28, A31) and about merges (A40) into records.

Source: HL7 v2.5.1, chapter 3, 3.3 (events), 3.4.1 (EVN), 3.4.2 (PID), 3.4.9 (MRG); chapter 2A (CX, XAD, XPN, XTN).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from integrations.hl7 import coded
from integrations.hl7.coded import DELETED, kept
from integrations.hl7.converter import Converter
from integrations.hl7.findings import Finding
from integrations.hl7.reader import Message, Segment
from integrations.hl7.records import Identifier

UPDATES = frozenset({"A04", "A08", "A28", "A31"})
MERGES = frozenset({"A40"})
NET_KINDS = frozenset({"INTERNET", "X.400"})
MOST_CHANGES = 500  # of one message; far above any real one, and each costs several queries
ABSENT = frozenset({"", DELETED})
PHONE_SIGNS = re.compile(r"[0-9]")

Said = str | None  # None: nothing was said, it stays. "": it is to be emptied (HL7's null).


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """XAD. All empty: the address is to be emptied."""

    street: str = ""
    other: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Demographics:
    """PID. What is None was not said. phone and email as sent; sex: table 0001; language: PID-15 as sent."""

    identifiers: tuple[Identifier, ...]
    family: Said
    given: Said
    birth_date: date | None
    sex: Said
    address: Address | None
    phone: Said
    email: Said
    language: Said


@dataclass(frozen=True, slots=True, repr=False)
class Merged:
    """MRG: the record that goes away. The name is empty where the message has none."""

    identifiers: tuple[Identifier, ...]
    family: str
    given: str


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """One PID with the MRG after it, if there is one."""

    person: Demographics
    merged: Merged | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One message. as_of: when it was recorded (EVN-2), else when the message was made (MSH-7)."""

    trigger: str
    as_of: datetime | None
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def read(message: Message, *, default_tz: tzinfo) -> Event:
    """Return what `message` says. Never fails on what a field holds: what cannot be read is told in `findings`."""
    convert, changes = Converter(default_tz), list[Change]()
    event: Segment | None = None
    for segment in message.segments:
        if segment.name == "EVN":
            event = event or segment
        elif segment.name == "PID":
            if len(changes) == MOST_CHANGES:
                convert.found(("PID", segment.number, 0), f"only the first {MOST_CHANGES} patients are read")
                break
            changes.append(Change(_person(convert, segment)))
        elif segment.name == "MRG" and changes:
            changes[-1] = Change(changes[-1].person, _merged(segment))
    said = (kept(message.head.component(9, 2)) or (kept(event.component(1)) if event else "")).upper()
    recorded = _moment(convert, event, 2) if event else None
    as_of = recorded or _moment(convert, message.head, 7)
    return Event(said, as_of, tuple(changes), (*message.findings, *convert.findings))


def _moment(convert: Converter, segment: Segment, field: int) -> datetime | None:
    text = kept(segment.component(field))
    return convert.moment((segment.name, segment.number, field), text) if text else None


def _person(convert: Converter, pid: Segment) -> Demographics:
    names = _names(pid, 5)
    return Demographics(
        identifiers=_identifiers(pid, 3),
        family=_said(names[0]),
        given=_said(names[1]),
        birth_date=convert.day(("PID", pid.number, 7), kept(pid.component(7))),
        sex=_said(pid.component(8)),
        address=_address(pid),
        phone=_phone(pid),
        email=_email(pid),
        language=_said(pid.component(15)),
    )


def _merged(mrg: Segment) -> Merged:
    family, given = _names(mrg, 7)
    return Merged(_identifiers(mrg, 1), kept(family), kept(given))


def _said(text: str) -> Said:
    stripped = text.strip()
    return None if not stripped else kept(stripped)


def _names(segment: Segment, field: int) -> tuple[str, str]:
    """Return family and given name of the legal name, else of the first. HL7's null stays as it is."""
    repetitions = segment.repetitions(field)
    kinds = [[*parts, *[""] * 7][6].strip().upper() for parts in repetitions]
    place = kinds.index("L") if "L" in kinds else 0
    family = segment.subcomponents(field, 1, place + 1)
    given = repetitions[place][1] if repetitions and len(repetitions[place]) > 1 else ""
    whole_is_null = len(family) == 1 and family[0].strip() == DELETED
    return (family[0] if family else "", DELETED if whole_is_null and not given else given)


def _address(pid: Segment) -> Address | None:
    """Return PID-11: the home address where kinds are told, else the first. A null alone empties it."""
    repetitions = [[part.strip() for part in parts] for parts in pid.repetitions(11)]
    if not repetitions or not any(repetitions[0]):
        return None
    if repetitions[0][0] == DELETED and not any(repetitions[0][1:]):
        return Address()
    kinds = [[*parts, *[""] * 7][6].upper() for parts in repetitions]
    place = kinds.index("H") if "H" in kinds else 0
    street = pid.subcomponents(11, 1, place + 1)
    parts = [kept(part) for part in [*repetitions[place], *[""] * 6][:6]]
    return Address(kept(street[0] if street else ""), *parts[1:])


def _phone(pid: Segment) -> Said:
    """Return PID-13's first number, else PID-14's, as sent. Source: XTN.1, or XTN.5 to XTN.7 and XTN.12 from 2.3 on."""
    for field in (13, 14):
        for parts in pid.repetitions(field):
            if (found := _number(parts)) is not None:
                return found
    return None


def _number(parts: list[str]) -> Said:
    part = [one.strip() for one in [*parts, *[""] * 12][:12]]
    if part[0] == DELETED and not any(part[3:]):
        return ""
    if part[2].upper() in NET_KINDS or part[1].upper() == "NET":
        return None
    if part[11] not in ABSENT:
        return part[11]
    if part[0] not in ABSENT and PHONE_SIGNS.search(part[0]):
        return part[0]
    if part[6] not in ABSENT:
        country = f"+{part[4]}" if part[4] not in ABSENT else ""
        return country + (part[5] if part[5] not in ABSENT else "") + part[6]
    return None


def _email(pid: Segment) -> Said:
    """Return the first e-mail address of PID-13 or PID-14. A repetition of the kind NET with a null empties it."""
    for field in (13, 14):
        for parts in pid.repetitions(field):
            part = [one.strip() for one in [*parts, *[""] * 4][:4]]
            if part[3] == DELETED or (part[0] == DELETED and part[1].upper() == "NET"):
                return ""
            if part[3] and (part[2].upper() in NET_KINDS or "@" in part[3]):
                return part[3]
            if part[1].upper() == "NET" and "@" in part[0]:
                return part[0]
    return None


def _identifiers(segment: Segment, field: int) -> tuple[Identifier, ...]:
    message = segment.message
    return tuple(coded.identifiers(segment.raw(field), message.separators, message.decode))
