"""Plans the reminders of an appointment, takes them back when it changes, and decides late whether one still helps."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments import reminder_policy
from backend.apps.appointments.models import AWAITED, Appointment, AppointmentReminder, ReminderStatus, ReminderType
from backend.apps.appointments.reminder_policy import Planned
from backend.apps.core import dispatch
from backend.apps.core.models import Clinic
from backend.apps.core.work import WorkState
from backend.apps.patients.models import Patient

NOT_BEGUN = Q(work_state=WorkState.WAITING) | Q(work_state=WorkState.RUNNING, begun_at__isnull=True)


@transaction.atomic
def replan(appointment: Appointment) -> None:
    """Take back what is planned for older versions of this appointment and plan for this one, if it is still awaited.

    A reminder that was due but not begun yet is planned again when its time still stands, so that a confirmation in
    that moment does not swallow it.
    """
    taken_back = supersede(appointment)
    if appointment.status in AWAITED:
        plan(appointment, now=timezone.now(), carried=taken_back)


def plan(appointment: Appointment, *, now: datetime, carried: Collection[Planned] = ()) -> None:
    """Write down the reminders that are still ahead, on the channels the patient has and agreed to. Safe to repeat."""
    if appointment.appointment_datetime <= now:
        return
    wanted = [
        planned
        for planned in reminder_policy.plan(appointment.appointment_datetime, Clinic.current().zone)
        if (planned.send_at > now or planned in carried) and not _unreachable(appointment.patient, planned.channel)
    ]
    AppointmentReminder.objects.bulk_create(
        [_row(appointment, planned) for planned in wanted],
        ignore_conflicts=True,  # planned before: the same row
    )
    if any(planned.send_at <= now for planned in wanted):
        dispatch.ring(AppointmentReminder.task_name)


def supersede(appointment: Appointment) -> set[Planned]:
    """Take back the reminders nobody has begun to send; return what they were.

    A worker that leased one loses its lease, and `begin()` tells it so before it speaks to the provider.
    """
    rows = AppointmentReminder.objects.filter(NOT_BEGUN, appointment=appointment, status=ReminderStatus.PENDING)
    found = list(rows.select_for_update())
    AppointmentReminder.objects.filter(pk__in=[row.pk for row in found]).update(
        status=ReminderStatus.SUPERSEDED,
        status_reason="The appointment changed first.",
        work_state=WorkState.DONE,
        leased_until=None,
        updated_at=timezone.now(),
    )
    return {Planned(row.offset_minutes, row.reminder_type, row.scheduled_send_time) for row in found}


def why_not(reminder: AppointmentReminder, *, now: datetime) -> str | None:
    """Return why this reminder must not go out now, as a sentence without a patient's data; None when it must."""
    appointment = reminder.appointment
    if appointment.is_deleted or appointment.status not in AWAITED:
        return f"The appointment is {'deleted' if appointment.is_deleted else appointment.status}."
    if reminder.appointment_version != appointment.version and _moved_on(reminder):
        return "The appointment has changed since this was planned."
    if appointment.appointment_datetime <= now:
        return "The appointment has already begun."
    if now > reminder.scheduled_send_time + reminder_policy.usable_for(reminder.offset_minutes):
        return "It is too late for this reminder."
    return _unreachable(appointment.patient, reminder.reminder_type)


def _moved_on(reminder: AppointmentReminder) -> bool:
    """Whether the visit is at another time now, or a newer version of it has this reminder planned.

    Neither holds when the visit was confirmed, say, just after a worker began with this one: then nobody else sends it.
    """
    appointment = reminder.appointment
    times = reminder_policy.plan(appointment.appointment_datetime, Clinic.current().zone)
    mine = Planned(reminder.offset_minutes, reminder.reminder_type, reminder.scheduled_send_time)
    if mine not in set(times):
        return True
    newer = AppointmentReminder.objects.filter(
        appointment=appointment,
        offset_minutes=reminder.offset_minutes,
        reminder_type=reminder.reminder_type,
        appointment_version__gt=reminder.appointment_version,
    )
    return bool(newer.exists())


def _unreachable(patient: Patient, channel: str) -> str | None:
    if channel == ReminderType.EMAIL:
        address, agreed = patient.email, patient.email_consent
    elif channel == ReminderType.SMS:
        address, agreed = patient.phone, patient.sms_consent
    else:
        return "There is no provider for this channel."
    if not address:
        return "The patient has no address on this channel."
    return None if agreed else "The patient has not agreed to this channel."


def _row(appointment: Appointment, planned: Planned) -> AppointmentReminder:
    version, minutes, channel, send_at = appointment.version, planned.offset_minutes, planned.channel, planned.send_at
    return AppointmentReminder(
        appointment=appointment,
        appointment_version=version,
        offset_minutes=minutes,
        reminder_type=channel,
        scheduled_send_time=send_at,
        due_at=send_at,
        dedupe_key=f"reminder:{appointment.pk}:{version}:{minutes}:{channel}",
    )
