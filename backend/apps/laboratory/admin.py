"""Tests, orders, results and received messages in the admin; results and messages are there to be read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.laboratory import permissions, services
from backend.apps.laboratory.models import (
    CriticalPage,
    CriticalPolicy,
    CriticalResult,
    InboundMessage,
    LabCodeMapping,
    LabFeed,
    LabOrder,
    LabOrderMessage,
    LabReplay,
    LabResult,
    LabSpecimen,
    LabTest,
)


@admin.register(LabTest)
class LabTestAdmin(ClinicAdmin):
    permissions = permissions.LAB_TEST
    list_display = ("test_code", "test_name", "test_category", "normal_range_display", "price", "is_active")
    list_filter = ("test_category", "code_system", "is_active")
    search_fields = ("test_name__istartswith", "test_code__exact")


@admin.register(LabOrder)
class LabOrderAdmin(ClinicAdmin):
    permissions = permissions.LAB_ORDER
    creates = services.order
    updates = services.revise
    list_display = ("order_number", "patient_number", "status", "priority", "order_date", "is_external", "reviewed_at")
    list_filter = ("status", "priority", "is_external", "order_date")
    search_fields = ("order_number__exact", "placer_order_number__exact", "patient__medical_record_number__exact")
    list_select_related = ("patient",)
    autocomplete_fields = ("patient", "doctor", "appointment", "feed", "tests")
    readonly_fields = (
        "order_number", "status", "order_date", "placer_order_number", "is_external", "specimen_collected_at",
        "completed_at", "cancelled_at", "cancelled_by", "cancellation_reason", "reviewed_by", "reviewed_at",
    )  # fmt: skip

    @admin.display(description="MRN")
    def patient_number(self, row: LabOrder) -> str:
        return row.patient.medical_record_number


@admin.register(LabOrderMessage)
class LabOrderMessageAdmin(ReadOnlyAdmin):
    """Messages are sent again or marked as arrived through the API."""

    permissions = permissions.LAB_ORDER_MESSAGE
    list_display = ("created_at", "control_id", "control", "feed", "status", "status_reason", "sent_at", "work_state")
    list_filter = ("status", "control", "work_state", "created_at")
    search_fields = ("control_id__exact", "lab_order__order_number__exact")
    list_select_related = ("feed",)
    exclude = ("raw", "ack")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("raw", "ack")


@admin.register(LabResult)
class LabResultAdmin(ReadOnlyAdmin):
    """Results are entered, corrected and verified through the API."""

    permissions = permissions.LAB_RESULT
    list_display = (
        "created_at",
        "order_number",
        "name",
        "status",
        "abnormal_flag",
        "version",
        "is_current",
        "verified_at",
    )
    list_filter = ("status", "abnormal_flag", "is_current", "created_at")
    search_fields = ("lab_order__order_number__exact", "code_as_sent__exact")
    list_select_related = ("lab_order", "lab_test")

    @admin.display(description="order")
    def order_number(self, row: LabResult) -> str:
        return row.lab_order.order_number

    @admin.display(description="test")
    def name(self, row: LabResult) -> str:
        return row.lab_test.test_name if row.lab_test else row.code_as_sent


@admin.register(LabFeed)
class LabFeedAdmin(ClinicAdmin):
    permissions = permissions.LAB_FEED
    list_display = ("name", "sending_application", "sending_facility", "ack_mode", "match_policy", "is_active")
    list_filter = ("is_active", "ack_mode")
    search_fields = ("name__istartswith", "sending_facility__exact")
    readonly_fields = ("certificate_ends_at",)
    fieldsets = (
        (None, {"fields": ("name", "clia_number", "is_active")}),
        ("Who sends", {"fields": (
            "sending_application", "sending_facility", "allowed_networks", "allowed_certificates",
            "certificate_ends_at", "processing_ids", "versions",
        )}),
        ("How it is read", {"fields": ("charset", "time_zone", "assigning_authority", "match_policy")}),
        ("What is answered and taken", {"fields": ("ack_mode", "adt_policy", "takes_unknown_types")}),
        ("When it is too quiet", {"fields": ("silence_minutes",)}),
        ("Our orders to it", {"fields": (
            "order_message", "order_version", "order_host", "order_port", "order_tls",
        )}),
    )  # fmt: skip


@admin.register(InboundMessage)
class InboundMessageAdmin(ReadOnlyAdmin):
    permissions = permissions.INBOUND_MESSAGE
    list_display = (
        "received_at", "sending_facility", "control_id", "message_type", "status", "status_reason", "work_state",
        "conflict", "repeats",
    )  # fmt: skip
    list_filter = ("status", "work_state", "conflict", "received_at")
    search_fields = ("control_id__exact", "sha256__exact")
    list_select_related = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("raw")


@admin.register(LabReplay)
class LabReplayAdmin(ReadOnlyAdmin):
    """Replays are asked for, applied and stopped in the lab inbox."""

    permissions = permissions.LAB_REPLAY
    list_display = (
        "created_at",
        "dry_run",
        "status",
        "total",
        "done",
        "appears",
        "changes",
        "disappears",
        "work_state",
    )
    list_filter = ("status", "dry_run")


@admin.register(CriticalResult)
class CriticalResultAdmin(ReadOnlyAdmin):
    """Critical results are acknowledged in the console and through the API."""

    permissions = permissions.CRITICAL_RESULT
    list_display = ("created_at", "status", "tier", "rounds", "due_at", "acknowledged_at", "closed_reason")
    list_filter = ("status", "tier", "created_at")
    search_fields = ("id__exact",)
    list_select_related = ()


@admin.register(CriticalPage)
class CriticalPageAdmin(ReadOnlyAdmin):
    permissions = permissions.CRITICAL_PAGE
    list_display = ("created_at", "recipient", "subject", "tier", "channel", "status", "work_state", "last_error")
    list_filter = ("status", "work_state", "channel", "created_at")
    search_fields = ("id__exact",)
    list_select_related = ("recipient",)


@admin.register(CriticalPolicy)
class CriticalPolicyAdmin(ClinicAdmin):
    permissions = permissions.CRITICAL_POLICY
    list_display = ("covering_after_minutes", "administrators_after_minutes", "repeat_minutes", "max_age_hours")


@admin.register(LabSpecimen)
class LabSpecimenAdmin(ReadOnlyAdmin):
    permissions = permissions.LAB_SPECIMEN
    list_display = ("created_at", "type_text", "collected_at", "received_at", "condition", "reject_reason")
    list_filter = ("created_at",)
    search_fields = ("specimen_id__exact", "lab_order__order_number__exact")
    list_select_related = ()


@admin.register(LabCodeMapping)
class LabCodeMappingAdmin(ClinicAdmin):
    """To map a code again makes another version."""

    permissions = permissions.LAB_CODE_MAPPING
    creates = services.map_code
    list_display = ("code", "system", "feed", "lab_test", "version", "is_current", "created_by")
    list_filter = ("is_current", "feed")
    search_fields = ("code__exact",)
    list_select_related = ("feed", "lab_test", "created_by")
    autocomplete_fields = ("lab_test",)
    readonly_fields = ("version", "is_current", "created_by")
