"""The resources `remittances`, `remittance-claims`, `postings` and `provider-adjustments`: what was paid, and why."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet, verb
from backend.apps.insurance import permissions, remittance_desk, remittance_matching
from backend.apps.insurance.code_texts import TextsOfCodes
from backend.apps.insurance.models import InsuranceClaim, Posting, ProviderAdjustment, Remittance, RemittanceClaim
from backend.apps.insurance.models.code_sets import CodeSetKind
from backend.apps.insurance.models.remittances import PostingKind, RemittanceClaimState, RemittanceStatus


class RemittanceSerializer(ClinicSerializer):
    class Meta:
        model = Remittance
        fields = [
            "id", "partner", "file", "transaction_number", "payer_identifier", "payer_name", "trace", "paid_on",
            "amount", "method", "claims_count", "status", "problem", "findings", "posted_at", "created_at",
            "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class RemittanceClaimSerializer(ClinicSerializer):
    claim_number = serializers.CharField(source="claim.claim_number", default="", read_only=True)

    class Meta:
        model = RemittanceClaim
        fields = [
            "id", "remittance", "number", "claim", "claim_number", "claim_control_number", "status_code", "charge",
            "paid", "patient_responsibility", "payer_claim_number", "member_id", "service_on", "remarks",
            "crossed_to", "content", "state", "reason",
        ]  # fmt: skip
        read_only_fields = fields


class CandidateSerializer(ClinicSerializer):
    patient = serializers.UUIDField(source="patient_insurance.patient_id", read_only=True)

    class Meta:
        model = InsuranceClaim
        fields = [
            "id", "claim_number", "patient", "status", "service_date", "billed_amount", "paid_amount",
            "insurance_reference_number",
        ]  # fmt: skip
        read_only_fields = fields


class PostingSerializer(TextsOfCodes, ClinicSerializer):
    line_number = serializers.IntegerField(source="line.number", default=None, read_only=True)
    reason_text = serializers.SerializerMethodField(help_text="As the clinic's own list of CARC has it.")
    remark_texts = serializers.SerializerMethodField(help_text="As the clinic's own list of RARC has them.")

    class Meta:
        model = Posting
        fields = [
            "id", "posted_at", "claim", "line", "line_number", "remittance_claim", "kind", "group", "reason",
            "reason_text", "remarks", "remark_texts", "amount", "is_reversal", "by",
        ]  # fmt: skip
        read_only_fields = fields

    def get_reason_text(self, posting: Posting) -> str:
        return self.text_of(CodeSetKind.CARC, posting.reason)

    def get_remark_texts(self, posting: Posting) -> list[str]:
        return self.texts_of_remarks(filter(None, posting.remarks.split(",")))


class ProviderAdjustmentSerializer(ClinicSerializer):
    class Meta:
        model = ProviderAdjustment
        fields = ["id", "remittance", "number", "reason", "reference", "amount", "claim"]  # fmt: skip
        read_only_fields = fields


class MatchForm(Form):
    claim = serializers.PrimaryKeyRelatedField(
        queryset=InsuranceClaim.objects.all(), help_text="The claim of ours that is meant."
    )


class WhyForm(Form):
    reason = serializers.CharField(max_length=280)


class RemittanceFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=RemittanceStatus.choices)

    class Meta:
        model = Remittance
        fields: ClassVar[dict[str, list[str]]] = {
            "partner": ["exact"],
            "file": ["exact"],
            "trace": ["exact"],
            "paid_on": ["gte", "lt"],
        }


class RemittanceClaimFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=RemittanceClaimState.choices)

    class Meta:
        model = RemittanceClaim
        fields: ClassVar[dict[str, list[str]]] = {
            "remittance": ["exact"],
            "claim": ["exact"],
            "claim_control_number": ["exact"],
        }


class PostingFilter(django_filters.FilterSet):
    kind = django_filters.MultipleChoiceFilter(choices=PostingKind.choices)

    class Meta:
        model = Posting
        fields: ClassVar[dict[str, list[str]]] = {
            "claim": ["exact"],
            "remittance_claim": ["exact"],
            "reason": ["exact"],
            "posted_at": ["gte", "lt"],
        }


class RemittanceViewSet(ClinicViewSet):
    """Read-only, but that one which was not posted can be put aside; its file can be read again."""

    queryset = Remittance.objects.all()
    serializer_class = RemittanceSerializer
    permissions = permissions.REMITTANCE
    filterset_class = RemittanceFilter
    ordering_fields = ("paid_on", "created_at")
    ordering = ("-paid_on",)
    dismiss_whole = verb(remittance_desk.dismiss_whole, takes=WhyForm)


class RemittanceClaimViewSet(ClinicViewSet):
    """Claims as payers told of them; those that are unmatched or blocked wait for a person."""

    queryset = RemittanceClaim.objects.select_related("claim")
    serializer_class = RemittanceClaimSerializer
    permissions = permissions.REMITTANCE_CLAIM
    filterset_class = RemittanceClaimFilter
    ordering_fields = ("id",)
    ordering = ("-id",)
    match = verb(remittance_desk.match, takes=MatchForm)
    dismiss = verb(remittance_desk.dismiss, takes=WhyForm)

    @extend_schema(responses=CandidateSerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def candidates(self, request: Request, **_kwargs: Any) -> Response:
        """Answer claims of ours that may be meant: of the same member, or of the same day and charge."""
        row = self.get_object()
        found = list(remittance_matching.candidates(row))
        self.note(row, count=len(found), ids=[str(one.pk) for one in found])
        return Response(CandidateSerializer(found, many=True, context=self.get_serializer_context()).data)


class PostingViewSet(ReadOnlyClinicViewSet):
    """The ledger. It only grows, and nobody writes into it but payments and the verbs of claims."""

    queryset = Posting.objects.select_related("line")
    serializer_class = PostingSerializer
    permissions = permissions.POSTING
    filterset_class = PostingFilter
    ordering_fields = ("posted_at",)
    ordering = ("-posted_at",)


class ProviderAdjustmentViewSet(ReadOnlyClinicViewSet):
    queryset = ProviderAdjustment.objects.all()
    serializer_class = ProviderAdjustmentSerializer
    permissions = permissions.PROVIDER_ADJUSTMENT
    filterset_fields: ClassVar[dict[str, list[str]]] = {"remittance": ["exact"], "claim": ["exact"]}
    ordering_fields = ("id",)
    ordering = ("-id",)
