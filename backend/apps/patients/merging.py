"""Joins two records of one person; without it half of a chart would hang under a number nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.patients import changes, consents
from backend.apps.patients.models import ConsentMethod, EmergencyAccess, Patient

CHANNELS = ("sms", "email")


@transaction.atomic
def merge(patient: Patient, *, by: Any, into: Patient) -> Patient:
    """Move everything of `patient` to `into`, the other record of the same person; return the record that stays.

    All of it or nothing; merging the same two again changes nothing. `patient` is kept, marked as deleted, and points
    to where it went; of the consents the stricter one holds.

    Raises:
        DomainError: the records cannot be of one person, or rows of both contradict each other.
    """
    for path in _named("before_merge"):
        import_string(path)([patient.pk, into.pk, survivor(into).pk])
    patient, into = _locked(patient, into)
    if survivor(patient).pk == survivor(into).pk:
        if patient.pk == into.pk:
            raise DomainError("A record cannot be merged with itself.")
        return survivor(into)
    patient, into = _locked(patient, survivor(into))
    _refuse(patient, into)
    _take_over(patient, into, by)
    EmergencyAccess.keep_links(patient, into)
    patient.merged_into, patient.is_deleted, patient.deleted_at = into, True, timezone.now()
    patient.save(update_fields=["user", "merged_into", "is_deleted", "deleted_at", "updated_at"])
    into.save(update_fields=["user", "updated_at"])
    Patient.all_objects.filter(merged_into=patient).update(merged_into=into)  # who was merged here before
    with ExitStack() as around:
        for path in _named("around_merge"):
            around.enter_context(import_string(path)(patient, into))
        moved = {field.model._meta.model_name: _move(field, patient, into) for field in links()}
    changes.tell(into)
    detail = {"from": str(patient.pk), "moved": {name: count for name, count in moved.items() if count}}
    audit.record(None, "merge", "patient", str(into.pk), patient_id=into.pk, detail=detail, user=by)
    return into


def links() -> Iterator[models.Field[Any, Any]]:
    """Yield every column of any app that points to a patient, but for the records themselves."""
    for relation in Patient._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToOneRel) and relation.related_model is not Patient:
            yield relation.remote_field


def _named(role: str) -> Iterator[str]:
    """Yield what apps name, and are not imported for, as they stand above this one.

    before_merge: locks of these patients' rows what others lock before a patient. around_merge: a context of
    (patient, into) for what one table's `make_room` cannot.
    """
    for config in apps.get_app_configs():
        if path := getattr(config, role, ""):
            yield path


def _locked(*patients: Patient) -> list[Patient]:
    """Return the rows as they are now, locked in one order, so that two merges at once do not block each other."""
    keys = [patient.pk for patient in patients]
    rows = Patient.all_objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk").in_bulk()
    return [rows[key] for key in keys]


def survivor(patient: Patient) -> Patient:
    """Return the record a merged one went to, or the record itself."""
    return Patient.all_objects.get(pk=patient.merged_into_id) if patient.merged_into_id else patient


def _refuse(patient: Patient, into: Patient) -> None:
    if patient.merged_into_id:
        raise DomainError("This record was merged with another one before.")
    if patient.is_deleted or into.is_deleted:
        raise DomainError("One of these records has been removed.")
    if patient.user_id and into.user_id:
        raise DomainError("Each of these records has a login of its own; take one login away first.")


def _take_over(patient: Patient, into: Patient, by: Any) -> None:
    """Give `into` the login, and a consent only where both records had it."""
    into.user, patient.user = patient.user or into.user, None
    Patient.all_objects.filter(pk=patient.pk).update(user=None)  # a login belongs to one record at a time
    for channel in CHANNELS:
        if getattr(into, f"{channel}_consent") and not getattr(patient, f"{channel}_consent"):
            consents.record(into, channel, False, by=by, method=ConsentMethod.MERGE, evidence=str(patient.pk))


def _move(field: models.Field[Any, Any], patient: Patient, into: Patient) -> int:
    """Point the rows of one column to `into`; return how many.

    A model whose rows may stand in each other's way has a class method `make_room(patient, into)`.
    """
    model: Any = field.model
    if hasattr(model, "make_room"):
        model.make_room(patient, into)
    changes: dict[str, Any] = {field.name: into}
    if any(each.name == "updated_at" for each in model._meta.fields):
        changes["updated_at"] = timezone.now()
    try:
        with transaction.atomic():
            count: int = model._base_manager.filter(**{field.name: patient}).update(**changes)
    except IntegrityError:
        names = model._meta.verbose_name_plural
        raise DomainError(f"The {names} of both records contradict each other; settle that first.") from None
    return count
