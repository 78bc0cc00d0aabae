"""Turns single PID, ORC, OBR and OBX segments into records, noting each field that could not be understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from typing import TypeVar

from integrations.hl7 import fields
from integrations.hl7.fields import BadField, Measured
from integrations.hl7.reader import Finding, Segment
from integrations.hl7.records import Coded, Document, Identifier, Observation, Order, Patient

Value = TypeVar("Value")

DELETED = '""'  # HL7's null: the sender wants the value empty
NO_CODE = Coded()
CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
FORMATTED = frozenset({"TX", "FT"})  # blanks before a line and blank lines are its layout
NUMERIC = frozenset({"NM", "SN"})
ORIGINAL_TEXT = 9  # component of CWE


@dataclass
class Converter:
    """default_tz: the sender's zone. `findings` grows with every field that could not be read."""

    default_tz: tzinfo
    findings: list[Finding] = field(default_factory=list)

    def patient(self, pid: Segment) -> Patient:
        names = pid.subcomponents(5, 1)
        return Patient(
            identifiers=tuple(_identifiers(pid)),
            family=_kept(names[0] if names else ""),
            given=_kept(pid.component(5, 2)),
            middle=_kept(pid.component(5, 3)),
            birth_date=self.day(pid, 7),
            sex=_kept(pid.component(8)).upper(),
        )

    def order(
        self,
        obr: Segment | None,
        orc: Segment | None,
        *,
        notes: tuple[str, ...] = (),
        observations: tuple[Observation, ...] = (),
    ) -> Order:
        """Return the order an OBR reports; its numbers may stand in the ORC only, and either may be missing."""
        common = Order() if orc is None else _common(orc)
        if obr is None:
            return replace(common, notes=notes, observations=observations)
        return Order(
            placer=_kept(obr.component(2)) or common.placer,
            filler=_kept(obr.component(3)) or common.filler,
            group=common.group,
            control=common.control,
            service=_coded(obr.components(4)),
            status=_kept(obr.component(25)).upper(),
            collected_at=self.moment(obr, 7),
            received_at=self.moment(obr, 14),
            reported_at=self.moment(obr, 22),
            provider=_provider(obr, 16) or common.provider,
            notes=notes,
            observations=observations,
        )

    def observation(self, obx: Segment, notes: tuple[str, ...] = ()) -> Observation:
        value_type = obx.component(2).strip().upper()
        code = _coded(obx.components(3))
        if not code.label:
            self._found(obx, 3, "no code")
        status = _kept(obx.component(11)).upper()
        if not status:
            self._found(obx, 11, "no status")
        return Observation(
            number=obx.number,
            value_type=value_type,
            code=code,
            sub_id=_kept(obx.text(4)),
            values=tuple(_values(obx, value_type)),
            coded=_coded(obx.components(5)) if value_type in CODED else None,
            measured=self._measured(obx, value_type),
            document=_document(obx) if value_type == "ED" else None,
            unit=_coded(obx.components(6)),
            reference_range=_kept(obx.text(7)),
            flags=tuple(flag for parts in obx.repetitions(8) if (flag := _kept(parts[0]).upper())),
            status=status,
            observed_at=self.moment(obx, 14),
            notes=notes,
        )

    def _measured(self, obx: Segment, value_type: str) -> Measured | None:
        """Return the number of a numeric observation; None with a finding when it is none."""
        if value_type not in NUMERIC or _kept(obx.raw(5)) == "":
            return None
        parts = obx.components(5)
        try:
            return fields.structured(parts) if value_type == "SN" else fields.measured(_first_filled(parts))
        except BadField as error:
            self._found(obx, 5, str(error))
            return None

    def moment(self, segment: Segment, number: int) -> datetime | None:
        return self._read(segment, number, lambda text: fields.moment(text, default_tz=self.default_tz))

    def day(self, segment: Segment, number: int) -> date | None:
        return self._read(segment, number, fields.day)

    def _read(self, segment: Segment, number: int, convert: Callable[[str], Value]) -> Value | None:
        """Return a field converted; None when it is empty, None with a finding when it cannot be read."""
        text = _kept(segment.component(number))
        if not text:
            return None
        try:
            return convert(text)
        except BadField as error:
            self._found(segment, number, str(error))
            return None

    def _found(self, segment: Segment, number: int, message: str) -> None:
        self.findings.append(Finding(segment.name, segment.number, number, message))


def _kept(text: str) -> str:
    """Return `text` without blanks around it; HL7's null is empty."""
    stripped = text.strip()
    return "" if stripped == DELETED else stripped


def _common(orc: Segment) -> Order:
    """Return what an ORC tells of its order."""
    return Order(
        placer=_kept(orc.component(2)),
        filler=_kept(orc.component(3)),
        group=_kept(orc.component(4)),
        control=_kept(orc.component(1)),
        provider=_provider(orc, 12),
    )


def _coded(components: list[str]) -> Coded:
    return Coded(*[_kept(part) for part in components[:6]]) if components else NO_CODE


def _first_filled(parts: list[str]) -> str:
    """Return the first component that says something: some analysers write "^12.3"."""
    return next((part for part in parts if part.strip()), "")


def _identifiers(pid: Segment) -> list[Identifier]:
    """Return PID-3, or the older PID-2 and PID-4 when it is empty."""
    for number in (3, 2, 4):
        found = [
            Identifier(value, _authority(pid, number, place), _kept((parts + [""] * 5)[4]))
            for place, parts in enumerate(pid.repetitions(number), start=1)
            if (value := _kept(parts[0]))
        ]
        if found:
            return found
    return []


def _authority(segment: Segment, number: int, repetition: int) -> str:
    """Return who gave the identifier out (HD): its name, else its universal id."""
    parts = segment.subcomponents(number, 4, repetition)
    return next((kept for part in parts[:2] if (kept := _kept(part))), "")


def _provider(segment: Segment, number: int) -> Identifier | None:
    """Return the ordering provider's number with its authority and kind (XCN), as NPI."""
    parts = [*segment.components(number), *[""] * 13]
    value = _kept(parts[0])
    names = segment.subcomponents(number, 9)
    return Identifier(value, _kept(names[0] if names else ""), _kept(parts[12])) if value else None


def _values(obx: Segment, value_type: str) -> list[str]:
    """Return each repetition of OBX-5 as a person would read it."""
    if value_type == "ED":
        return []
    if value_type in CODED:
        return [text for parts in obx.repetitions(5) if (text := _label(parts))]
    if value_type == "SN":
        return [text for parts in obx.repetitions(5) if (text := "".join(part.strip() for part in parts))]
    lines = [_line(parts, obx.component_sign) for parts in obx.repetitions(5)]
    if value_type not in FORMATTED:
        lines = [line.strip() for line in lines]
    return lines if any(lines) else []


def _line(parts: list[str], sign: str) -> str:
    """Return a text that should have no components whole again; some analysers write "^12.3" or "NEGATIVE^"."""
    text = sign.join(parts[_leading_blanks(parts) : len(parts) - _leading_blanks(parts[::-1])]).rstrip()
    return "" if text == DELETED else text


def _leading_blanks(parts: list[str]) -> int:
    return next((place for place, part in enumerate(parts) if part), len(parts))


def _label(parts: list[str]) -> str:
    """Return a coded value's text; the original text wins over nothing, the code is the last resort."""
    original = parts[ORIGINAL_TEXT - 1] if len(parts) >= ORIGINAL_TEXT else ""
    coded = _coded(parts)
    return coded.text or coded.other_text or _kept(original) or coded.label


def _document(obx: Segment) -> Document:
    """Return an ED value. Source: HL7 v2.5.1, chapter 2A, data type ED."""
    parts = [*obx.components(5), "", "", "", "", ""]
    return Document(kind=_kept(parts[1]), subtype=_kept(parts[2]), encoding=_kept(parts[3]), data=parts[4])
