"""Billing's rows in the admin, with the API's tables and services."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.insurance import deposits, permissions, priors, services
from backend.apps.insurance.models import (
    BillingEntity,
    CodeSet,
    Deposit,
    EligibilityInquiry,
    InboundFile,
    InsuranceClaim,
    InsurancePlan,
    InsuranceProvider,
    Interchange,
    PartnerPayer,
    PatientInsurance,
    PriorAdjudication,
    ReferringProvider,
    Remittance,
    ServiceFacility,
    StatusInquiry,
    Submission,
    TradingPartner,
)


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
    autocomplete_fields = (
        "patient_insurance", "appointment", "billing_entity", "rendering_doctor", "referring_provider",
        "service_facility",
    )  # fmt: skip
    list_select_related = ()
    readonly_fields = (
        "claim_number", "control_number", "status", "frequency", "original", "secondary_to", "submission_date",
        "allowed_amount", "paid_amount", "patient_responsibility", "insurance_reference_number", "response_date",
        "denial_reason", "payment_date", "payment_reference",
    )  # fmt: skip


@admin.register(EligibilityInquiry)
class EligibilityInquiryAdmin(ReadOnlyAdmin):
    """Questions are asked through the API and the console."""

    permissions = permissions.ELIGIBILITY_INQUIRY
    list_display = ("id", "partner", "service_on", "status", "is_active", "queued_at", "answered_at")
    list_filter = ("status",)
    search_fields = ("coverage__id__exact",)
    list_select_related = ("partner",)


@admin.register(StatusInquiry)
class StatusInquiryAdmin(ReadOnlyAdmin):
    """Questions are asked through the API and the console."""

    permissions = permissions.STATUS_INQUIRY
    list_display = ("id", "claim", "partner", "status", "queued_at", "answered_at")
    list_filter = ("status",)
    search_fields = ("claim__claim_number__exact",)
    list_select_related = ("partner", "claim")


@admin.register(Deposit)
class DepositAdmin(ClinicAdmin):
    """Removed through the API only, which takes a match back first."""

    permissions = permissions.DEPOSIT
    creates = deposits.record
    updates = deposits.change_deposit
    list_display = ("trace", "amount", "received_on", "remittance", "matched_at")
    search_fields = ("trace__exact",)
    list_select_related = ("remittance",)
    readonly_fields = ("remittance", "matched_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(BillingEntity)
class BillingEntityAdmin(ClinicAdmin):
    """The number for taxes goes in with the row and is never shown again."""

    permissions = permissions.BILLING_ENTITY
    list_display = ("name", "npi", "state", "is_default")
    search_fields = ("name", "npi")
    list_select_related = ()

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tax_id",) if obj else ()


@admin.register(ServiceFacility)
class ServiceFacilityAdmin(ClinicAdmin):
    permissions = permissions.SERVICE_FACILITY
    list_display = ("name", "npi", "place_of_service", "city", "is_active")
    search_fields = ("name", "npi")
    list_select_related = ()


@admin.register(ReferringProvider)
class ReferringProviderAdmin(ClinicAdmin):
    permissions = permissions.REFERRING_PROVIDER
    list_display = ("last_name", "first_name", "npi", "is_active")
    search_fields = ("last_name", "npi")
    list_select_related = ()


@admin.register(TradingPartner)
class TradingPartnerAdmin(ClinicAdmin):
    permissions = permissions.TRADING_PARTNER
    list_display = ("name", "transport", "usage", "is_active", "paused_at", "collected_at")
    list_filter = ("transport", "is_active")
    search_fields = ("name",)
    list_select_related = ()
    readonly_fields = ("paused_at", "pause_reason", "collected_at")


@admin.register(PartnerPayer)
class PartnerPayerAdmin(ClinicAdmin):
    permissions = permissions.PARTNER_PAYER
    list_display = ("partner", "provider", "payer_id", "is_active", "takes_corrections")
    search_fields = ("payer_id", "provider__company_name")
    autocomplete_fields = ("partner", "provider")
    list_select_related = ("partner", "provider")


@admin.register(CodeSet)
class CodeSetAdmin(ReadOnlyAdmin):
    """Editions are loaded and removed by the command `codes`."""

    permissions = permissions.CODE_SET
    list_display = ("kind", "version", "valid_from", "valid_to", "loaded_at")
    list_filter = ("kind",)
    search_fields = ("version",)
    list_select_related = ()


@admin.register(PriorAdjudication)
class PriorAdjudicationAdmin(ClinicAdmin):
    """What was decided on the lines is entered through the API."""

    permissions = permissions.PRIOR_ADJUDICATION
    creates = priors.record_prior
    updates = priors.change_prior
    list_display = ("id", "claim", "paid", "adjudicated_on")
    search_fields = ("claim__claim_number__exact",)
    autocomplete_fields = ("claim", "coverage")
    list_select_related = ("claim",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Interchange)
class InterchangeAdmin(ReadOnlyAdmin):
    """Its bytes are fetched, and a person decides about it, through the API and the console."""

    permissions = permissions.INTERCHANGE
    list_display = ("file_name", "partner", "kind", "items", "status", "work_state", "created_at", "sent_at")
    list_filter = ("status", "kind", "work_state")
    search_fields = ("file_name__exact",)
    list_select_related = ("partner",)
    exclude = ("content",)


@admin.register(Submission)
class SubmissionAdmin(ReadOnlyAdmin):
    permissions = permissions.SUBMISSION
    list_display = ("id", "claim", "partner", "status", "frequency", "queued_at", "sent_at")
    list_filter = ("status",)
    search_fields = ("claim_control_number__exact",)
    list_select_related = ("claim", "partner")


@admin.register(InboundFile)
class InboundFileAdmin(ReadOnlyAdmin):
    """Its bytes are fetched through the API."""

    permissions = permissions.INBOUND_FILE
    list_display = ("name", "partner", "kinds", "status", "size_bytes", "received_at", "read_at")
    list_filter = ("status",)
    search_fields = ("sha256__exact",)
    list_select_related = ("partner",)
    exclude = ("content",)


@admin.register(Remittance)
class RemittanceAdmin(ReadOnlyAdmin):
    permissions = permissions.REMITTANCE
    list_display = ("trace", "payer_name", "partner", "paid_on", "amount", "claims_count", "status")
    list_filter = ("status",)
    search_fields = ("trace__exact",)
    list_select_related = ("partner",)
