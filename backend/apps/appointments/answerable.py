"""Finds the visits an answer from a number may be about; without it page, desk and machine would each guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import Q
from django.utils import timezone

from backend.apps.appointments.models import AWAITED, AppointmentReminder, ReminderStatus, ReminderType
from backend.apps.core.sealed import digests
from backend.apps.patients import contacts

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
    asked = {digest: one for one in numbers for digest in digests(AppointmentReminder, "recipient_phone_index", one)}
    for row in {row.pk: row for row in (*led, *own)}.values():
        number = asked.get(bytes(_index_of(row) or b""), "")
        if number and _still_stands(row, number):
            found[number].append(row)
    return {
        number: sorted(each, key=lambda row: row.sent_at or row.created_at, reverse=True)
        for number, each in found.items()
    }


def _index_of(row: AppointmentReminder) -> Any:
    """Return what the number is known by; the number itself may not open, which must cost no other its answer."""
    return row.recipient_phone_index or (row.digest_of.recipient_phone_index if row.digest_of else None)


def _still_stands(reminder: AppointmentReminder, number: str) -> bool:
    visit = reminder.appointment
    same_time = reminder.visit_starts_at in (None, visit.appointment_datetime)
    return not visit.is_deleted and same_time and contacts.address_of(visit.patient, "sms") == number
