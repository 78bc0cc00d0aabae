"""Makes exceptions from missing credentials, and doctors whose licence lapsed, for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.credentials.models import CredentialOverride
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import license_doctor, make_doctor
from backend.apps.users.tests.factories import make_user


def lapsed_doctor(days: int = 1, **over: Any) -> Doctor:
    """Save a doctor whose licence ended so many days ago; the DEA registration goes on."""
    doctor = make_doctor(licensed=False, **over)
    licence, _ = license_doctor(doctor)
    licence.expiry_date = Clinic.today() - timedelta(days=days)
    licence.save(update_fields=["expiry_date"])
    return doctor


def make_override(doctor: Doctor | None = None, **over: Any) -> CredentialOverride:
    """Save an exception for a day from now, without the alert about it."""
    now = over.pop("granted_at", None) or timezone.now()
    fields = {"credential_type": "state_license", "reason": "The board is late.", **over}
    fields.setdefault("granted_by", None)
    fields["granted_by"] = fields["granted_by"] or make_user(role="admin")
    fields.setdefault("expires_at", now + timedelta(days=1))
    return CredentialOverride.objects.create(doctor=doctor or make_doctor(), granted_at=now, **fields)
