"""What of policies, alerts and notices goes over the wire."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.credentials.models import CredentialAlert, CredentialNotice, CredentialPolicy, CredentialRules, Needed


class CredentialPolicySerializer(ClinicSerializer):
    needed_for = serializers.ListField(child=serializers.ChoiceField(choices=Needed.choices), required=False)

    class Meta:
        model = CredentialPolicy
        fields = [
            "id", "credential_type", "tiers", "weekly_after", "manager_from", "compliance_from", "needed_for",
            "must_be_verified", "created_at", "updated_at",
        ]  # fmt: skip


class CredentialRulesSerializer(ClinicSerializer):
    class Meta:
        model = CredentialRules
        fields = ["id", "compliance_officer", "sends_digest", "created_at", "updated_at"]


class CredentialAlertSerializer(ClinicSerializer):
    holder = serializers.UUIDField(source="credential.holder.user_id", read_only=True, help_text="A user.")

    class Meta:
        model = CredentialAlert
        fields = [
            "id", "doctor_credential", "employee_credential", "holder", "credential_type", "tier", "expiry_date",
            "opened_at", "closed_at", "closed_because", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class CredentialNoticeSerializer(ClinicSerializer):
    class Meta:
        model = CredentialNotice
        fields = [
            "id", "alert", "audience", "recipient", "day", "status", "sent_at", "external_id", "work_state", "attempts",
            "last_error", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
