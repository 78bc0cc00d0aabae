"""What staff do to a reminder by hand; without it an impatient person would have to change the row itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderStatus, ReminderType
from backend.apps.appointments.planning import Planner
from backend.apps.core import dispatch
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.work import WorkState
from backend.apps.patients import contacts
from backend.apps.patients.contacts import Points

TAKEN = "A machine has just taken this reminder; load the page again."
UNKNOWN = "Nobody knows whether this arrived before it was given up; an administrator may send it again from its row."
NOT_WAITING = "This reminder does not wait any more; there is nothing to mute."
MUTED = "Muted by staff"  # how the reason of such a row begins
SETTLED = {
    ReminderStatus.SENT: "This reminder is on its way already.",
    ReminderStatus.DELIVERED: "This reminder has arrived already.",
    ReminderStatus.BOUNCED: "This reminder came back; correct the address, or call the patient.",
    ReminderStatus.SUPPRESSED: "This reminder was not wanted and stays where it is.",
    ReminderStatus.SUPERSEDED: "The appointment changed after this was planned; its newer reminders count.",
}


@transaction.atomic
def send_now(reminder: AppointmentReminder, *, by: Any) -> AppointmentReminder:
    """Put a reminder that waits, or that we gave up, at the front of the line.

    It is decided late all the same: what the worker finds out then counts. Nothing is sent whose first try may have
    arrived.
    """
    if reason := send_these([reminder], by=by).get(reminder.pk):
        raise (Conflict if reason == TAKEN else DomainError)(reason)
    reminder.refresh_from_db()
    return reminder


@transaction.atomic
def send_these(rows: Sequence[AppointmentReminder], *, by: Any) -> dict[Any, str]:
    """Do what `send_now` does with many, whose visits and patients are loaded; return by key why the others stay."""
    refused = refusals(rows)
    able = {row.pk for row in rows if row.pk not in refused}
    stand = AppointmentReminder.objects.filter(pk__in=able).order_by("pk").select_for_update()
    states = dict(stand.values_list("pk", "work_state"))
    waiting = [key for key, state in states.items() if state == WorkState.WAITING]
    given_up = [key for key, state in states.items() if state == WorkState.FAILED]
    if waiting:
        AppointmentReminder.objects.filter(pk__in=waiting).update(due_at=Now(), lane=0, updated_at=timezone.now())
        dispatch.ring(AppointmentReminder.task_name)
    if given_up:
        AppointmentReminder.work.back_in_line(*given_up, at_rest=(WorkState.FAILED,))
    return refused | dict.fromkeys(able.difference(waiting, given_up), TAKEN)


@transaction.atomic
def mute(reminder: AppointmentReminder, *, by: Any, reason: str) -> AppointmentReminder:
    """Take back one reminder that nobody has begun to send, for good."""
    if not mute_these([reminder.pk], by=by, reason=reason):
        raise DomainError(NOT_WAITING)
    reminder.refresh_from_db()
    return reminder


@transaction.atomic
def mute_all(appointment: Appointment, *, by: Any, reason: str) -> int:
    """Take back every reminder of this visit that nobody has begun to send; return how many."""
    return len(_suppress(AppointmentReminder.objects.filter(appointment=appointment), reason))


@transaction.atomic
def mute_these(keys: Collection[Any], *, by: Any, reason: str) -> set[Any]:
    """Take back those of these reminders that nobody has begun to send; return their keys."""
    return _suppress(AppointmentReminder.objects.filter(pk__in=keys), reason)


def refusals(rows: Sequence[AppointmentReminder]) -> dict[Any, str]:
    """Return by key why `send_now` would refuse a row; the visits and patients are loaded with the rows."""
    planner, points = Planner.load(), contacts.points_of([row.appointment.patient for row in rows])
    replaced = set(AppointmentReminder.all_objects.filter(fallback_of__in=rows).values_list("fallback_of", flat=True))
    newer = reminders.planned_anew(rows)
    told = {row.pk: _why_not_now(row, planner, points, newer, is_replaced=row.pk in replaced) for row in rows}
    return {key: reason for key, reason in told.items() if reason}


def _why_not_now(
    reminder: AppointmentReminder, planner: Planner, points: Points, newer: Collection[Any], *, is_replaced: bool
) -> str | None:
    """Return why nobody may send it now, as a sentence; None when it may go."""
    if reminder.work_state == WorkState.HELD or reminder.uncertain_since:
        return "Nobody knows yet whether this reminder arrived; that is found out first, or it could arrive twice."
    if reminder.in_doubt:
        return UNKNOWN
    if reminder.work_state == WorkState.RUNNING:
        return "This reminder is being sent at this moment."
    if reminder.status in SETTLED:
        return SETTLED[ReminderStatus(reminder.status)]
    if reminder.status == ReminderStatus.FAILED and reminder.work_state != WorkState.FAILED:
        return "The provider took this reminder and could not deliver it; correct the address, or call the patient."
    if is_replaced:
        return "Another message has taken the place of this one."
    return reminders.why_not(reminder, now=timezone.now(), points=points, newer=newer) or _asleep(reminder, planner)


def _asleep(reminder: AppointmentReminder, planner: Planner) -> str | None:
    """Return a sentence when a text would reach the patient outside of the hours the clinic allows itself."""
    if reminder.reminder_type != ReminderType.SMS:
        return None
    if planner.hours_of(reminder.appointment.patient).allow(timezone.now()):
        return None
    rules = planner.rules
    return f"Texts go out between {rules.opens_at:%H:%M} and {rules.closes_at:%H:%M} by the patient's clock."


def _suppress(rows: models.QuerySet[AppointmentReminder], reason: str) -> set[Any]:
    """Suppress those of `rows` not begun and return their keys.

    A worker that leased one loses its lease before it speaks to anybody.
    """
    told = reason.strip()
    if not told:
        raise DomainError("Say why.")
    waiting = rows.filter(reminders.NOT_BEGUN, status=ReminderStatus.PENDING)
    found = [key for (key,) in waiting.order_by("pk").select_for_update().values_list("pk")]
    AppointmentReminder.objects.filter(pk__in=found).update(
        status=ReminderStatus.SUPPRESSED,
        status_reason=f"{MUTED}: {told}"[:200],
        work_state=WorkState.DONE,
        leased_until=None,
        updated_at=timezone.now(),
    )
    return set(found)
