"""What people do with orders, results and received messages; without it anyone could change anything at any time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.roles import Role
from backend.apps.laboratory import critical, sending, statuses, versions
from backend.apps.laboratory.codes import map_code
from backend.apps.laboratory.filing import file_report, file_reports
from backend.apps.laboratory.inbox import retry
from backend.apps.laboratory.models import LabOrder, LabResult, LabTest, OrderStatus, ResultStatus
from backend.apps.laboratory.models.orders import next_order_numbers
from backend.apps.laboratory.models.results import SETTLED
from backend.apps.laboratory.sending import mark_as_arrived, resend
from backend.apps.patients.models import Patient

__all__ = [
    "cancel", "correct", "enter_result", "file_report", "file_reports", "lock_chart", "map_code", "mark_as_arrived",
    "mark_as_collected", "mark_as_completed", "order", "place", "resend", "retry", "review", "revise", "start",
    "verify",
]  # fmt: skip

COPIED = (
    "lab_order", "lab_test", "abnormal_flag", "result_value", "numeric_value", "value_type", "unit", "reference_range",
    "interpretation", "result_date", "code_as_sent", "code_text_as_sent", "code_system_as_sent", "panel_code", "sub_id",
    "result_key", "flagged_critical", "panel", "mapping", "group_key", "parent_key",
)  # fmt: skip


@transaction.atomic
def order(*, by: Any, tests: Sequence[LabTest], **fields: Any) -> LabOrder:
    """Write an order; a doctor orders in their own name, others name the doctor who asked for it."""
    fields["doctor"] = _ordering_doctor(by, fields.get("doctor"))
    if "feed" not in fields:
        fields["feed"] = sending.usual_feed()
    row = LabOrder(**fields, order_number=next_order_numbers(1)[0])
    return _save(row, tests)


@transaction.atomic
def revise(row: LabOrder, *, by: Any, tests: Sequence[LabTest] | None = None, **fields: Any) -> LabOrder:
    """Change an order while no specimen has been taken; whose it is never changes."""
    if row.status not in {OrderStatus.PENDING, OrderStatus.ORDERED}:
        raise DomainError("The laboratory works on this order already; cancel it and write another.")
    for name in ("patient", "doctor"):
        if name in fields and fields[name] != getattr(row, name):
            raise DomainError(f"The {name} of an order stays; cancel it and write another.")
    if row.status != OrderStatus.PENDING and fields.get("feed", row.feed) != row.feed:
        raise DomainError("This order is on its way to a laboratory; cancel it and write another.")
    before = _said(row)
    for name, value in fields.items():
        setattr(row, name, value)
    _save(row, tests)
    if row.status != OrderStatus.PENDING and _said(row) != before:
        sending.announce_change(row)
    return row


@transaction.atomic
def place(row: LabOrder, *, by: Any) -> LabOrder:
    """Send the order on its way; it names at least one test."""
    if not row.tests.exists():
        raise DomainError("An order needs at least one test.")
    row.place()
    sending.announce(row)
    return row


@transaction.atomic
def mark_as_collected(row: LabOrder, *, by: Any) -> LabOrder:
    row.mark_as_collected()
    return row


@transaction.atomic
def start(row: LabOrder, *, by: Any) -> LabOrder:
    row.start()
    return row


@transaction.atomic
def mark_as_completed(row: LabOrder, *, by: Any) -> LabOrder:
    row.mark_as_completed()
    return row


@transaction.atomic
def cancel(row: LabOrder, *, by: Any, reason: str) -> LabOrder:
    row.cancel(reason, by=by)
    sending.announce_cancel(row)
    return row


@transaction.atomic
def review(row: LabOrder, *, by: Any) -> LabOrder:
    row.review(by)
    return row


@transaction.atomic
def enter_result(*, by: Any, lab_order: LabOrder, lab_test: LabTest, **fields: Any) -> LabResult:
    """Write down a result by hand. An earlier one that was not final yet becomes the version before it."""
    lock_chart(lab_order)
    if lab_order.status in {OrderStatus.PENDING, OrderStatus.CANCELLED}:
        raise DomainError(f"This order is {lab_order.status}; a result cannot be entered.")
    key = versions.key_of("entered", lab_order.pk, lab_test.pk, fields.get("sub_id", ""))
    if LabResult.objects.filter(result_key=key, is_current=True, status__in=SETTLED).exists():
        raise Conflict("There is a result of this test already; correct that one.")
    fields.setdefault("result_date", timezone.now())
    fields.setdefault("unit", lab_test.unit_of_measure)
    fields.setdefault("reference_range", lab_test.normal_range_display)
    row = LabResult(
        lab_order=lab_order,
        lab_test=lab_test,
        code_as_sent=lab_test.test_code,
        result_key=key,
        **_entered(by),
        **fields,
    )
    return _file(row)


@transaction.atomic
def correct(result: LabResult, *, by: Any, **changes: Any) -> LabResult:
    """File a corrected version after `result`; what it says stays on file. Return the new version."""
    lock_chart(result.lab_order)
    result.refresh_from_db(fields=["is_current", "lab_order"])
    if not result.is_current:
        raise Conflict("A newer version of this result has arrived; correct that one.")
    if result.status not in SETTLED:
        raise DomainError(f"This result is {result.status}; enter the final one instead.")
    kept = {name: getattr(result, name) for name in COPIED}
    if "result_value" in changes:
        kept["numeric_value"] = None
    if "abnormal_flag" in changes:
        kept["flagged_critical"] = False
    row = LabResult(**{**kept, **changes, "status": ResultStatus.CORRECTED}, **_entered(by, after=result))
    return _file(row)


@transaction.atomic
def verify(result: LabResult, *, by: Any) -> LabResult:
    """Stand by this result; from now on the patient sees it."""
    result.verify(by)
    return result


def _said(row: LabOrder) -> tuple[Any, ...]:
    """Return what a laboratory is told about an order."""
    tests = frozenset(row.tests.values_list("pk", flat=True))
    return tests, row.priority, row.clinical_indication, row.diagnosis_code


def _ordering_doctor(by: Any, doctor: Any) -> Any:
    if getattr(by, "role", None) != Role.DOCTOR:
        if doctor is None:
            raise DomainError("An order needs the doctor who asked for it.")
        return doctor
    own = getattr(by, "doctor", None)
    if own is None or doctor not in {None, own}:
        raise DomainError("A doctor orders in their own name only.")
    return own


def _entered(by: Any, after: LabResult | None = None) -> dict[str, Any]:
    """Return who wrote it and when; a correction is never earlier than what it corrects, whatever clock a lab has."""
    now: datetime = timezone.now()
    moments = (after.reported_at, after.sent_at) if after else ()
    at = max([now, *(moment for moment in moments if moment)])
    return {"entered_by": by, "reported_at": at, "sent_at": at}


def _file(row: LabResult) -> LabResult:
    row.digest = versions.digest_of(row)
    row.full_clean(exclude=["supersedes"], validate_unique=False, validate_constraints=False)
    fresh, known = versions.place([row])
    if fresh:
        critical.notice(fresh)
    statuses.follow_all([row.lab_order], renewed=[row.lab_order_id] if fresh else [])
    return (fresh or known)[0]


def lock_chart(row: LabOrder) -> None:
    """Let one result of a patient at a time be filed, by hand or by machine; look at the order again after that.

    Everybody who locks more than one of them does so in this order: patient, order, result.
    """
    Patient.all_objects.select_for_update(no_key=True).get(pk=row.patient_id)
    LabOrder.all_objects.select_for_update(no_key=True).get(pk=row.pk)
    row.refresh_from_db()


def _save(row: LabOrder, tests: Sequence[LabTest] | None) -> LabOrder:
    row.full_clean()
    row.save()
    if tests is not None:
        row.tests.set(tests)
    return row
