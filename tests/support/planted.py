"""Writes a mark into every free text of every row about a patient; a field that is new is planted by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction

from backend.apps.patients.models import Patient

MARK = "Zqxjk"
KEPT_APART = {"core", "admin", "sessions"}  # apps whose tables are looked through for what others told them
NOT_WRITTEN = (DatabaseError, ValidationError, ValueError, TypeError)


def about_patients() -> list[type[models.Model]]:
    """Return the models whose rows are about a patient, however many steps away."""
    found: set[type[models.Model]] = {Patient}
    while more := {
        model
        for model in apps.get_models()
        if model not in found and model._meta.app_label not in KEPT_APART
        for field in model._meta.concrete_fields
        if field.remote_field is not None and field.remote_field.model in found
    }:
        found |= more
    return sorted(found, key=lambda model: model._meta.label)


def texts(model: type[models.Model]) -> Iterator[Any]:
    """Give the fields of a model that hold what people or partners wrote."""
    for field in model._meta.local_concrete_fields:
        is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
        if is_text and field.remote_field is None and not field.primary_key and (field.max_length or 99) >= 8:
            yield field


def plant() -> tuple[set[str], set[str]]:
    """Write a mark into all rows there are; return the fields that hold one now, and those whose form forbids it.

    A form is a constraint of the database: of a number, a code or a state of ours.
    """
    planted, formed, number = set[str](), set[str](), 0
    for model in about_patients():
        for field in texts(model):
            for row in model._base_manager.values_list("pk", flat=True):
                number += 1
                is_mail = isinstance(field, models.EmailField) or "email" in field.name
                mark = f"zqxjk{number}@example.org" if is_mail else f"{MARK}{number:03}"
                name = f"{model._meta.label}.{field.name}"
                (planted if _written(model, row, field.name, mark) else formed).add(name)
    return planted, formed - planted


def _written(model: type[models.Model], pk: Any, name: str, mark: str) -> bool:
    try:
        with transaction.atomic():
            return model._base_manager.filter(pk=pk).update(**{name: mark}) == 1
    except NOT_WRITTEN:
        return False
