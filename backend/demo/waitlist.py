"""Who waits for an earlier visit in the demo clinic, and when its patients are due again."""

from __future__ import annotations

from datetime import timedelta

from backend.apps.appointments.models import AppointmentType, RecallRule, WaitlistEntry
from backend.apps.core.models import Clinic
from backend.apps.patients.models import Patient

WAITING = 6
AHEAD = timedelta(days=60)
RULES = (
    ("Check after half a year", AppointmentType.CONSULTATION, 182),
    ("Yearly shot", AppointmentType.VACCINATION, 365),
)


def create(patients: list[Patient]) -> int:
    """Put a few patients in line, for any doctor; return how many. The rules open recalls in the daily run."""
    RecallRule.objects.bulk_create(
        RecallRule(name=name, appointment_type=kind, after_days=days) for name, kind, days in RULES
    )
    today, kinds = Clinic.today(), AppointmentType.values
    rows = [
        WaitlistEntry(
            patient=patient,
            appointment_type=kinds[place % len(kinds)],
            from_on=today,
            until_on=today + AHEAD,
            note="Would come at short notice.",
        )
        for place, patient in enumerate(patients[:WAITING])
    ]
    return len(WaitlistEntry.objects.bulk_create(rows))
