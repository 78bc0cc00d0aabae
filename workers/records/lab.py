"""HL7 reports in the clinic's words: `integrations.hl7` to `backend.apps.laboratory.reports`. Pure; no clock, no rows.

Source: HL7 v2.5.1, tables 0085 (observation status), 0123 (order status) and 0078 (abnormal flags).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from decimal import Decimal

from backend.apps.core.documents import LARGEST, kind_of
from backend.apps.laboratory.reports import (
    DocumentIn,
    ObservationIn,
    OrderIn,
    ParentIn,
    PatientIn,
    ReportIn,
    SpecimenIn,
)
from integrations.hl7 import records
from integrations.hl7.fields import BadField
from integrations.hl7.findings import Finding

OBSERVATION_STATUS = {
    "F": "final",
    "U": "final",
    "C": "corrected",
    "P": "preliminary",
    "R": "preliminary",
    "S": "preliminary",
    "I": "pending",
    "O": "pending",
    "D": "cancelled",
    "W": "cancelled",
    "X": "cancelled",
}
ORDER_STATUS = {
    "F": "final",
    "C": "corrected",
    "P": "preliminary",
    "A": "preliminary",
    "R": "preliminary",
    "I": "pending",
    "O": "pending",
    "S": "pending",
    "X": "cancelled",
}
FLAGS = {
    "N": "normal",
    "H": "high",
    ">": "high",
    "HU": "high",
    "HX": "high",
    "L": "low",
    "<": "low",
    "LU": "low",
    "LX": "low",
    "HH": "critical_high",
    "H*": "critical_high",
    "LL": "critical_low",
    "L*": "critical_low",
    "A": "abnormal",
    "AA": "abnormal",
    "A*": "abnormal",
    "POS": "abnormal",
    "DET": "abnormal",
    "RR": "abnormal",
    "WR": "abnormal",
}
VERY_ABNORMAL = {"AA", "A*"}
SUSCEPTIBILITY = {  # no abnormality of the patient's; said in words
    "S": "Susceptible",
    "SDD": "Susceptible, dose dependent",
    "I": "Intermediate",
    "R": "Resistant",
    "MS": "Moderately susceptible",
    "VS": "Very susceptible",
    "NS": "Not susceptible",
}
PRIORITY = {"S": "stat", "STAT": "stat", "T": "stat", "A": "urgent", "UR": "urgent", "ASAP": "urgent", "R": "routine"}
NOT_OURS = {"SS", "DL", "PPN", "AN", "VN", "CC", "NPI"}  # table 0203: numbers that are never a record number
AS_TEXT = {"A", ""}  # table 0299: the document is plain text
WORST_FIRST = ("critical_high", "critical_low", "high", "low", "abnormal", "normal")


def reports(report: records.Report) -> list[ReportIn]:
    """Return one report per patient of the message, in its order."""
    return [
        ReportIn(
            patient=patient(group.patient),
            orders=tuple(order(each) for each in group.orders),
            sent_at=report.sent_at,
        )
        for group in report.results
    ]


def findings(reports: list[ReportIn]) -> list[Finding]:
    """Return what is odd about documents that came inside the message."""
    return [
        Finding("OBX", each.index, 5, f"a document that could not be kept: {each.document.problem}")
        for report in reports
        for order in report.orders
        for each in order.observations
        if each.document is not None and each.document.problem
    ]


def numbers(identifiers: Iterable[records.Identifier]) -> tuple[tuple[str, str], ...]:
    """Return those that may be a record number, each with who gave it out."""
    return tuple((each.value, each.authority) for each in identifiers if each.kind not in NOT_OURS)


def patient(sent: records.Patient) -> PatientIn:
    return PatientIn(
        identifiers=numbers(sent.identifiers),
        family_name=sent.family,
        given_name=sent.given,
        birth_date=sent.birth_date,
        sex=sent.sex,
    )


def order(sent: records.Order) -> OrderIn:
    status = ORDER_STATUS.get(sent.status, "")
    return OrderIn(
        placer=sent.placer,
        filler=sent.filler,
        code=sent.service.code,
        text=sent.service.label,
        system=sent.service.system,
        other_code=sent.service.other_code,
        other_system=sent.service.other_system,
        status=status,
        observed_at=sent.collected_at,
        reported_at=sent.reported_at,
        priority=PRIORITY.get(sent.priority.strip().upper(), ""),
        index=sent.number,
        observations=tuple([observation(each, status) for each in sent.observations]),
        specimens=tuple([specimen(each) for each in sent.specimens]),
        parent=parent(sent.parent),
    )


def observation(sent: records.Observation, order_status: str) -> ObservationIn:
    """Return one observation; without a status of its own it has its order's, else it is final."""
    asked, found, circumstances = sent.asked, sent.value, sent.circumstances
    code, flags = asked.code, asked.flags
    document = None if found.document is None or found.document.encoding.upper() in AS_TEXT else found.document
    value = found.document.data if found.document and document is None else sent.text
    return ObservationIn(
        code=code.code,
        value=value,
        text=code.label,
        system=code.system,
        other_code=code.other_code,
        other_text=code.other_text,
        other_system=code.other_system,
        sub_id=asked.sub_id,
        value_type=asked.value_type,
        numeric=numeric(found) if found.measured is not None else None,
        unit=asked.unit.code or asked.unit.text,
        range=asked.reference_range,
        flag=abnormality(flags) if flags else "",
        critical=bool(flags) and not VERY_ABNORMAL.isdisjoint(flags),
        flags=" ".join(flags),
        status=OBSERVATION_STATUS.get(circumstances.status, order_status or "final"),
        observed_at=circumstances.observed_at,
        notes="\n".join([*(SUSCEPTIBILITY[flag] for flag in flags if flag in SUSCEPTIBILITY), *sent.notes]),
        index=sent.number,
        restates=circumstances.status == "U" and found.document is None and not any(found.values),
        document=document and _document(document),
    )


def abnormality(flags: tuple[str, ...]) -> str:
    """Return the worst of what was flagged; empty when that says nothing of an abnormality."""
    return min((FLAGS[flag] for flag in flags if flag in FLAGS), key=WORST_FIRST.index, default="")


def _document(sent: records.Document) -> DocumentIn:
    try:
        content = sent.content()
    except BadField as error:
        return DocumentIn(problem=f"{str(error)[:1].upper()}{str(error)[1:]}.", kind=sent.subtype)
    if len(content) > LARGEST:
        return DocumentIn(problem="Larger than 10 MB.", kind=sent.subtype)
    if kind_of(io.BytesIO(content)) is None:
        return DocumentIn(problem="No PDF, PNG or JPEG file.", kind=sent.subtype)
    return DocumentIn(content, kind=sent.subtype)


def specimen(sent: records.Specimen) -> SpecimenIn:
    return SpecimenIn(
        specimen_id=sent.filler or sent.placer,
        code=sent.kind.code,
        text=sent.kind.label,
        system=sent.kind.system,
        site=sent.site.label,
        description=sent.description,
        collected_at=sent.collected_at,
        collected_until=sent.collected_until,
        received_at=sent.received_at,
        condition=", ".join(each.label for each in sent.conditions),
        reject_reason=", ".join(each.label for each in sent.rejected),
    )


def parent(sent: records.Parent | None) -> ParentIn | None:
    """Return the finding that led to an order, if the message names both its panel and its code."""
    if sent is None:
        return None
    number, code = sent.filler or sent.placer, sent.code.code or sent.code.label
    return ParentIn(number, code, sent.sub_id) if number and code else None


def numeric(sent: records.Value) -> Decimal | None:
    """Return the value where it is exactly one number: "<5" and ranges stay text."""
    one = sent.measured
    if one is None or len(sent.values) > 1 or one.comparator or one.separator:
        return None
    return one.number
