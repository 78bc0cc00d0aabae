"""What of deposits goes over the wire, and the rows of a file of them."""

from __future__ import annotations

from typing import ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.insurance.models import Deposit, Remittance

LONGEST_FILE = 1_000_000  # characters


class DepositSerializer(ClinicSerializer):
    class Meta:
        model = Deposit
        fields = [
            "id", "trace", "amount", "received_on", "remittance", "matched_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["remittance", "matched_at"]


class RemittanceForm(Form):
    remittance = serializers.PrimaryKeyRelatedField(queryset=Remittance.objects.all())


class CsvForm(Form):
    csv = serializers.CharField(
        max_length=LONGEST_FILE, trim_whitespace=False, help_text="Columns trace, amount, received_on (2026-03-31)."
    )


class RowSerializer(serializers.Serializer):
    row = serializers.IntegerField(help_text="Of the file, the head being 1.")
    outcome = serializers.CharField(help_text="added, known or refused")
    reason = serializers.CharField()


class WithoutDepositSerializer(ClinicSerializer):
    class Meta:
        model = Remittance
        fields = ["id", "partner", "payer_name", "trace", "paid_on", "amount", "method", "status"]
        read_only_fields = fields
