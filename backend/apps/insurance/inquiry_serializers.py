"""What of questions to payers goes over the wire; answers are read-only, for only payers give them."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.insurance import eligibility_words
from backend.apps.insurance.models import EligibilityInquiry, PatientInsurance, StatusInquiry

MOST = 500  # coverages of one request


class ReasonSerializer(serializers.Serializer):
    code = serializers.CharField()
    sentence = serializers.CharField()


class EligibilityInquirySerializer(ClinicSerializer):
    """answer, reasons and summary: the status, codes and benefits in words."""

    patient = serializers.UUIDField(source="coverage.patient_id", read_only=True)
    answer = serializers.SerializerMethodField(help_text="What the payer says, in one sentence.")
    reasons = serializers.SerializerMethodField(help_text="What each of the codes means.")
    summary = serializers.SerializerMethodField(help_text="The benefits in words.")

    class Meta:
        model = EligibilityInquiry
        fields = [
            "id", "patient", "coverage", "partner", "service_on", "service_type", "status", "interchange", "queued_at",
            "sent_at", "answered_at", "answer", "is_active", "plan_from", "plan_to", "summary", "benefits", "reasons",
            "codes", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "partner", "service_type", "status", "interchange", "queued_at", "sent_at", "answered_at", "is_active",
            "plan_from", "plan_to", "benefits", "codes",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {"service_on": {"required": False}}
        validators: ClassVar[list[Any]] = []  # a question that is open already is answered, not refused

    def get_answer(self, question: EligibilityInquiry) -> str:
        return eligibility_words.answer(question)

    @extend_schema_field(ReasonSerializer(many=True))
    def get_reasons(self, question: EligibilityInquiry) -> list[dict[str, str]]:
        return eligibility_words.reasons(question)

    def get_summary(self, question: EligibilityInquiry) -> list[str]:
        return eligibility_words.benefits(question)


class StatusInquirySerializer(ClinicSerializer):
    claim_number = serializers.CharField(source="claim.claim_number", read_only=True)

    class Meta:
        model = StatusInquiry
        fields = [
            "id", "claim", "claim_number", "partner", "status", "interchange", "queued_at", "sent_at", "answered_at",
            "codes", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class DayForm(Form):
    service_on = serializers.DateField(required=False, help_text="The day asked about; today when left out.")


class CoveragesForm(DayForm):
    coverages = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST)

    def validate_coverages(self, keys: list[Any]) -> list[PatientInsurance]:
        """Return the coverages the caller may see, in the order given."""
        seen: Any = PatientInsurance.objects.select_related("insurance_plan")
        rows = seen.visible_to(self.context["request"].user).in_bulk(keys)
        if missing := [key for key in keys if key not in rows]:
            raise serializers.ValidationError([f"There is no coverage {key}." for key in missing[:20]])
        return list(dict.fromkeys(rows[key] for key in keys))


class AskedSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="Of the coverage.")
    outcome = serializers.CharField(help_text="asked or refused")
    reason = serializers.CharField()
