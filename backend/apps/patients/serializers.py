"""What of a patient goes over the wire, cut to what the reader's role needs."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.patients.models import ConsentMethod, ContactConsent, ContactPoint, Patient


class PatientSerializer(ClinicSerializer):
    full_name = serializers.CharField(read_only=True)
    age = serializers.SerializerMethodField()
    confirm_duplicate = serializers.BooleanField(
        write_only=True, required=False, help_text="This is another person than the one of the same names and birthday."
    )

    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)

    class Meta:
        model = Patient
        fields = [
            "id", "user", "medical_record_number", "first_name", "middle_name", "last_name", "name_suffix", "full_name",
            "date_of_birth", "age", "gender", "birth_sex", "races", "ethnicity", "needs_interpreter", "deceased_at",
            "phone", "email", "address_line1", "address_line2", "city", "state", "postal_code", "country",
            "emergency_contact_name", "emergency_contact_phone", "emergency_contact_relationship", "insurance_info",
            "time_zone", "preferred_language", "sms_consent", "sms_consent_at", "email_consent", "email_consent_at",
            "confirm_duplicate", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["sms_consent_at", "email_consent_at"]
        extra_kwargs: ClassVar[dict[str, Any]] = {"medical_record_number": {"required": False}}

    def get_age(self, patient: Patient) -> int:
        return patient.age_on(self._today)

    @cached_property
    def _today(self) -> date:
        """The clinic's day, asked for once per answer and not once per row."""
        return Clinic.today()


class MergeForm(Form):
    into: serializers.Field = serializers.PrimaryKeyRelatedField(
        queryset=Patient.objects.all(), help_text="The record that stays."
    )


class ConsentForm(Form):
    channel = serializers.ChoiceField(choices=["sms", "email"])
    given = serializers.BooleanField()
    method = serializers.ChoiceField(
        choices=[ConsentMethod.STAFF, ConsentMethod.PATIENT, ConsentMethod.IMPORT],
        default=ConsentMethod.STAFF,
        help_text="How it became known; texts and unsubscribe links are noted by the machine.",
    )
    evidence = serializers.CharField(
        max_length=80, required=False, allow_blank=True, help_text="What shows it, as the number of a signed form."
    )


class ContactConsentSerializer(ClinicSerializer):
    class Meta:
        model = ContactConsent
        fields = ["id", "patient", "channel", "given", "method", "address", "evidence", "by", "created_at"]
        read_only_fields = fields


class ContactPointSerializer(ClinicSerializer):
    class Meta:
        model = ContactPoint
        fields = [
            "id", "channel", "address", "opted_out_at", "opted_out_evidence", "unusable_at", "unusable_code",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class SearchForm(Form):
    text = serializers.CharField(
        max_length=200,
        help_text="Beginnings of names or of a record number, a birthday; a phone number or e-mail whole.",
    )
