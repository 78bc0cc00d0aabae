"""What the billing desk's lists say of a claim: how long it has, why it was refused, what to do next."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from backend.apps.core.serializers import Form
from backend.apps.insurance.code_texts import TextsOfCodes
from backend.apps.insurance.denial_groups import BY_KEY
from backend.apps.insurance.denials import Refusal
from backend.apps.insurance.models.code_sets import CodeSetKind
from backend.apps.insurance.serializers import InsuranceClaimSerializer

BASE = [
    "id", "claim_number", "patient", "patient_insurance", "status", "service_date", "submission_date", "billed_amount",
]  # fmt: skip


class ListedClaimSerializer(InsuranceClaimSerializer):
    """A claim in a list of the desk, briefly."""

    class Meta(InsuranceClaimSerializer.Meta):
        fields = [*BASE, "created_at", "updated_at"]
        read_only_fields = fields


class FilingSerializer(ListedClaimSerializer):
    deadline = serializers.DateField()
    days_left = serializers.IntegerField()
    stage = serializers.CharField(help_text="open, 75 or 90 per cent of the time gone, or past")

    class Meta(ListedClaimSerializer.Meta):
        fields = [*BASE, "deadline", "days_left", "stage", "created_at", "updated_at"]
        read_only_fields = fields


class UnansweredSerializer(ListedClaimSerializer):
    waits_since = serializers.DateField()
    partner = serializers.UUIDField()
    lacks = serializers.CharField(help_text="word, remittance, or decision: a new one after a payment was taken back")

    class Meta(ListedClaimSerializer.Meta):
        fields = [*BASE, "insurance_reference_number", "waits_since", "partner", "lacks", "created_at", "updated_at"]
        read_only_fields = fields


class RefusalSerializer(TextsOfCodes):
    group = serializers.CharField()
    reason = serializers.CharField()
    reason_text = serializers.SerializerMethodField(help_text="As the clinic's own list of CARC has it.")
    remarks = serializers.ListField(child=serializers.CharField())
    remark_texts = serializers.SerializerMethodField(help_text="As the clinic's own list of RARC has them.")
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)
    key = serializers.CharField()
    action = serializers.CharField()

    def get_reason_text(self, refusal: Refusal) -> str:
        return self.text_of(CodeSetKind.CARC, refusal.reason)

    def get_remark_texts(self, refusal: Refusal) -> list[str]:
        return self.texts_of_remarks(refusal.remarks)


class DenialSerializer(ListedClaimSerializer):
    """refusals: by reason, the most money first. next_action: of the first."""

    denied_amount = serializers.DecimalField(max_digits=14, decimal_places=2)
    age_days = serializers.SerializerMethodField()
    next_action = serializers.SerializerMethodField()
    refusals = serializers.SerializerMethodField()

    class Meta(ListedClaimSerializer.Meta):
        fields = [
            *BASE, "denial_reason", "response_date", "denied_amount", "age_days", "next_action", "refusals",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_age_days(self, claim: Any) -> int | None:
        """Days since the payer's answer."""
        return (self.context["today"] - claim.response_date).days if claim.response_date else None

    def get_next_action(self, claim: Any) -> str:
        refusals = self.context["refusals"].get(claim.pk)
        return refusals[0].action if refusals else BY_KEY["read_reason"].action

    def get_refusals(self, claim: Any) -> list[dict[str, Any]]:
        refusals = self.context["refusals"].get(claim.pk, [])
        return list(RefusalSerializer(refusals, many=True, context=self.context).data)


class CountSerializer(serializers.Serializer):
    key = serializers.CharField()
    action = serializers.CharField()
    claims = serializers.IntegerField()
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)


class ProofSerializer(serializers.Serializer):
    kind = serializers.CharField()
    code = serializers.CharField()
    event_on = serializers.DateField()
    file = serializers.UUIDField(help_text="The partner's file with this word.")
    file_sha256 = serializers.CharField()
    transaction_number = serializers.CharField()
    segment_index = serializers.IntegerField()
    payer_claim_number = serializers.CharField()
    deadline = serializers.DateField()
    in_time = serializers.BooleanField()
    sent_at = serializers.DateTimeField()
    interchange_number = serializers.IntegerField()
    sent_sha256 = serializers.CharField()


class CloseForm(Form):
    reason = serializers.CharField(max_length=200)
