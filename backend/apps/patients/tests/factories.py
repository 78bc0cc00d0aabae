"""Makes patients for tests; without it every test would spell out thirty fields."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils import timezone

from backend.apps.core.sealed import written
from backend.apps.patients import services
from backend.apps.patients.emergency_models import OPEN_FOR
from backend.apps.patients.models import EmergencyAccess, Patient
from backend.apps.users.tests.factories import make_user


def make_patient(**over: Any) -> Patient:
    """Save a plausible adult; a consent that is given gets its moment."""
    fields: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Okafor",
        "date_of_birth": date(1980, 5, 17),
        "gender": "female",
        "phone": "+14155550100",
        "email": "ada.okafor@example.org",
        "address_line1": "12 Elm Street",
        "city": "Albany",
        "state": "NY",
        "postal_code": "12207",
    }
    fields.update(over)
    fields.setdefault("medical_record_number", services.next_record_number())
    for channel in ("sms", "email"):
        if fields.get(f"{channel}_consent"):
            fields.setdefault(f"{channel}_consent_at", timezone.now())
    return Patient.objects.create(**fields)


def reached_at(*patients: Patient, **plain: str) -> None:
    """Write another number or mailbox of patients past all rules, as somebody else would meanwhile."""
    for patient in patients:
        Patient.all_objects.filter(pk=patient.pk).update(**written(Patient, patient.pk, **plain))


def make_emergency_access(**over: Any) -> EmergencyAccess:
    """Save one that was opened just now and tells nobody."""
    fields: dict[str, Any] = {"reason": "Unconscious in the waiting room", "started_at": timezone.now(), **over}
    fields.setdefault("ends_at", fields["started_at"] + OPEN_FOR)
    fields.setdefault("user", over.get("user") or make_user("doctor"))
    fields.setdefault("patient", over.get("patient") or make_patient())
    return EmergencyAccess.objects.create(**fields)
