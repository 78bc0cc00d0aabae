"""Reads what is inside of a transaction, with x12sdk; without it the counterpart could not pay a claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from x12sdk.io import X12ModelReader

from integrations.x12.counterpart.arrivals import Arrival, Unreadable

NOT_READ = (ValueError, KeyError, AttributeError, TypeError, IndexError)  # what the library raises, and it tells values


@dataclass(frozen=True, slots=True)
class SeenLine:
    procedure: tuple[str, ...]  # qualifier, code, modifiers
    charge: Decimal
    units: str
    date: str
    control_number: str  # REF*6R


@dataclass(frozen=True, slots=True)
class SeenClaim:
    """A claim as an independent reader sees it; people are shown by no `repr`."""

    number: str  # CLM01
    transaction: str  # ST02
    charge: Decimal
    frequency: str
    original_reference: str  # REF*F8
    sequence: str  # SBR01
    payer: tuple[str, str] = field(repr=False)  # name, identifier
    provider: tuple[str, str, str] = field(repr=False)  # name, NPI, tax number
    patient: tuple[str, str] = field(repr=False)  # last, first
    member_id: str = field(repr=False)
    place: str = "11"
    lines: tuple[SeenLine, ...] = ()

    @property
    def date(self) -> str:
        return self.lines[0].date if self.lines else ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a 270 or 276 asks about one person."""

    transaction: str
    trace: tuple[str, str]  # TRN02, TRN03
    payer: tuple[str, str] = field(repr=False)
    asker: tuple[str, str] = field(repr=False)  # who asks: name, identifier
    provider: tuple[str, str] = field(repr=False)
    subscriber: tuple[str, str, str] = field(repr=False)  # last, first, member id
    dependent: tuple[str, str] | None = field(default=None, repr=False)
    services: tuple[str, ...] = ()
    charge: Decimal | None = None
    payer_number: str = ""  # REF*1K of a 276
    account: str = ""  # REF*EJ of a 276


def claims(arrival: Arrival, number: str) -> list[SeenClaim]:
    """Return the claims of the 837 with this ST02. Raises Unreadable: x12sdk refuses it."""
    return [
        _claim(found, number, sequence, arrival.component_separator)
        for model in _models(arrival, number)
        if _code(model) == "837"
        for found, sequence in zip(model.claims(), _sequences(model), strict=True)
    ]


def questions(arrival: Arrival, number: str) -> list[Question]:
    """Return what the 270 or 276 with this ST02 asks. Raises Unreadable: x12sdk refuses it."""
    asked: list[Question] = []
    for model in _models(arrival, number):
        if _code(model) == "270":
            asked += [question for one in model.loop_2000a for question in _eligibility(one, number)]
        elif _code(model) == "276":
            asked += [_status(found, number) for found in model.claims()]
    return asked


def _models(arrival: Arrival, number: str) -> list[Any]:
    try:
        with X12ModelReader(_alone(arrival.text, number)) as reader:
            return list(reader.models())
    except NOT_READ:
        raise Unreadable("not what its version says") from None


def _alone(text: str, number: str) -> str:
    """Return the interchange with one transaction only: one that cannot be read must not hide its neighbours."""
    element, terminator = text[3], text[105]
    kept: list[str] = []
    is_wanted = True
    for segment in text.split(terminator):
        words = segment.strip().split(element)
        if words[0] == "ST":
            is_wanted = words[2] == number
        if is_wanted or words[0] in ("GS", "GE", "IEA"):
            kept.append(segment.strip())
        if words[0] == "SE":
            is_wanted = False
    return terminator.join([*kept, ""])


def _code(model: Any) -> str:
    return str(_text(model.header.st_segment.transaction_set_identifier_code))


def _claim(found: Any, transaction: str, sequence: str, separator: str) -> SeenClaim:
    place = [*str(found.claim.clm_segment.health_care_service_location_information).split(separator), "", ""]
    provider, payer = found.billing_provider, found.payer.nm1_segment
    return SeenClaim(
        number=found.patient_control_number,
        transaction=transaction,
        charge=Decimal(found.charge),
        frequency=place[2],
        original_reference=_reference(found.claim.ref_segment, "F8"),
        sequence=sequence,
        payer=(payer.name_last_or_organization_name or "", payer.identification_code or ""),
        provider=(
            found.billing_provider_name or "",
            found.billing_provider_npi or "",
            _reference(provider.ref_segment, "EI") or _reference(provider.ref_segment, "SY"),
        ),
        patient=(found.patient_name[0] or "", found.patient_name[1] or ""),
        member_id=found.member_id or "",
        place=place[0],
        lines=tuple(_line(line, separator) for line in found.service_lines),
    )


def _sequences(model: Any) -> Iterable[str]:
    """Yield SBR01 of each claim, in the order in which the library yields the claims."""
    for loop_2000a in model.loop_2000a:
        for loop_2000b in loop_2000a.loop_2000b:
            dependents = [loop_2000c.loop_2300 or [] for loop_2000c in loop_2000b.loop_2000c or []]
            count = len(loop_2000b.loop_2300 or []) + sum(len(claims) for claims in dependents)
            code = str(_text(loop_2000b.sbr_segment.payer_responsibility_code))
            yield from [code] * count


def _line(line: Any, separator: str) -> SeenLine:
    service = line.sv1_segment
    return SeenLine(
        procedure=tuple(str(service.product_service_id_qualifier).split(separator))[:6],
        charge=Decimal(service.line_item_charge_amount),
        units=str(service.service_unit_count),
        date=next((_day(date.date_time_period) for date in line.dtp_segment if date.date_time_qualifier == "472"), ""),
        control_number=_reference(line.ref_segment, "6R"),
    )


def _eligibility(loop_2000a: Any, transaction: str) -> Iterable[Question]:
    for loop_2000b in loop_2000a.loop_2000b:
        for loop_2000c in loop_2000b.loop_2000c:
            people = loop_2000c.loop_2000d or [None]
            for dependent in people:
                yield _asked(loop_2000a, loop_2000b, loop_2000c, dependent, transaction)


def _asked(loop_2000a: Any, loop_2000b: Any, loop_2000c: Any, dependent: Any, transaction: str) -> Question:
    subscriber, asker = loop_2000c.loop_2100c.nm1_segment, _party(loop_2000b.loop_2100b.nm1_segment)
    about = loop_2000c if dependent is None else dependent
    inquiries = loop_2000c.loop_2100c.loop_2110c if dependent is None else dependent.loop_2100d.loop_2110d
    traces = about.trn_segment or loop_2000c.trn_segment or []
    return Question(
        transaction=transaction,
        trace=(traces[0].reference_identification_1, traces[0].originating_company_identifier) if traces else ("", ""),
        payer=_party(loop_2000a.loop_2100a.nm1_segment),
        asker=asker,
        provider=asker,
        subscriber=(*_name(subscriber), subscriber.identification_code or ""),
        dependent=None if dependent is None else _name(dependent.loop_2100d.nm1_segment),
        services=tuple(
            str(_text(code))
            for inquiry in inquiries or []
            if inquiry.eq_segment is not None
            for code in inquiry.eq_segment.service_type_code or []
        ),
    )


def _status(found: Any, transaction: str) -> Question:
    subscriber = found.subscriber.nm1_segment
    references = found.status.ref_segment or []
    return Question(
        transaction=transaction,
        trace=(found.trace_number or "", ""),
        payer=_party(found.payer.nm1_segment),
        asker=_party(found.requester.nm1_segment),
        provider=_party(found.provider.nm1_segment if hasattr(found.provider, "nm1_segment") else found.provider[0]),
        subscriber=(*_name(subscriber), subscriber.identification_code or ""),
        dependent=_name(found.patient.nm1_segment) if found.is_dependent else None,
        charge=found.charge,
        payer_number=_reference(references, "1K"),
        account=_reference(references, "EJ"),
    )


def _party(segment: Any) -> tuple[str, str]:
    return segment.name_last_or_organization_name or "", segment.identification_code or ""


def _name(segment: Any) -> tuple[str, str]:
    return segment.name_last_or_organization_name or "", segment.name_first or ""


def _reference(segments: Iterable[Any] | None, qualifier: str) -> str:
    for segment in segments or ():
        if _text(segment.reference_identification_qualifier) == qualifier:
            return str(segment.reference_identification)
    return ""


def _text(value: Any) -> Any:
    """Return the code of an enumeration's member, everything else as it is."""
    return getattr(value, "value", value)


def _day(value: Any) -> str:
    """Return YYYYMMDD of a day or of a period's first day."""
    return value.strftime("%Y%m%d") if hasattr(value, "strftime") else str(value).split("-")[0].replace("/", "")[:8]
