"""What of medications, prescriptions and refills goes over the wire."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.prescriptions.models import Medication, Prescription, PrescriptionRefill


class MedicationSerializer(ClinicSerializer):
    is_controlled_substance = serializers.BooleanField(read_only=True)

    class Meta:
        model = Medication
        fields = [
            "id", "ndc_code", "rxnorm_code", "brand_name", "generic_name", "drug_class",
            "controlled_substance_schedule", "is_controlled_substance", "strength", "dosage_form", "typical_dosage",
            "indications", "contraindications", "side_effects", "interactions", "unit_price", "manufacturer",
            "is_active", "is_formulary", "created_at", "updated_at",
        ]  # fmt: skip


class PrescriptionSerializer(ClinicSerializer):
    patient_name = serializers.CharField(source="patient.full_name", read_only=True)
    doctor_name = serializers.CharField(source="doctor.full_name", read_only=True)
    medication_name = serializers.CharField(source="medication.admin_label", read_only=True)
    is_active = serializers.SerializerMethodField()
    is_expired = serializers.SerializerMethodField()
    can_refill = serializers.SerializerMethodField()

    class Meta:
        model = Prescription
        fields = [
            "id", "prescription_number", "patient", "patient_name", "doctor", "doctor_name", "medication",
            "medication_name", "appointment", "status", "prescribed_date", "dosage", "dose_quantity", "dose_unit",
            "frequency", "route", "duration_days", "quantity", "refills_allowed", "refills_remaining", "fills",
            "instructions", "indication", "pharmacy_name", "pharmacy_phone", "schedule", "dea_number_used",
            "electronically_sent", "sent_to_pharmacy_at", "expiration_date", "last_filled_date", "cancelled_at",
            "cancellation_reason", "is_active", "is_expired", "can_refill", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "prescription_number", "status", "prescribed_date", "refills_remaining", "fills", "schedule",
            "dea_number_used", "electronically_sent", "sent_to_pharmacy_at", "last_filled_date", "cancelled_at",
            "cancellation_reason",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "doctor": {"required": False},
            "expiration_date": {"required": False},
        }

    def get_is_active(self, row: Prescription) -> bool:
        return row.is_active_on(self._today())

    def get_is_expired(self, row: Prescription) -> bool:
        return row.is_expired_on(self._today())

    def get_can_refill(self, row: Prescription) -> bool:
        return row.can_refill_on(self._today())

    def _today(self) -> date:
        """Return the clinic's day, asked for once in an answer however long the list."""
        context: dict[str, Any] = self.context  # type: ignore[assignment]  # the stubs call it a Mapping
        if "today" not in context:
            context["today"] = Clinic.today()
        return context["today"]


class PrescriptionRefillSerializer(ClinicSerializer):
    prescription_number = serializers.CharField(source="prescription.prescription_number", read_only=True)
    patient = serializers.UUIDField(source="prescription.patient_id", read_only=True)

    class Meta:
        model = PrescriptionRefill
        fields = [
            "id", "prescription", "prescription_number", "patient", "status", "requested_date", "requested_by_patient",
            "approved_by", "approved_at", "denial_reason", "filled_date", "pharmacy_name", "quantity_filled", "notes",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "status", "requested_date", "requested_by_patient", "approved_by", "approved_at", "denial_reason",
            "filled_date", "quantity_filled",
        ]  # fmt: skip


class ReasonForm(Form):
    reason = serializers.CharField(max_length=300)


class FilledForm(Form):
    quantity = serializers.DecimalField(max_digits=9, decimal_places=2, required=False)
