"""Holds that no list sorts or filters a whole table: what a list offers begins an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.urls import get_resolver

from backend.apps.core.management.commands.roles import viewsets

FEW_ROWS = {  # tables of a few hundred rows at most, whatever the size of the clinic
    "clinics", "critical-policies", "departments", "doctors", "doctor-availabilities", "doctor-credentials",
    "employees", "employee-performance-reviews", "employee-time-offs", "insurance-plans", "insurance-providers",
    "employee-credentials", "credential-policies", "credential-rules", "lab-feeds", "lab-tests", "medications",
    "recall-rules", "specializations", "users", "clinical-note-templates",
    "message-templates", "reminder-policies", "contact-rules", "billing-entities", "service-facilities",
    "trading-partners", "partner-payers", "time-off-policies", "retention-rules",
}  # fmt: skip
WITH_ANOTHER = {"audit-logs": {"resource_id"}}  # found by the second column of an index, beside its first
LARGE = {name: view for name, view in viewsets(get_resolver().url_patterns) if name not in FEW_ROWS}


def leading_columns(model: type[models.Model]) -> set[str]:
    """Return the names of fields that begin an index, a unique constraint or a key of the model."""
    fields = {field.name for field in model._meta.fields if field.primary_key or field.unique or field.db_index}
    indexes = {index.fields[0].lstrip("-") for index in model._meta.indexes if index.fields}
    unique = {c.fields[0] for c in model._meta.constraints if isinstance(c, models.UniqueConstraint) and c.fields}
    return fields | indexes | unique


def whole_indexes(model: type[models.Model]) -> set[str]:
    """Return the fields that begin an index over the whole table, not over a part of it."""
    whole = {index.fields[0].lstrip("-") for index in model._meta.indexes if index.fields and not index.condition}
    return whole | {field.name for field in model._meta.fields if field.primary_key or field.unique}


@pytest.mark.parametrize("name", sorted(LARGE))
def test_every_order_a_large_list_offers_is_an_index(name: str) -> None:
    view: Any = LARGE[name]
    offered = {*view.ordering, *view.ordering_fields}
    missing = {field.lstrip("-") for field in offered} - whole_indexes(view.queryset.model)
    assert missing == set(), missing


@pytest.mark.parametrize("name", sorted(LARGE))
def test_every_field_a_large_list_filters_by_begins_an_index(name: str) -> None:
    view: Any = LARGE[name]
    filterset = getattr(view, "filterset_class", None)
    fields = dict(filterset._meta.fields) if filterset else dict(getattr(view, "filterset_fields", {}))
    model = view.queryset.model
    direct = {field for field in fields if "__" not in field}
    booleans = {field.name for field in model._meta.fields if isinstance(field, models.BooleanField)}
    assert direct - booleans - leading_columns(model) - WITH_ANOTHER.get(name, set()) == set()
