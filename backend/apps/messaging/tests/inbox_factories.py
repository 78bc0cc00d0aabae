"""Makes texts, tasks, messages and reports for tests; without it each test would spell out their keys."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.utils import timezone

from backend.apps.messaging import tasks
from backend.apps.messaging.models import InboundText, PatientMessage, ProviderEvent, StaffTask, TaskKind
from backend.apps.patients.models import Patient

_numbers = count(1)


def make_inbound_text(**over: Any) -> InboundText:
    """Save a text that waits for a person."""
    fields = {
        "sid": f"SM{next(_numbers):032d}",
        "from_number": "+14155550100",
        "to_number": "+14155550199",
        "body": "who is this?",
        "received_at": timezone.now(),
        **over,
    }
    return InboundText.objects.create(**fields)


def make_staff_task(patient: Patient | None = None, **over: Any) -> StaffTask:
    """Save an open task of a cause of its own."""
    cause = over.pop("cause", f"test:{next(_numbers)}")
    return tasks.open_once(TaskKind.RESCHEDULE, cause, "The patient asks for another time.", patient=patient, **over)


def make_patient_message(patient: Patient, **over: Any) -> PatientMessage:
    """Save a waiting answer to a patient."""
    fields = {
        "channel": "sms",
        "wording": "choose",
        "scheduled_send_time": timezone.now(),
        "dedupe_key": f"test:{next(_numbers)}",
        **over,
    }
    return PatientMessage.objects.create(patient=patient, **fields)


def make_provider_event(**over: Any) -> ProviderEvent:
    """Save a report of Twilio's that a text was delivered."""
    fields = {
        "provider": "twilio",
        "kind": "status",
        "provider_status": "delivered",
        "message_id": f"SM{next(_numbers):032d}",
        "dedupe_key": f"test:{next(_numbers)}",
        **over,
    }
    return ProviderEvent.objects.create(**fields)
