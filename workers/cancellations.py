"""Decides late whether a patient still has to hear that a visit was cancelled, and what the mail says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.zones import recipient_zone
from backend.apps.core.models import Clinic
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, PatientMessage


def late(messages: Sequence[PatientMessage]) -> dict[Any, str | None]:
    """Return for each message why it must not go out now; None when it must. `useful_until` is its beginning."""
    visits = _visits(messages)
    cancelled = {key for key, visit in visits.items() if visit.status == Appointment.Status.CANCELLED}
    return {row.pk: None if row.subject_id in cancelled else "The visit is not cancelled." for row in messages}


def facts(messages: Sequence[PatientMessage]) -> dict[Any, Facts]:
    """Return what each message says; the patients are loaded with the messages."""
    clinic, rules, visits = Clinic.current(), ContactRules.current(), _visits(messages)
    return {
        message.pk: Facts(
            clinic=rules.name_of(clinic),
            phone=clinic.phone,
            email=rules.written_to(clinic),
            zone=clinic.zone,
            patient_zone=recipient_zone(message.patient, clinic),
            starts_at=visits[message.subject_id].appointment_datetime,
        )
        for message in messages
    }


def _visits(messages: Collection[PatientMessage]) -> Mapping[Any, Appointment]:
    return Appointment.all_objects.in_bulk({message.subject_id for message in messages})
