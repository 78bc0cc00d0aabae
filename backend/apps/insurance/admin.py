"""Billing's rows in the admin, with the API's tables and services."""

from django.contrib import admin

from backend.apps.core.admin import ClinicAdmin
from backend.apps.insurance import permissions, services
from backend.apps.insurance.models import InsuranceClaim, InsurancePlan, InsuranceProvider, PatientInsurance


@admin.register(InsuranceProvider)
class InsuranceProviderAdmin(ClinicAdmin):
    permissions = permissions.PROVIDER
    list_display = ("company_name", "payer_id", "phone", "is_active")
    list_filter = ("is_active",)
    search_fields = ("company_name", "payer_id")
    list_select_related = ()


@admin.register(InsurancePlan)
class InsurancePlanAdmin(ClinicAdmin):
    permissions = permissions.PLAN
    list_display = ("plan_name", "provider", "plan_type", "plan_number", "group_number")
    list_filter = ("plan_type",)
    search_fields = ("plan_name", "plan_number")
    autocomplete_fields = ("provider",)
    list_select_related = ("provider",)


@admin.register(PatientInsurance)
class PatientInsuranceAdmin(ClinicAdmin):
    permissions = permissions.COVERAGE
    updates = services.change_coverage
    list_display = ("id", "patient", "insurance_plan", "priority", "effective_date", "verification_status")
    list_filter = ("verification_status", "priority")
    search_fields = ("id", "patient__medical_record_number")
    autocomplete_fields = ("patient", "insurance_plan")
    list_select_related = ("patient", "insurance_plan")
    readonly_fields = ("last_verified_date", "verification_status")


@admin.register(InsuranceClaim)
class InsuranceClaimAdmin(ClinicAdmin):
    permissions = permissions.CLAIM
    creates = services.write_claim
    updates = services.change_claim
    list_display = ("claim_number", "status", "service_date", "submission_date", "billed_amount", "paid_amount")
    list_filter = ("status",)
    search_fields = ("claim_number", "insurance_reference_number")
    autocomplete_fields = ("patient_insurance", "appointment")
    list_select_related = ()
    readonly_fields = (
        "claim_number", "status", "submission_date", "allowed_amount", "paid_amount", "patient_responsibility",
        "insurance_reference_number", "response_date", "denial_reason", "payment_date", "payment_reference",
    )  # fmt: skip
