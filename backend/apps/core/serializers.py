"""Serializers that refuse unknown fields and point only to rows the caller may see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import models
from rest_framework import serializers

from backend.apps.core import closed_values, field_rules
from backend.apps.core.field_rules import FieldRule
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.models import Alert, AuditLog, Clinic

UNSEEN = "Your role does not see this field whole, so it cannot write it."


class RefuseUnknown(serializers.Serializer):
    """A misspelt field would be lost without a word: it is an error instead."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError({name[:80]: ["There is no such field."] for name in unknown[:20]})
        return super().to_internal_value(data)


class Form(RefuseUnknown):
    """The input of a verb."""


class ClinicSerializer(RefuseUnknown, serializers.ModelSerializer):
    """A model's fields, written out by each subclass; related rows are limited to those the caller may see.

    What the caller's role does not see whole (`core.field_rules`) is masked or left out, and cannot be written.
    """

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for name in ("id", "created_at", "updated_at"):
            if name in fields:
                fields[name].read_only = True
        seen = field_rules.only(self.Meta.model, self._caller)
        return fields if seen is None else {name: field for name, field in fields.items() if name in seen}

    def to_internal_value(self, data: Any) -> Any:
        taken = super().to_internal_value(data)
        given = set(data) & {name for name in self._ruled if not self.fields[name].read_only}
        unseen = [name for name in sorted(given) if not self._sees(name, self.instance)]
        if unseen:
            raise serializers.ValidationError({name: [UNSEEN] for name in unseen})
        return taken

    def to_representation(self, instance: Any) -> dict[str, Any]:
        try:
            shown: dict[str, Any] = super().to_representation(instance)
        except CannotOpen as closed:
            hides = closed.field in self._ruled and not self._sees(closed.field, instance)
            if not isinstance(self.parent, serializers.ListSerializer) and not hides:
                raise
            shown = self._as_far_as_it_opens(instance)
        for name, (_, one) in self._ruled.items():
            if name in shown and not self._sees(name, instance):
                value = shown.pop(name)
                shown |= {name: field_rules.mask(value)} if one.masked else {}
        return shown

    def _as_far_as_it_opens(self, instance: Any) -> dict[str, Any]:
        """Return a row without what does not open, which `unreadable` names."""
        shown: dict[str, Any] = {"unreadable": []}
        for name, field in self.fields.items():
            if field.write_only:
                continue
            try:
                value = field.get_attribute(instance)
                shown[name] = None if value is None else field.to_representation(value)
            except serializers.SkipField:
                continue
            except CannotOpen as closed:
                closed_values.tell(closed)
                shown["unreadable"].append(name)
        return shown

    @cached_property
    def _ruled(self) -> dict[str, tuple[Sequence[str], FieldRule]]:
        """Return, of the fields that have a rule, the steps to the row it is of, and the rule."""
        found: dict[str, tuple[Sequence[str], FieldRule]] = {}
        model: type[models.Model] = self.Meta.model
        for name, field in self.fields.items():
            steps = field.source_attrs
            one = field_rules.rule_at(model, "__".join(steps))
            if one is not None and field.source != "*":
                found[name] = (steps[:-1], one)
        return found

    def _sees(self, name: str, row: Any) -> bool:
        steps, one = self._ruled[name]
        for step in steps:
            row = getattr(row, step, None)
        return one.sees(self._caller, row)

    @property
    def _caller(self) -> Any:
        return getattr(self.context.get("request"), "user", None)

    def build_relational_field(self, field_name: str, relation_info: Any) -> tuple[type, dict[str, Any]]:
        kind, kwargs = super().build_relational_field(field_name, relation_info)
        if "queryset" in kwargs:
            kwargs["queryset"] = self._choices(kwargs["queryset"])
        return kind, kwargs

    def _choices(self, rows: Any) -> Any:
        request = self.context.get("request")
        if isinstance(rows, models.Manager):
            rows = rows.all()
        if request is None or not hasattr(rows, "visible_to"):
            return rows
        return rows.visible_to(request.user)


def checked(row: models.Model) -> models.Model:
    """Return `row` after its own rules passed; raise a DRF error that names the fields otherwise."""
    try:
        row.full_clean()
    except ModelValidationError as error:
        raise serializers.ValidationError(error.message_dict) from error
    return row


class ClinicProfileSerializer(ClinicSerializer):
    class Meta:
        model = Clinic
        fields = [
            "id", "name", "npi_number", "tax_id", "taxonomy_code", "clia_number", "address_line1", "address_line2",
            "city", "state", "postal_code", "phone", "email", "time_zone", "locale", "created_at", "updated_at",
        ]  # fmt: skip


class AuditLogSerializer(serializers.ModelSerializer):
    class Meta:
        model = AuditLog
        fields = [
            "id", "timestamp", "user", "action", "resource_type", "resource_id", "patient_id", "outcome",
            "ip_address", "user_agent", "request_id", "detail",
        ]  # fmt: skip
        read_only_fields = fields


class AlertSerializer(ClinicSerializer):
    looked_after = serializers.BooleanField(
        read_only=True,
        help_text="Whether somebody acknowledged it since `news_at`: it began, began again or became worse.",
    )

    class Meta:
        model = Alert
        fields = [
            "id", "cause", "kind", "severity", "subject_type", "subject_id", "sentence", "opened_at", "last_seen_at",
            "times", "news_at", "looked_after", "acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
