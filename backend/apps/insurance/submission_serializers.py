"""What of tries, findings and earlier payers' decisions goes over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Exists, OuterRef
from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form, RefuseUnknown
from backend.apps.insurance.edits import Severity
from backend.apps.insurance.models import ClaimLineAdjudication, InsuranceClaim, PriorAdjudication, Submission
from backend.apps.insurance.models.submissions import LIVE

MOST = 500  # claims of one request
GROUPS = frozenset({"CO", "CR", "OA", "PI", "PR"})
MOST_ADJUSTMENTS = 30
MOST_REASON = 5


class SubmissionSerializer(ClinicSerializer):
    claim_number = serializers.CharField(source="claim.claim_number", read_only=True)

    class Meta:
        model = Submission
        fields = [
            "id", "claim", "claim_number", "partner", "interchange", "status", "status_reason", "frequency",
            "original_reference", "claim_control_number", "transaction_number", "batch_reference", "queued_at",
            "sent_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


def check_adjustments(value: Any) -> None:
    """Accept [[group, reason, amount, quantity or null], ...] with amounts as text.

    Raises:
        ValidationError: in words that do not repeat the value.
    """
    if not isinstance(value, list) or len(value) > MOST_ADJUSTMENTS or not all(map(_is_adjustment, value)):
        raise serializers.ValidationError('Adjustments are written as [["CO", "45", "25.00", null], ...].')


def _is_adjustment(one: Any) -> bool:
    if not isinstance(one, list) or len(one) != 4:
        return False
    group, reason, amount, quantity = one
    return (
        isinstance(group, str)
        and group in GROUPS
        and isinstance(reason, str)
        and reason.isascii()
        and reason.isalnum()
        and len(reason) <= MOST_REASON
        and _is_number(amount)
        and (quantity is None or _is_number(quantity))
    )


def _is_number(text: Any) -> bool:
    try:
        number = Decimal(text) if isinstance(text, str) and len(text) <= 15 else None
    except InvalidOperation:
        return False
    return number is not None and number.is_finite() and number == round(number, 2) and "E" not in text.upper()


class LineAdjudicationSerializer(RefuseUnknown, serializers.ModelSerializer):
    adjustments = serializers.JSONField(required=False, validators=[check_adjustments])

    class Meta:
        model = ClaimLineAdjudication
        fields = ["number", "paid", "code", "modifiers", "units", "remaining", "adjustments"]
        extra_kwargs: ClassVar[dict[str, Any]] = {"remaining": {"required": False}}


class PriorAdjudicationSerializer(ClinicSerializer):
    adjustments = serializers.JSONField(required=False, validators=[check_adjustments])
    lines = LineAdjudicationSerializer(many=True, required=False)

    class Meta:
        model = PriorAdjudication
        fields = [
            "id", "claim", "coverage", "paid", "remaining", "adjudicated_on", "reference", "adjustments", "lines",
            "created_at", "updated_at",
        ]  # fmt: skip


class ClaimsForm(Form):
    """Which claims: ids, or all drafts that are not on their way, the oldest first."""

    ids = serializers.ListField(child=serializers.UUIDField(), required=False, min_length=1, max_length=MOST)
    all_drafts = serializers.BooleanField(default=False, help_text=f"The {MOST} oldest drafts not on their way.")
    after = serializers.UUIDField(
        required=False, help_text=f"The last id of the answer before: goes on behind it. Less than {MOST} are the rest."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return {"claims": [...]}, of those the caller may see, in the order given."""
        seen: Any = InsuranceClaim.objects.visible_to(self.context["request"].user)
        if given["all_drafts"] == ("ids" in given):
            raise serializers.ValidationError("Name ids, or ask for all drafts.")
        if given["all_drafts"]:
            return {"claims": list(_drafts(seen, given.get("after"))[:MOST])}
        rows = seen.in_bulk(given["ids"])
        if missing := [key for key in given["ids"] if key not in rows]:
            raise serializers.ValidationError({"ids": [f"There is no claim {key}." for key in missing[:20]]})
        return {"claims": list(dict.fromkeys(rows[key] for key in given["ids"]))}


def _drafts(seen: Any, after: UUID | None) -> Any:
    """Return drafts that wait for nothing, in the order of their keys, which is that of their creation."""
    tries = Submission.objects.filter(claim=OuterRef("pk"), status__in=LIVE)
    rows = seen.filter(~Exists(tries), status=InsuranceClaim.Status.DRAFT).order_by("pk")
    return rows.filter(pk__gt=after) if after else rows


class FindingSerializer(serializers.Serializer):
    rule = serializers.CharField()
    severity = serializers.ChoiceField(choices=[one.value for one in Severity])
    path = serializers.CharField(help_text='Of what is wrong, as "lines[2].units".')
    message = serializers.CharField()


class ScrubbedSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="Of the claim.")
    errors = serializers.IntegerField(  # type: ignore[assignment]  # a field; the form's own errors are not asked for
        help_text="These keep the claim here."
    )
    warnings = serializers.IntegerField()
    findings = FindingSerializer(many=True)


class SubmittedSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="Of the claim.")
    outcome = serializers.CharField(help_text="queued, submitted (paper, portal) or refused")
    reason = serializers.CharField()
    findings = FindingSerializer(many=True)


def scrubbed(pk: Any, findings: Sequence[Any]) -> dict[str, Any]:
    errors = sum(one.severity == Severity.ERROR for one in findings)
    return {"id": pk, "errors": errors, "warnings": len(findings) - errors, "findings": findings}
