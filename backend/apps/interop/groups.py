"""Puts patients into groups and takes them out, by record number; without it a group could only be made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from backend.apps.core.exceptions import DomainError
from backend.apps.interop.models import PatientGroup, PatientGroupMember
from backend.apps.patients.models import Patient


@transaction.atomic
def found(*, by: Any, add: Sequence[str] = (), take_out: Sequence[str] = (), **fields: Any) -> PatientGroup:
    """Make a group of the patients with the record numbers `add`; of a new one there is nobody to take out."""
    return _save(PatientGroup(), fields, add=add, take_out=())


@transaction.atomic
def change(
    group: PatientGroup, *, by: Any, add: Sequence[str] = (), take_out: Sequence[str] = (), **fields: Any
) -> PatientGroup:
    """Change a group; who is in it already, or not in it, is no fault. What is both added and taken out is in it."""
    return _save(group, fields, add=add, take_out=take_out)


def _save(group: PatientGroup, fields: dict[str, Any], *, add: Sequence[str], take_out: Sequence[str]) -> PatientGroup:
    for name, value in fields.items():
        setattr(group, name, value)
    group.full_clean()
    group.save()  # also where only members change: the group as FHIR is another one then
    leaving = _patients(take_out, among=Patient.all_objects.all())
    PatientGroupMember.objects.filter(group=group, patient__in=leaving).delete()
    members = [
        PatientGroupMember(group=group, patient_id=patient) for patient in _patients(add, among=Patient.objects.all())
    ]
    PatientGroupMember.objects.bulk_create(members, batch_size=1000, ignore_conflicts=True)
    return group


def _patients(numbers: Sequence[str], *, among: QuerySet[Patient]) -> list[UUID]:
    """Return the patients of these record numbers; of a record that was merged, the one that stays."""
    rows = among.filter(medical_record_number__in=set(numbers))
    known = dict(rows.values_list("medical_record_number", Coalesce("merged_into", "pk")))
    unknown = [place for place, number in enumerate(numbers, 1) if number not in known]
    if unknown:
        told = ", ".join(map(str, unknown[:5]))
        raise DomainError(f"No patient on file has the record number at place {told} of the list; nothing was changed.")
    return list(known.values())
