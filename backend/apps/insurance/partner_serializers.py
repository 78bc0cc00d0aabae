"""What of partners and of ways to payers goes over the wire; secrets are named here and never shown."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.insurance.models import PartnerPayer, TradingPartner


class TradingPartnerSerializer(ClinicSerializer):
    class Meta:
        model = TradingPartner
        fields = [
            "id", "name", "is_active", "usage", "our_qualifier", "our_id", "their_qualifier", "their_id",
            "our_group_id", "their_group_id", "submitter_id", "receiver_name", "receiver_id", "ack_requested",
            "element_separator", "repetition_separator", "component_separator", "segment_terminator",
            "max_claims_per_file", "wants_trace", "transport", "host", "port", "username", "secret_name", "host_key",
            "base_url", "outbound_folder", "inbound_folder", "file_prefix", "file_suffix", "deletes_after_download",
            "rejects_duplicates", "ack_hours", "remittance_days", "paused_at", "pause_reason", "collected_at",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["paused_at", "pause_reason", "collected_at"]
        extra_kwargs: ClassVar[dict[str, Any]] = {
            name: {"trim_whitespace": False}
            for name in ("element_separator", "repetition_separator", "component_separator", "segment_terminator")
        }


class PartnerPayerSerializer(ClinicSerializer):
    partner_name = serializers.CharField(source="partner.name", read_only=True)
    payer_name = serializers.CharField(source="provider.company_name", read_only=True)

    class Meta:
        model = PartnerPayer
        fields = [
            "id", "partner", "partner_name", "provider", "payer_name", "payer_id", "secondary_ids", "is_active",
            "takes_corrections", "wants_one_year", "member_id_pattern", "answers_eligibility", "answers_status",
            "created_at", "updated_at",
        ]  # fmt: skip


class PauseForm(Form):
    reason = serializers.CharField(max_length=200)
