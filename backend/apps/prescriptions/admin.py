"""Medications, prescriptions and refills in the admin; filling and approving happens through the API."""

from __future__ import annotations

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin
from backend.apps.prescriptions import permissions, services
from backend.apps.prescriptions.models import Medication, Prescription, PrescriptionRefill


@admin.register(Medication)
class MedicationAdmin(ClinicAdmin):
    permissions = permissions.MEDICATION
    list_display = (
        "ndc_code", "generic_name", "brand_name", "strength", "dosage_form", "controlled_substance_schedule",
        "is_formulary",
    )  # fmt: skip
    list_filter = ("drug_class", "controlled_substance_schedule", "is_active", "is_formulary")
    search_fields = ("generic_name__istartswith", "brand_name__istartswith", "ndc_code__exact", "rxnorm_code__exact")


@admin.register(Prescription)
class PrescriptionAdmin(ClinicAdmin):
    permissions = permissions.PRESCRIPTION
    creates = services.prescribe
    updates = services.revise
    list_display = (
        "prescription_number", "patient_number", "medication_name", "status", "prescribed_date", "refills_remaining",
        "expiration_date",
    )  # fmt: skip
    list_filter = ("status", "schedule", "prescribed_date")
    search_fields = ("prescription_number__exact", "patient__medical_record_number__exact")
    list_select_related = ("patient", "medication")
    autocomplete_fields = ("patient", "doctor", "medication", "appointment")
    readonly_fields = (
        "prescription_number", "status", "prescribed_date", "refills_remaining", "fills", "schedule",
        "dea_number_used", "electronically_sent", "sent_to_pharmacy_at", "last_filled_date", "cancelled_at",
        "cancellation_reason",
    )  # fmt: skip

    @admin.display(description="MRN")
    def patient_number(self, row: Prescription) -> str:
        return row.patient.medical_record_number

    @admin.display(description="medication")
    def medication_name(self, row: Prescription) -> str:
        return row.medication.admin_label


@admin.register(PrescriptionRefill)
class PrescriptionRefillAdmin(ClinicAdmin):
    permissions = permissions.PRESCRIPTION_REFILL
    creates = services.request_refill
    list_display = ("requested_date", "number", "status", "requested_by_patient", "filled_date", "quantity_filled")
    list_filter = ("status", "requested_by_patient", "requested_date")
    search_fields = ("prescription__prescription_number__exact",)
    list_select_related = ("prescription",)
    autocomplete_fields = ("prescription",)
    readonly_fields = (
        "status", "requested_date", "requested_by_patient", "approved_by", "approved_at", "denial_reason",
        "filled_date", "quantity_filled",
    )  # fmt: skip

    @admin.display(description="prescription")
    def number(self, row: PrescriptionRefill) -> str:
        return row.prescription.prescription_number
