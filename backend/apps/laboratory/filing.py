"""Files what laboratories report in the chart; without this messages would be stored and nobody would read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from itertools import groupby

from django.db import transaction

from backend.apps.laboratory import matching, versions
from backend.apps.laboratory.models import (
    AbnormalFlag,
    CodeSystem,
    InboundMessage,
    InboundStatus,
    LabOrder,
    LabResult,
    LabTest,
    OrderStatus,
    ResultStatus,
)
from backend.apps.laboratory.models.results import SETTLED
from backend.apps.laboratory.reports import ObservationIn, OrderIn, Outcome, ReportIn
from backend.apps.patients.models import Patient

LINES = {"TX", "FT"}  # each repetition is a line of one text
LOINC_NAMES = {"LN", "LOINC", "HTTP://LOINC.ORG"}
TOO_LARGE = Decimal(10) ** 18  # what numeric_value holds has 18 digits before the point
PLACES = Decimal(1).scaleb(-10)


@transaction.atomic
def file_report(message: InboundMessage, report: ReportIn) -> Outcome:
    """File one report in the chart of its patient, or say why a person has to; all of it or nothing.

    Any order, repetition or replay of the same messages ends in the same chart: which version of an observation is
    current follows the laboratory's own times (`versions.moment`), and what was filed before is not filed again.
    """
    if not report.orders:
        return Outcome(InboundStatus.WORKLIST, "The message holds no results.")
    try:
        patient = matching.patient_of(report.patient)
        orders = matching.Orders(patient, message, report)
    except matching.Unmatched as reason:
        return Outcome(InboundStatus.WORKLIST, str(reason))
    return _file(message, report, patient, orders)


def _file(message: InboundMessage, report: ReportIn, patient: Patient, orders: matching.Orders) -> Outcome:
    new = list(_results(message, report, patient, orders))
    fresh, known = versions.place(new)
    for order in {row.pk: row for row in orders.found}.values():
        if any(result.lab_order_id == order.pk for result in fresh):
            order.unreview()
        follow(order)
    if new and not fresh and not any(row.source_message_id == message.pk for row in known):
        return Outcome(InboundStatus.DUPLICATE, "Everything in it was filed before.", patient.pk)
    return Outcome(InboundStatus.FILED, "", patient.pk, len(fresh))


def follow(order: LabOrder) -> None:
    """Let the order's status say what its current results say."""
    rows = list(
        LabResult.objects.filter(lab_order=order, is_current=True).values_list(
            "status", "panel_code", "code_as_sent", "lab_test__test_code", "reported_at", "sent_at"
        )
    )
    statuses = {row[0] for row in rows}
    at = max((moment for row in rows if (moment := row[4] or row[5])), default=order.completed_at)
    if rows and statuses == {ResultStatus.CANCELLED}:
        order.follow(OrderStatus.CANCELLED, at)
    elif rows and statuses <= set(SETTLED) and not _awaits_more(order, {code for row in rows for code in row[1:4]}):
        order.follow(OrderStatus.COMPLETED, at)
    elif rows or order.is_open:
        order.follow(OrderStatus.IN_PROGRESS)


def _awaits_more(order: LabOrder, answered: set[str | None]) -> bool:
    """Return whether some of the ordered tests have no result yet, where the laboratory uses our codes at all."""
    ordered = set(order.tests.values_list("test_code", flat=True))
    return bool(ordered & answered and ordered - answered)


def _results(
    message: InboundMessage, report: ReportIn, patient: Patient, orders: matching.Orders
) -> Iterator[LabResult]:
    """Yield one unsaved version for each observation. The same code again in one panel is another observation."""
    codes = {each.code for order in report.orders for each in _observations(order)} - {""}
    tests = {test.test_code: test for test in LabTest.objects.filter(test_code__in=sorted(codes))}
    seen = Counter[tuple[str, ...]]()
    for order, row in zip(report.orders, orders.find_all(), strict=True):
        number = matching.number_of(order)
        for each in _observations(order):
            name = (number, order.code, each.code or each.text, each.sub_id)
            seen[name] += 1
            result = _result(order, each, _test(tests, each))
            result.lab_order, result.source_message, result.sent_at = row, message, report.sent_at
            result.result_key = versions.key_of("sent", patient.pk, message.sender, *name, seen[name])
            yield result


def _observations(order: OrderIn) -> list[ObservationIn]:
    """Return what was observed, the lines of a text as one; a cancelled order without any is one cancelled result."""
    if not order.observations and order.status == ResultStatus.CANCELLED:
        return [ObservationIn(order.code, text=order.text, system=order.system, status=ResultStatus.CANCELLED)]
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


def _result(order: OrderIn, each: ObservationIn, test: LabTest | None) -> LabResult:
    """Return the version an observation makes, as sent; only what PostgreSQL cannot hold is left out."""
    return LabResult(
        lab_test=test,
        status=each.status,
        abnormal_flag=each.flag if each.flag in AbnormalFlag.values else "",
        flagged_critical=each.critical,
        result_value=_clean(each.value),
        numeric_value=_numeric(each.numeric),
        value_type=_clean(each.value_type)[:20],
        unit=_clean(each.unit),
        reference_range=_clean(each.range),
        interpretation=_clean(each.notes),
        result_date=each.observed_at or order.observed_at or order.reported_at,
        reported_at=order.reported_at,
        code_as_sent=_clean(each.code)[:200],
        code_text_as_sent=_clean(each.text) or ("" if each.code else "(no code was sent)"),
        code_system_as_sent=_clean(each.system)[:200],
        panel_code=_clean(order.code)[:200],
        sub_id=_clean(each.sub_id)[:200],
        observation_index=each.index or None,
    )


def _test(tests: dict[str, LabTest], each: ObservationIn) -> LabTest | None:
    """Return the test of this code, unless the message says the code is of another system."""
    test, system = tests.get(each.code), each.system.strip().upper()
    if test and system and (system in LOINC_NAMES) != (test.code_system == CodeSystem.LOINC):
        return None
    return test


def _clean(text: str) -> str:
    return text.replace("\x00", "").strip()


def _numeric(number: Decimal | None) -> Decimal | None:
    if number is None or not number.is_finite() or abs(number) >= TOO_LARGE:
        return None
    with localcontext() as context:
        context.prec = 40
        return number.quantize(PLACES)
