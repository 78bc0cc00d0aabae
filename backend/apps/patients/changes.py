"""Tells the apps above what changed in how a patient is reached; without it a text would follow an old time zone."""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.utils.module_loading import import_string

from backend.apps.patients.models import Patient

MATTER = frozenset({
    "phone", "email", "time_zone", "state", "country", "preferred_language", "sms_consent", "email_consent",
})  # fmt: skip


def tell(patient: Patient, changed: Iterable[str] = MATTER) -> None:
    """Call what an app names as `after_patient_change`, in the same transaction, if one of `changed` matters.

    Named and not imported, for such an app stands above this one.
    """
    if MATTER.isdisjoint(changed):
        return
    for config in apps.get_app_configs():
        if path := getattr(config, "after_patient_change", ""):
            import_string(path)(patient)
