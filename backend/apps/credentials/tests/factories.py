"""Makes policies, alerts and notices of credentials for tests."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.credentials.models import CredentialAlert, CredentialNotice, CredentialPolicy
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees.models import CredentialType

_numbers = itertools.count(1)


def lapsing(days: int, *, today: date | None = None, **over: Any) -> DoctorCredential:
    """Save a credential that expires so many days from `today`; of a doctor who has no other one unless named."""
    doctor = over.pop("doctor", None) or make_doctor(licensed=False)
    return make_credential(doctor=doctor, expiry_date=(today or Clinic.today()) + timedelta(days=days), **over)


def make_policy(**over: Any) -> CredentialPolicy:
    """Save rules of a type that has none yet."""
    left = [kind for kind in CredentialType if not CredentialPolicy.objects.filter(credential_type=kind).exists()]
    return CredentialPolicy.objects.create(**{"credential_type": left[0] if left else "other", **over})


def make_alert(doctor: Doctor | None = None, **over: Any) -> CredentialAlert:
    """Save an alert that is open, as the sweep raises it."""
    credential = over.pop("credential", None) or lapsing(20, doctor=doctor)
    fields = {"credential_type": credential.credential_type, "tier": 30, "expiry_date": credential.expiry_date}
    link = "doctor_credential" if isinstance(credential, DoctorCredential) else "employee_credential"
    return CredentialAlert.objects.create(**{link: credential, **fields, **over})


def make_notice(doctor: Doctor | None = None, **over: Any) -> CredentialNotice:
    """Save an e-mail to the holder that waits to be sent."""
    alert = over.pop("alert", None) or make_alert(doctor)
    fields = {"audience": "holder", "recipient": alert.credential.holder.user, "day": Clinic.today()}
    key = f"test:{next(_numbers)}"
    return CredentialNotice.objects.create(alert=alert, **{"dedupe_key": key, **fields, **over})
