"""What of who bills, of places and of referring doctors goes over the wire; a number for taxes goes in only."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.insurance.models import BillingEntity, ReferringProvider, ServiceFacility
from backend.apps.insurance.models.billing import TaxId


class BillingEntitySerializer(ClinicSerializer):
    tax_id_ends = serializers.SerializerMethodField(
        help_text="Of an employer's number, to whom its rule lets; else nothing."
    )

    class Meta:
        model = BillingEntity
        fields = [
            "id", "name", "first_name", "npi", "taxonomy", "tax_id", "tax_id_type", "tax_id_ends", "clia_number",
            "address_line1", "address_line2", "city", "state", "postal_code", "pay_to_address_line1",
            "pay_to_address_line2", "pay_to_city", "pay_to_state", "pay_to_postal_code", "contact_name",
            "contact_phone", "contact_email", "is_default", "created_at", "updated_at",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {"tax_id": {"write_only": True, "max_length": 9}}

    def get_tax_id_ends(self, row: BillingEntity) -> str:
        return row.tax_id[-4:] if row.tax_id_type == TaxId.EMPLOYER and self._sees("tax_id", row) else ""


class ServiceFacilitySerializer(ClinicSerializer):
    class Meta:
        model = ServiceFacility
        fields = [
            "id", "name", "npi", "clia_number", "place_of_service", "address_line1", "address_line2", "city", "state",
            "postal_code", "is_active", "created_at", "updated_at",
        ]  # fmt: skip


class ReferringProviderSerializer(ClinicSerializer):
    class Meta:
        model = ReferringProvider
        fields = ["id", "first_name", "last_name", "npi", "is_active", "created_at", "updated_at"]
