"""Opens every list of every door and holds that its row of the audit log names each patient it told of."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from backend.apps.appointments.models import FreedSlot
from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.patients.models import Patient
from tests.security.matrix import RESOURCES, make, make_practice, other_people
from tests.support.api_contract import client_for
from tests.support.pages import signed_in
from tests.support.planted import about_patients

pytestmark = pytest.mark.django_db
OF_LOOKS = {"audit-logs", "AuditEvent"}  # they name whom an entry is about, not all whom the list it tells of showed
FEWEST = 60  # lists that tell of a patient; there are more


def path_to_patient(model: Any, depth: int = 4) -> str:
    """Return the shortest way from a row to its patient's key by foreign keys, "" where none is that short."""
    if model is Patient or not depth:
        return "pk" if model is Patient else ""
    steps = [field for field in model._meta.concrete_fields if field.remote_field is not None]
    found = [f"{step.name}__{rest}" for step in steps if (rest := path_to_patient(step.related_model, depth - 1))]
    return min(found, key=lambda path: path.count("__"), default="")


def tellers() -> dict[str, str]:
    """Return {text: id of the patient it tells of}: their names and numbers, and the keys of all rows about them."""
    found = {}
    for model in set(about_patients()) - {FreedSlot}:  # a time: whose visit was there is not told beside it
        if path := path_to_patient(model):
            rows = model._base_manager.exclude(**{path: None}).values_list("pk", path)
            found |= {str(pk): str(patient) for pk, patient in rows}
    for patient in Patient.objects.all():
        found |= dict.fromkeys((patient.last_name, patient.medical_record_number), str(patient.pk))
    return found


def lists() -> dict[str, str]:
    """Return {address: door} of each list that can be opened without knowing a row."""
    of_models = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry]
    pages = [reverse(f"console:{entry.name}") for entry in urlpatterns if not entry.pattern.converters]
    return (
        {f"/api/v1/{name}/": "api" for name in RESOURCES.keys() - OF_LOOKS}
        | {f"/fhir/R4/{kind}": "api" for kind in SOURCES.keys() - OF_LOOKS}
        | dict.fromkeys([*pages, *(reverse(f"admin:{name}") for name in of_models)], "pages")
    )


def named_by(rows: QuerySet[AuditLog]) -> set[str]:
    """Return the patients that rows of the log name as `audit.showing` finds them."""
    return {str(one) for row in rows for one in (row.patient_id, *row.detail.get("patients", ())) if one}


def test_every_list_notes_each_patient_it_told_of() -> None:
    practice = make_practice()
    for resource in RESOURCES:
        make(resource, other_people(practice))
    for number, patient in enumerate(Patient.objects.all()):
        Patient.objects.filter(pk=patient.pk).update(last_name=f"Zqxjk{number:03}last")
    marks, login = tellers(), practice.logins[Role.ADMIN]
    doors: dict[str, Client] = {"api": client_for(login), "pages": signed_in(login)}
    unnamed, told = {}, 0
    for url, door in lists().items():
        known = set(AuditLog.objects.values_list("pk", flat=True))
        text = b"".join(doors[door].get(url)).decode(errors="replace")
        showed = {of for mark, of in marks.items() if mark in text}
        told += bool(showed)
        if missing := showed - named_by(AuditLog.objects.exclude(pk__in=known)):
            unnamed[url] = [mark for mark, of in marks.items() if of in missing and mark in text]
    assert unnamed == {}
    assert told >= FEWEST
