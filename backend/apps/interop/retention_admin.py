"""Rules of retention and what came of them in the admin."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.core.models import RetentionRule, RetentionRun
from backend.apps.interop import retention_rules
from backend.apps.interop.permissions import RETENTION, RETENTION_RUN


@admin.register(RetentionRule)
class RetentionRuleAdmin(ClinicAdmin):
    """A rule is looked at and activated on the page of the console."""

    permissions = RETENTION
    creates = retention_rules.create
    updates = retention_rules.change
    list_display = ("data_class", "keep_days", "legal_floor_days", "legal_source", "is_active", "looked_at")
    list_filter = ("is_active",)
    fields = (
        "data_class", "keep_days", "legal_floor_days", "legal_source", "is_active", "reason", "changed_at", "looked_at",
    )  # fmt: skip
    readonly_fields: ClassVar[tuple[str, ...]] = ("is_active", "reason", "changed_at", "looked_at")


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    permissions = RETENTION_RUN
    list_display = ("created_at", "data_class", "is_dry", "cutoff", "found", "removed", "by", "ended_at")
    list_filter = ("is_dry", "data_class")
    search_fields = ("id__exact",)
    list_select_related = ("by",)
