"""Makes result versions of what was observed; without this filing would have to know every kind of value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any
from uuid import UUID

from backend.apps.core.bases import uuid7
from backend.apps.laboratory import attachments, ucum
from backend.apps.laboratory.codes import Codes
from backend.apps.laboratory.models import AbnormalFlag, InboundMessage, LabResult, ReportedPanel, ResultStatus
from backend.apps.laboratory.panels import number_of
from backend.apps.laboratory.reports import ObservationIn, OrderIn, clean
from backend.apps.laboratory.versions import New, key_of
from backend.apps.patients.models import Patient

LINES = {"TX", "FT"}  # each repetition is a line of one text
TOO_LARGE = Decimal(10) ** 18  # what numeric_value holds has 18 digits before the point
PLACES = Decimal(1).scaleb(-10)
FLAGS = frozenset(AbnormalFlag.values)
BLANK = {  # what a version holds where nothing is said, in the order of its columns
    each.attname: None if each.primary_key else each.get_default() for each in LabResult._meta.concrete_fields
}
ORDER: Any = LabResult._meta.get_field("lab_order")
TEST: Any = LabResult._meta.get_field("lab_test")


@dataclass(slots=True)
class Filing:
    """What one message reports of one patient, and what became of it. formerly: records merged into the patient's."""

    message: InboundMessage
    patient: Patient
    formerly: list[UUID] = field(default_factory=list)
    orders: list[tuple[OrderIn, datetime | None]] = field(default_factory=list)  # each with when it was sent
    panels: list[ReportedPanel] = field(default_factory=list)


def results_of(filing: Filing, codes: Codes) -> Iterator[New]:
    """Yield one unsaved version for each observation. The same code again in one panel is another observation."""
    seen = Counter[tuple[str, ...]]()
    message, patient = filing.message, filing.patient
    for (order, sent_at), panel in zip(filing.orders, filing.panels, strict=True):
        number = number_of(order)
        parent = order.parent and _link(message, order.parent.number, order.parent.code, order.parent.sub_id)
        for each in observed(order):
            name = (number, order.code, each.code or each.text, each.sub_id)
            seen[name] += 1
            whose = (patient.pk, *filing.formerly)
            key, *former = [key_of("sent", pk, message.sender, *name, seen[name]) for pk in whose]
            test, mapping = codes.meaning(
                message.feed_id, (each.code, each.system), (each.other_code, each.other_system)
            )
            result = _result(
                order,
                each,
                lab_order_id=panel.lab_order_id,
                panel_id=panel.pk,
                lab_test_id=test and test.pk,
                mapping_id=mapping and mapping.pk,
                source_message_id=message.pk,
                sent_at=sent_at,
                parent_key=parent or "",
                group_key=_link(message, number, each.code or each.text, each.sub_id),
                result_key=key,
            )
            ORDER.set_cached_value(result, panel.lab_order)  # what is set by key only would be read again
            TEST.set_cached_value(result, test)
            yield New(result, former, each.restates)


def _link(message: InboundMessage, number: str, code: str, sub_id: str) -> str:
    """Return the name by which a later order says what led to it. Source: HL7 v2.5.1, 7.4.1.26 and 7.4.1.29."""
    return key_of("finding", message.sender, number, code, sub_id)


def observed(order: OrderIn) -> list[ObservationIn]:
    """Return what was observed, the lines of a text as one; a cancelled order without any is one cancelled result."""
    if not order.observations and order.status == ResultStatus.CANCELLED:
        return [
            ObservationIn(
                order.code,
                text=order.text,
                system=order.system,
                other_code=order.other_code,
                other_system=order.other_system,
                status=ResultStatus.CANCELLED,
                segment="OBR",
                index=order.index,
            )
        ]
    if not any(each.value_type in LINES for each in order.observations):
        return list(order.observations)
    parts = groupby(
        enumerate(order.observations),
        key=lambda item: (*_line_of(*item), item[1].code, item[1].text, item[1].sub_id, item[1].status),
    )
    return [_joined([each for _, each in lines]) for _, lines in parts]


def _line_of(place: int, each: ObservationIn) -> tuple[bool, int]:
    """Return a key that neighbouring lines of one text share, and nothing else."""
    return (True, 0) if each.value_type in LINES else (False, place)


def _joined(lines: list[ObservationIn]) -> ObservationIn:
    if len(lines) == 1:
        return lines[0]
    notes = "\n".join(line.notes for line in lines if line.notes)
    return replace(lines[0], value="\n".join(line.value for line in lines), notes=notes)


def _result(order: OrderIn, each: ObservationIn, **known: Any) -> LabResult:
    """Return the version an observation makes, as sent; only what PostgreSQL cannot hold is left out."""
    unit, name, value = clean(each.unit), "", clean(each.value)
    if each.document is not None:
        name, value = attachments.named(each.document)
        if name:
            attachments.keep(name, each.document.content)
    return _made(
        **known,
        status=each.status,
        abnormal_flag=each.flag if each.flag in FLAGS else "",
        flagged_critical=each.critical,
        result_value=value,
        numeric_value=_numeric(each.numeric),
        value_type=clean(each.value_type)[:20],
        unit=ucum.of(unit) or unit,
        unit_as_sent=unit,
        reference_range=clean(each.range),
        interpretation=clean(each.notes),
        result_date=each.observed_at or order.observed_at or order.reported_at,
        reported_at=order.reported_at,
        file_attachment=name,
        code_as_sent=clean(each.code)[:200],
        code_text_as_sent=clean(each.text) or ("" if each.code else "(no code was sent)"),
        code_system_as_sent=clean(each.system)[:200],
        other_code_as_sent=clean(each.other_code)[:200],
        other_text_as_sent=clean(each.other_text),
        other_system_as_sent=clean(each.other_system)[:200],
        flags_as_sent=clean(each.flags)[:60],
        panel_code=clean(order.code)[:200],
        sub_id=clean(each.sub_id)[:200],
        source_segment=each.segment,
        observation_index=each.index or None,
    )


def _made(**values: Any) -> LabResult:
    """Return a version with these values, by position: with names, Django takes ten times as long."""
    by_position: Any = {**BLANK, "id": uuid7(), **values}.values()
    return LabResult(*by_position)


def _numeric(number: Decimal | None) -> Decimal | None:
    if number is None or not number.is_finite() or abs(number) >= TOO_LARGE:
        return None
    with localcontext() as context:
        context.prec = 40
        return number.quantize(PLACES)
