"""Finds the page of each row that closing the books names; else a fault would be an id that nobody can look up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db import models
from django.urls import reverse

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.credentials.models import CredentialAlert, CredentialNotice
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees.models import EmployeeCredential
from backend.apps.insurance.models import (
    InboundFile,
    InsuranceClaim,
    Interchange,
    Remittance,
    RemittanceClaim,
    Submission,
)
from backend.apps.interop.models import ExportFile, ExportJob
from backend.apps.laboratory.models import InboundMessage, LabResult
from backend.apps.messaging.models import PatientMessage, ProviderEvent

NAMED: Mapping[str, tuple[type[models.Model], ...]] = {  # by part, whose rows its checks name
    "laboratory": (InboundMessage, LabResult),
    "reminders": (AppointmentReminder, PatientMessage, ProviderEvent),
    "claims": (InsuranceClaim, Submission, Interchange, InboundFile, Remittance, RemittanceClaim),
    "exports": (ExportJob, ExportFile),
    "credentials": (CredentialAlert, CredentialNotice, DoctorCredential, EmployeeCredential),
}
OWN: Mapping[type[models.Model], tuple[str, str]] = {  # the console's page of a row, and the column that names it there
    InboundMessage: ("console:lab-message", "pk"),
    LabResult: ("console:lab-history", "pk"),
    AppointmentReminder: ("console:reminder-visit", "appointment_id"),
    InsuranceClaim: ("console:claim", "pk"),
    Submission: ("console:claim", "claim_id"),
    Remittance: ("console:remittance", "pk"),
    RemittanceClaim: ("console:remittance-claim", "pk"),
    ExportJob: ("console:export", "pk"),
    ExportFile: ("console:export", "job_id"),
}


def addresses(part: str, named: Iterable[str]) -> dict[str, str]:
    """Return by id the page of each row that is there; one query for each kind of row of the part."""
    keys, found = {text for text in named if _is_key(text)}, dict[str, str]()
    for model in NAMED.get(part, ()):
        if not keys:
            break
        name, column = OWN.get(model, ("", "pk"))
        for pk, value in model._base_manager.filter(pk__in=keys).values_list("pk", column):
            found[str(pk)] = reverse(name, args=[value]) if name else _admin(model, pk)
        keys -= found.keys()
    return found


def _admin(model: type[models.Model], pk: Any) -> str:
    if model not in admin.site._registry:
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def _is_key(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
