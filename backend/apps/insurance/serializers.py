"""What of billing's rows goes over the wire; statuses and the payer's answers are read-only, verbs set them."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.insurance import timely_filing
from backend.apps.insurance.edits import forms, people
from backend.apps.insurance.models import InsuranceClaim, InsurancePlan, InsuranceProvider, PatientInsurance


class InsuranceProviderSerializer(ClinicSerializer):
    class Meta:
        model = InsuranceProvider
        fields = [
            "id", "company_name", "payer_id", "naic_code", "phone", "fax", "email", "website", "address_line1",
            "address_line2", "city", "state", "postal_code", "claims_address_line1", "claims_address_line2",
            "claims_city", "claims_state", "claims_postal_code", "electronic_claims_id", "is_active",
            "accepts_assignment", "created_at", "updated_at",
        ]  # fmt: skip


class InsurancePlanSerializer(ClinicSerializer):
    provider_name = serializers.CharField(source="provider.company_name", read_only=True)

    class Meta:
        model = InsurancePlan
        fields = [
            "id", "provider", "provider_name", "plan_name", "plan_number", "plan_type", "group_number",
            "copay_primary_care", "copay_specialist", "copay_emergency", "annual_deductible", "out_of_pocket_max",
            "in_network_coverage", "out_of_network_coverage", "timely_filing_days", "claim_filing_code",
            "needs_prior_authorization", "needs_referral", "dependents_are_members", "created_at", "updated_at",
        ]  # fmt: skip


class PatientInsuranceSerializer(ClinicSerializer):
    plan_name = serializers.CharField(source="insurance_plan.plan_name", read_only=True)
    is_coverage_active = serializers.SerializerMethodField()
    needs_verification = serializers.SerializerMethodField()

    class Meta:
        model = PatientInsurance
        fields = [
            "id", "patient", "insurance_plan", "plan_name", "priority", "policy_holder_name",
            "policy_holder_relationship", "policy_holder_dob", "policy_holder_first_name",
            "policy_holder_last_name", "policy_holder_sex", "policy_holder_address_line1",
            "policy_holder_address_line2", "policy_holder_city", "policy_holder_state", "policy_holder_postal_code",
            "patient_sex", "medicare_secondary_code", "policy_number", "group_number", "member_id",
            "effective_date", "termination_date", "is_coverage_active", "last_verified_date", "verification_status",
            "needs_verification", "front_card_image", "back_card_image", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["last_verified_date", "verification_status"]

    def get_is_coverage_active(self, coverage: PatientInsurance) -> bool:
        return coverage.covers(self._today)

    def get_needs_verification(self, coverage: PatientInsurance) -> bool:
        return coverage.needs_verification_on(self._today)

    @cached_property
    def _today(self) -> date:
        """The clinic's day, asked for once per answer and not once per row."""
        return Clinic.today()


class InsuranceClaimSerializer(ClinicSerializer):
    patient = serializers.UUIDField(source="patient_insurance.patient_id", read_only=True)
    submission_state = serializers.CharField(
        read_only=True, help_text="How far its try to reach the payer has come: queued, batched, ...; empty: none is."
    )
    filing_deadline = serializers.SerializerMethodField(help_text="The last day on which the payer takes it.")

    class Meta:
        model = InsuranceClaim
        fields = [
            "id", "claim_number", "control_number", "patient", "patient_insurance", "appointment", "status",
            "submission_state", "service_date", "filing_deadline", "billing_entity", "rendering_doctor",
            "referring_provider", "service_facility", "place_of_service", "frequency", "original", "secondary_to",
            "prior_authorization", "referral_number", "patient_paid", "accident", "accident_state", "accident_on",
            "onset_on", "initial_treatment_on", "last_menstrual_on", "admission_on", "discharge_on", "delay_reason",
            "signature_on_file", "accepts_assignment", "assigns_benefits", "releases_information", "note",
            "submission_date", "diagnosis_codes", "procedure_codes", "billed_amount", "allowed_amount",
            "paid_amount", "patient_responsibility", "insurance_reference_number", "response_date", "denial_reason",
            "payment_date", "payment_reference", "claim_form", "eob_document", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "claim_number", "control_number", "status", "frequency", "original", "secondary_to", "submission_date",
            "allowed_amount", "paid_amount", "patient_responsibility",
            "insurance_reference_number", "response_date", "denial_reason", "payment_date", "payment_reference",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {"billed_amount": {"required": False}}

    def get_filing_deadline(self, claim: InsuranceClaim) -> date | None:
        return timely_filing.deadline(claim)


class VerifyForm(Form):
    passed = serializers.BooleanField(default=True, help_text="Whether the payer confirmed the coverage.")


def validate_writable(number: str) -> None:
    """Refuse what no later correction could name in a file."""
    if not forms.is_writable(number):
        raise serializers.ValidationError(f"The payer's number {people.NOT_WRITABLE}.")


class ReferenceForm(Form):
    reference = serializers.CharField(max_length=50, required=False, allow_blank=True, validators=[validate_writable])


class ReasonForm(Form):
    reason = serializers.CharField(max_length=1000)


def payer_claim_number(*, required: bool = False) -> serializers.CharField:
    return serializers.CharField(
        max_length=50,
        required=required,
        allow_blank=not required,
        validators=[validate_writable],
        help_text="The payer's own number of the claim, which a correction names; what is known stays when left out.",
    )


class NumberForm(Form):
    payer_claim_number = payer_claim_number(required=True)


class DenialForm(ReasonForm):
    payer_claim_number = payer_claim_number()


def money(**more: Any) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=12, decimal_places=2, min_value=0, **more)


class PaymentForm(Form):
    amount = money(help_text="All that the payer has paid for this claim.")
    reference = serializers.CharField(max_length=80, required=False, allow_blank=True)
    on = serializers.DateField(required=False, help_text="The day of the payment; today when left out.")
    allowed = money(required=False, help_text="What the payer allows of the billed amount.")
    patient_responsibility = money(required=False)
    payer_claim_number = payer_claim_number()
