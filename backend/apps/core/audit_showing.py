"""Finds every entry of the audit log that shows who saw a patient; the command, the console and the API ask here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Q

PATIENT, EXPORTED, FILE = "patients.Patient", "interop.DisclosedPatient", "interop.ExportFile"
OF_PATIENTS = ("patient", "Patient")  # kinds of rows, as the API and FHIR name them
OF_EXPORT = "exportjob"
GAVE = ("export", "console.create", "export.download")  # what began an export or fetched a file of it


def keys_of(patient: UUID) -> list[UUID]:
    """Return the keys a person was seen under, those of merged records too; the one that stayed comes first."""
    rows = _rows(PATIENT)
    into = rows.filter(pk=patient).values_list("merged_into", flat=True).first() or patient
    return [into, *rows.filter(merged_into=into).order_by("pk").values_list("pk", flat=True)]


def showing(patient: UUID) -> Q:
    """Return which entries are about a patient, of a list or search that showed them, or of an export with them."""
    keys = keys_of(patient)
    texts = [str(key) for key in keys]
    found = Q(patient_id__in=keys) | Q(resource_type__in=OF_PATIENTS, resource_id__in=texts)
    # Lists of before did not say whom they showed; those of patients have the ids of their rows.
    before = Q(resource_type__in=OF_PATIENTS, resource_id="") & ~Q(detail__has_key="patients")
    for text in texts:
        found |= Q(detail__has_key="patients", detail__patients__contains=[text])
        found |= before & Q(detail__ids__contains=[text])
    return found | _exports(keys)


def _exports(keys: list[UUID]) -> Q:
    jobs = list(_rows(EXPORTED).filter(patient__in=keys).values_list("disclosure__job_id", flat=True))
    if not jobs:
        return Q(pk__in=[])
    files = _rows(FILE).filter(job__in=jobs).values_list("pk", flat=True)
    return Q(resource_type=OF_EXPORT, action__in=GAVE, resource_id__in=[str(key) for key in (*jobs, *files)])


def _rows(label: str) -> Any:
    return apps.get_model(label)._base_manager.all()
