"""Writes a mark into every text, day and JSON of every row about a patient; a new field is planted by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import count
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, models, transaction

from backend.apps.core import sealed
from backend.apps.core.sealed import BlindIndex, SealedColumn, SealedJSONField
from backend.apps.patients.models import Patient

MARK, DAY, PHONE = "Zqxjk", date(1931, 7, 23), "+14155557391"
MARKS = (
    MARK.lower(), DAY.isoformat(), f"{DAY:%Y%m%d}", f"{DAY:%m/%d/%Y}", f"{DAY:%B %d, %Y}".lower(), repr(DAY), PHONE[1:],
)  # fmt: skip
KEPT_APART = {"core", "admin", "sessions"}  # apps whose tables are looked through for what others told them
LEADS_TO_PATIENTS = {  # what holds patients' data though no column of it is a patient
    "insurance.InboundFile", "insurance.Interchange", "insurance.Remittance", "patients.ContactPoint",
    "messaging.ProviderEvent",
}  # fmt: skip
SHAPES = {  # of JSON that a row has not yet, where a list of texts would be none of its kind
    "clinical_notes.ClinicalNote.attachments": [{"name": "", "reference": ""}],
    "insurance.EligibilityInquiry.benefits": [{"code": "", "amount": ""}],
    "insurance.ClaimLineAdjudication.adjustments": [["", "", "", None]],
}
SHORTEST, LONG = 8, 200  # characters a mark needs; of a column of sentences, which may ask for a whole one
NOT_WRITTEN = (DatabaseError, ValidationError, ValueError, TypeError)
Values = dict[str, Any]
numbers = count(1)


def marks_in(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text.lower()]


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
    found |= {apps.get_model(label) for label in LEADS_TO_PATIENTS}
    return sorted(found, key=lambda model: model._meta.label)


def told(model: type[models.Model]) -> Iterator[Any]:
    """Give the fields of a model that can hold what people or partners wrote: texts, bytes, JSON and days."""
    for field in model._meta.local_concrete_fields:
        is_ours = field.choices or field.remote_field is not None or field.primary_key or isinstance(field, BlindIndex)
        is_text = isinstance(field, models.CharField | models.TextField | models.BinaryField)
        is_day = isinstance(field, models.DateField) and not isinstance(field, models.DateTimeField)
        has_room = (field.max_length or SHORTEST) >= SHORTEST
        if not is_ours and ((is_text and has_room) or is_day or isinstance(field, models.JSONField)):
            yield field


def everything() -> set[str]:
    """Return the names of all such fields of all such models."""
    return {named(model, field) for model in about_patients() for field in told(model)}


def named(model: type[models.Model], field: Any) -> str:
    return f"{model._meta.label}.{field.name}"


def plant() -> set[str]:
    """Write a mark into all rows there are, below the triggers; return the fields of which some row holds one now.

    What is left is what no row has, or what a constraint of the database keeps to a form.
    """
    planted = set[str]()
    for model in about_patients():
        fields = list(told(model))
        rows = list(model._base_manager.all())
        written = set[str]().union(*(_planted(row, fields) for row in rows))
        planted |= {named(model, field) for field in fields if field.name in written}
    return planted


def _planted(row: models.Model, fields: list[Any]) -> set[str]:
    """Plant all fields at once, or else those that can be, one by one."""
    values = {field.name: _values(row, field) for field in fields}
    whole = {name: value for each in values.values() for name, value in each.items()}
    if _update(row, whole):
        return set(values)
    return {name for name, each in values.items() if _update(row, each)}


def _values(row: models.Model, field: Any) -> Values:
    """Return what `update` takes to plant one field; with a sealed column goes its index."""
    mark = mark_for(field, getattr(row, field.attname))
    if not isinstance(field, SealedColumn):
        return {field.name: mark}
    indexes = [index for index in sealed.indexes(type(row)) if index.of == field.name]
    digests = {index.name: index.digest(mark) for index in indexes}
    return {field.name: field.sealed(getattr(row, field.bound_to), mark)} | digests


def mark_for(field: Any, before: Any) -> Any:
    """Return a mark of the kind that the field takes."""
    text = f"{MARK}{next(numbers) % 1000:03}" + (" is here" if (field.max_length or LONG) >= LONG else "")
    if field.name.endswith("record_number"):
        return text.partition(" ")[0].upper()
    if isinstance(field, models.DateField):
        return DAY
    if isinstance(field, models.JSONField | SealedJSONField):
        return marked(before or SHAPES.get(named(field.model, field), before), text)
    if isinstance(field, models.BinaryField):
        size = len(before or b"") or len(text)
        return (text.encode() * (size // len(text) + 1))[:size]  # of which another column says how many there are
    if "phone" in field.name or field.name == "from_number":
        return PHONE
    return f"{text[:SHORTEST].lower()}@example.org" if "email" in field.name else text


def marked(before: Any, text: str) -> Any:
    """Return JSON of the same shape whose every text is the mark; where there is none, one that holds it."""
    if isinstance(before, dict):
        return {key: marked(value, text) for key, value in before.items()} or {"mark": text}
    if isinstance(before, list):
        return [marked(value, text) for value in before] or [text]
    return text if before is None or isinstance(before, str) else before


def _update(row: models.Model, values: Values) -> bool:
    """Write below all rules of our own, as whoever got past them would; constraints of the table hold."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            changed = type(row)._base_manager.filter(pk=row.pk).update(**values)
            cursor.execute("SET LOCAL session_replication_role = origin")
            return changed == 1
    except NOT_WRITTEN:
        return False
