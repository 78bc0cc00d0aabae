"""Finds the visits an answer from a number may be about; without it page, desk and machine would each guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments.models import AWAITED, AppointmentReminder, ReminderStatus, ReminderType

ARRIVED = (ReminderStatus.SENT, ReminderStatus.DELIVERED)


def reminded_at(numbers: Collection[str]) -> dict[str, list[AppointmentReminder]]:
    """Return by number the reminders an answer from it may be about, the newest first: of visits still ahead.

    Reminders that were told in one text with another one count too. One of a visit that was moved since does not: who
    answers it has not seen the new time. Patients come with the visits.
    """
    texts = AppointmentReminder.objects.filter(reminder_type=ReminderType.SMS, status__in=ARRIVED)
    told_with = AppointmentReminder.sent_to(*numbers, path="digest_of__") & Q(digest_of__status__in=ARRIVED)
    ahead = {"appointment__status__in": AWAITED, "appointment__appointment_datetime__gt": timezone.now()}
    rows = texts.select_related("appointment__patient", "digest_of")
    own, led = rows.filter(AppointmentReminder.sent_to(*numbers), **ahead), rows.filter(told_with, **ahead)
    found: dict[str, list[AppointmentReminder]] = defaultdict(list)
    for row in {row.pk: row for row in (*led, *own)}.values():
        number = row.recipient_phone or (row.digest_of.recipient_phone if row.digest_of else "")
        if _still_stands(row, number):
            found[number].append(row)
    return {
        number: sorted(each, key=lambda row: row.sent_at or row.created_at, reverse=True)
        for number, each in found.items()
    }


def _still_stands(reminder: AppointmentReminder, number: str) -> bool:
    visit = reminder.appointment
    same_time = reminder.visit_starts_at in (None, visit.appointment_datetime)
    return not visit.is_deleted and same_time and visit.patient.phone == number
