"""Notes in the admin: drafts may be changed there, signed notes only read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from backend.apps.clinical_notes import permissions, services
from backend.apps.clinical_notes.models import ClinicalNote, ClinicalNoteTemplate, ProgressNote, SOAPNote
from backend.apps.core.admin import ClinicAdmin


@admin.register(ClinicalNote)
class ClinicalNoteAdmin(ClinicAdmin):
    permissions = permissions.NOTE
    creates = services.write
    updates = services.rewrite
    list_display = ("created_at", "patient_name", "doctor_name", "note_type", "is_signed", "signed_at")
    list_filter = ("is_signed", "note_type", "created_at")
    search_fields = ("patient__medical_record_number", "patient__last_name", "doctor__user__last_name")
    list_select_related = ("patient", "doctor__user")
    autocomplete_fields = ("patient", "doctor", "appointment")
    readonly_fields = ("amends", "is_signed", "signed_at", "signed_by")

    @admin.display(description="patient", ordering="patient__last_name")
    def patient_name(self, row: ClinicalNote) -> str:
        return row.patient.full_name

    @admin.display(description="doctor")
    def doctor_name(self, row: ClinicalNote) -> str:
        return row.doctor.full_name

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not getattr(obj, "is_signed", False)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not getattr(obj, "is_signed", False)


class NotePartAdmin(ClinicAdmin):
    permissions = permissions.NOTE_PART
    updates = services.rewrite_part
    list_filter = ("clinical_note__is_signed", "created_at")
    search_fields = ("clinical_note__patient__medical_record_number", "clinical_note__patient__last_name")
    list_select_related = ("clinical_note",)
    autocomplete_fields = ("clinical_note",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        signed = obj is not None and obj.clinical_note.is_signed
        return super().has_change_permission(request, obj) and not signed


@admin.register(SOAPNote)
class SOAPNoteAdmin(NotePartAdmin):
    creates = services.write_soap
    list_display = ("created_at", "clinical_note", "blood_pressure", "bmi")


@admin.register(ProgressNote)
class ProgressNoteAdmin(NotePartAdmin):
    creates = services.write_progress
    list_display = ("created_at", "clinical_note")


@admin.register(ClinicalNoteTemplate)
class ClinicalNoteTemplateAdmin(ClinicAdmin):
    permissions = permissions.TEMPLATE
    creates = services.keep_template
    updates = services.change_template
    list_display = ("name", "note_type", "doctor_name", "created_at")
    list_filter = ("note_type",)
    search_fields = ("name", "description")
    list_select_related = ("doctor__user",)
    autocomplete_fields = ("doctor",)

    @admin.display(description="doctor")
    def doctor_name(self, row: ClinicalNoteTemplate) -> str:
        return row.doctor.full_name if row.doctor else "everybody"
