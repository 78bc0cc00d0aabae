"""HL7 reports in the clinic's words: `integrations.hl7` to `backend.apps.laboratory.reports`. Pure; no clock, no rows.

Source: HL7 v2.5.1, tables 0085 (observation status), 0123 (order status) and 0078 (abnormal flags).
"""

from __future__ import annotations

from decimal import Decimal

from backend.apps.laboratory.reports import ObservationIn, OrderIn, PatientIn, ReportIn
from integrations.hl7 import records

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
    "L": "low",
    "<": "low",
    "HH": "critical_high",
    "LL": "critical_low",
    "A": "abnormal",
    "AA": "abnormal",
}
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


def patient(sent: records.Patient) -> PatientIn:
    return PatientIn(
        identifiers=tuple((each.value, each.authority) for each in sent.identifiers),
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
        status=status,
        observed_at=sent.collected_at,
        reported_at=sent.reported_at,
        observations=tuple(observation(each, status) for each in sent.observations if not restates(each)),
    )


def observation(sent: records.Observation, order_status: str) -> ObservationIn:
    """Return one observation; without a status of its own it has its order's, else it is final."""
    return ObservationIn(
        code=sent.code.code,
        value=sent.text,
        text=sent.code.label,
        system=sent.code.system,
        sub_id=sent.sub_id,
        value_type=sent.value_type,
        numeric=numeric(sent),
        unit=sent.unit.code or sent.unit.text,
        range=sent.reference_range,
        flag=min((FLAGS[flag] for flag in sent.flags if flag in FLAGS), key=WORST_FIRST.index, default=""),
        critical="AA" in sent.flags,
        status=OBSERVATION_STATUS.get(sent.status, order_status or "final"),
        observed_at=sent.observed_at,
        notes="\n".join(sent.notes),
        index=sent.number,
    )


def restates(sent: records.Observation) -> bool:
    """Whether this only says that a preliminary value, not sent again, is final now (OBX-11 U)."""
    return sent.status == "U" and not any(sent.values) and sent.document is None


def finals_without_value(report: records.Report) -> bool:
    """Whether a person has to look because a result became final without its value."""
    return any(restates(each) for group in report.results for order in group.orders for each in order.observations)


def numeric(sent: records.Observation) -> Decimal | None:
    """Return the value where it is exactly one number: "<5" and ranges stay text."""
    one = sent.measured
    if one is None or len(sent.values) > 1 or one.comparator or one.separator:
        return None
    return one.number
