"""Says what a message about one visit tells; without it each kind of them would tell it its own way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.zones import recipient_zone
from backend.apps.core.models import Clinic
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.models import ContactRules, PatientMessage


def facts(messages: Sequence[PatientMessage]) -> dict[Any, Facts]:
    """Return what each message says; the patients are loaded with the messages."""
    clinic, rules, visits = Clinic.current(), ContactRules.current(), visits_of(messages)
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


def visits_of(messages: Collection[PatientMessage]) -> Mapping[Any, Appointment]:
    """Return by key the visits the messages are about, deleted ones too."""
    return Appointment.all_objects.in_bulk({message.subject_id for message in messages})
