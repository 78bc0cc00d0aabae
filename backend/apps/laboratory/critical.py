"""Finds critical results, and lets them be acknowledged, escalated and corrected; without it nobody would be woken.

Sources: 42 CFR 493.1291(g); Joint Commission NPSG.02.03.01 (report in time) and PC.02.01.03 EP 20 (read-back).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.laboratory import paging, ucum
from backend.apps.laboratory.models import (
    CriticalPolicy,
    CriticalResult,
    LabOrder,
    LabResult,
    LabTest,
    ResultStatus,
)
from backend.apps.laboratory.models.critical import CriticalStatus, How, StepKind, Tier
from backend.apps.laboratory.read_back import names_value, number_of

TELLS_A_VALUE = (ResultStatus.PRELIMINARY, ResultStatus.FINAL, ResultStatus.CORRECTED)
SAME = ("result_value", "unit", "abnormal_flag", "flagged_critical")
STANDS = (CriticalStatus.OPEN, CriticalStatus.ACKNOWLEDGED)
BATCH = 200


def notice(fresh: Sequence[LabResult]) -> None:
    """Page for those of `fresh` that are critical, and take back what a newer version says is not.

    Called in the transaction that files them, with the patient's row locked. fresh: versions that were just saved, with
    their order loaded; those that are not current are passed over. A replay files nothing new, so it pages nobody.
    """
    current = [row for row in fresh if row.is_current]
    dire = {row.pk for row in current if is_critical(row)}
    if dire or any(row.supersedes_id for row in current):  # else nothing is asked: this is the way of every message
        _notice(current, dire)


@transaction.atomic
def _notice(current: Sequence[LabResult], dire: Collection[Any]) -> None:
    before = _standing([row.result_key for row in current if row.supersedes_id])
    policy = CriticalPolicy.current() if dire or before else CriticalPolicy()
    for row in current:
        if row.pk in dire:
            _open(row, before[row.result_key], policy)
            continue
        for each in before[row.result_key]:
            _take_back(each, row, policy)


def is_critical(result: LabResult) -> bool:
    """Whether a value needs somebody at once: flagged HH, LL or AA, or beyond the test's bounds set by the practice."""
    if result.status not in TELLS_A_VALUE:
        return False
    test = result.lab_test
    return result.is_critical or (test is not None and _out_of_bounds(result, test))


@transaction.atomic
def acknowledge(critical: CriticalResult, *, by: Any, read_back: str) -> CriticalResult:
    """Note that `by` has the result and read its value back; nobody else is paged from now on."""
    _check(critical, read_back)
    _acknowledged(critical, by, read_back, How.ONLINE)
    paging.log(critical, StepKind.ACKNOWLEDGED, by=by, read_back=read_back.strip())
    return critical


@transaction.atomic
def note_call(critical: CriticalResult, *, by: Any, told: str, read_back: str = "") -> CriticalResult:
    """Note a phone call: whom `by` told. Only when that person read the value back is the result acknowledged."""
    if critical.status != CriticalStatus.OPEN:
        raise DomainError(f"This critical result is {critical.status}; no call is needed.")
    if not read_back.strip():
        paging.log(critical, StepKind.CALLED, by=by, told=told, note="Nothing was read back; the paging goes on.")
        return critical
    _check(critical, read_back)
    _acknowledged(critical, by, read_back, How.PHONE)
    paging.log(critical, StepKind.ACKNOWLEDGED, by=by, told=told, read_back=read_back.strip(), note="By phone.")
    return critical


def follow(order: LabOrder) -> None:
    """Let who is responsible for `order` answer for its open critical results, those that were in another order before.

    Called in the transaction that moves them, with the patient's row locked. One that is acknowledged stays as it is.
    """
    doctor = paging.responsible(order)
    if doctor is None:
        return
    open_ones = CriticalResult.objects.filter(result__lab_order=order.pk, status=CriticalStatus.OPEN)
    policy = CriticalPolicy.current()
    for row in open_ones.exclude(doctor=doctor).select_for_update(of=("self",)).order_by("pk"):
        row.doctor = doctor
        row.save(update_fields=["doctor", "updated_at"])
        paging.log(row, StepKind.NOTED, note="It turned out to be of another order; its doctor has to act.")
        if row.due_at is not None:
            paging.take_turn(row, Tier.DOCTOR, policy)


def escalate_due() -> int:
    """Let the next tier answer for every open critical result whose time is up; return how many moved on.

    Two of these at once are harmless: who finds the row as it was takes it, the other one finds nothing.
    """
    due = CriticalResult.objects.filter(status=CriticalStatus.OPEN, due_at__lte=Now()).order_by("due_at")
    return sum(_escalate(pk, due_at) for pk, due_at in due.values_list("pk", "due_at")[:BATCH])


@transaction.atomic
def _escalate(pk: Any, due_at: Any) -> bool:
    mine = CriticalResult.objects.filter(pk=pk, status=CriticalStatus.OPEN, due_at=due_at)
    if not mine.update(due_at=None):
        return False
    critical = CriticalResult.objects.select_related("doctor__user", "doctor__covering_doctor__user").get(pk=pk)
    paging.log(critical, StepKind.ESCALATED, note=f"No answer from {Tier(critical.tier).label}.")
    paging.take_turn(critical, min(critical.tier + 1, Tier.ADMINISTRATORS), CriticalPolicy.current())
    return True


def _out_of_bounds(result: LabResult, test: LabTest) -> bool:
    """Whether the number lies beyond the test's critical bounds, said in the unit they are meant in."""
    number = number_of(result)
    if number is None or not _unit_fits(result, test.unit_of_measure):
        return False
    too_low = test.critical_low is not None and number < test.critical_low
    return too_low or (test.critical_high is not None and number > test.critical_high)


def _unit_fits(result: LabResult, meant: str) -> bool:
    """Whether the value is in the unit the bounds are meant in; where either says none, it is."""
    said, wanted = {_plain(result.unit), _plain(result.unit_as_sent)} - {""}, _plain(meant)
    return not said or not wanted or wanted in said


def _plain(unit: str) -> str:
    return "".join((ucum.of(unit) or unit).split()).casefold()


def _standing(keys: Sequence[str]) -> dict[str, list[CriticalResult]]:
    """Return the critical results of these observations that are not closed, locked."""
    found: dict[str, list[CriticalResult]] = defaultdict(list)
    if keys:
        rows = CriticalResult.objects.filter(result__result_key__in=keys, status__in=STANDS)
        for row in rows.select_related("result").select_for_update(of=("self",)).order_by("pk"):
            found[row.result.result_key].append(row)
    return found


def _open(result: LabResult, before: list[CriticalResult], policy: CriticalPolicy) -> None:
    """Page for a new critical version. One that only repeats what was paged or read back before goes on from there."""
    same = next((row for row in before if _says_the_same(row.result, result)), None)
    doctor = same.doctor if same else paging.responsible(result.lab_order)
    made = CriticalResult(result=result, patient_id=result.lab_order.patient_id, doctor=doctor)
    if same is not None and same.status == CriticalStatus.ACKNOWLEDGED:
        for name in ("status", "tier", "rounds", "acknowledged_by_id", "acknowledged_at", "read_back", "how"):
            setattr(made, name, getattr(same, name))
        made.save(force_insert=True)
        paging.log(made, StepKind.NOTED, note="A newer version says what has been read back already.")
    else:
        made.save(force_insert=True)
        _begin(made, same, policy)
    for row in before:
        close(row, "A newer version of the result took its place.")


def _begin(made: CriticalResult, same: CriticalResult | None, policy: CriticalPolicy) -> None:
    told = made.result.reported_at or made.result.sent_at or made.result.result_date
    if told is not None and told < timezone.now() - timedelta(hours=policy.max_age_hours):
        paging.log(made, StepKind.NOTED, note="It was reported too long ago to page anybody.")
        return
    paging.log(made, StepKind.NOTED)
    paging.take_turn(made, same.tier if same else Tier.DOCTOR, policy)


def _says_the_same(one: LabResult, other: LabResult) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in SAME)


def _take_back(critical: CriticalResult, newer: LabResult, policy: CriticalPolicy) -> None:
    withdrawn = newer.status == ResultStatus.CANCELLED
    reason = "The laboratory took the result back." if withdrawn else "The laboratory corrected it: it is not critical."
    close(critical, reason, StepKind.CORRECTED)
    paging.tell_corrected(critical, policy)


def close(critical: CriticalResult, reason: str, kind: str = StepKind.CLOSED) -> None:
    """Let nobody be paged for it any more, and say why."""
    critical.move_to(CriticalStatus.CLOSED, closed_at=timezone.now(), closed_reason=reason, due_at=None)
    paging.log(critical, kind, note=reason)
    alerts.clear(critical.cause, critical.unreachable_cause)


def _check(critical: CriticalResult, read_back: str) -> None:
    if not names_value(read_back, critical.result):
        raise DomainError("What was read back is not the value of this result; look again and read it back.")


def _acknowledged(critical: CriticalResult, by: Any, read_back: str, how: str) -> None:
    critical.move_to(
        CriticalStatus.ACKNOWLEDGED,
        acknowledged_by=by,
        acknowledged_at=timezone.now(),
        read_back=read_back.strip(),
        how=how,
        due_at=None,
    )
    alerts.clear(critical.cause, critical.unreachable_cause)
