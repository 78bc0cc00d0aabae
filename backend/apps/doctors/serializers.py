"""What of doctors, credentials and hours goes over the wire, cut to what the reader's role needs."""

from __future__ import annotations

from rest_framework import serializers

from backend.apps.core.serializers import ClinicSerializer
from backend.apps.doctors.models import Doctor, DoctorAvailability, DoctorCredential, Specialization
from backend.apps.employees.credential_serializers import CREDENTIAL_FIELDS, CredentialSerializer


class SpecializationSerializer(ClinicSerializer):
    class Meta:
        model = Specialization
        fields = ["id", "name", "description", "medical_code", "created_at", "updated_at"]


class InOrder(serializers.ManyRelatedField):
    """A doctor's specializations, the primary one first, from the links a list has prefetched."""

    def get_attribute(self, instance: Doctor) -> list[Specialization]:
        return instance.ordered_specializations


class DoctorSerializer(ClinicSerializer):
    full_name = serializers.CharField(read_only=True)
    specializations = InOrder(
        child_relation=serializers.PrimaryKeyRelatedField(queryset=Specialization.objects.all()), required=False
    )
    primary_specialization = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = Doctor
        fields = [
            "id", "user", "full_name", "license_number", "npi_number", "dea_number", "specializations",
            "primary_specialization", "board_certified", "years_of_experience", "consultation_fee", "bio", "education",
            "languages", "is_accepting_patients", "covering_doctor", "warnings", "created_at", "updated_at",
        ]  # fmt: skip

    def get_primary_specialization(self, doctor: Doctor) -> str | None:
        """The name of the primary specialization."""
        primary = doctor.primary_specialization
        return primary.name if primary else None

    def get_warnings(self, doctor: Doctor) -> list[str]:
        if doctor.dea_fits_name:
            return []
        return ["The second letter of the DEA number is not that of the doctor's last name."]


class DoctorCredentialSerializer(CredentialSerializer):
    class Meta(CredentialSerializer.Meta):
        model = DoctorCredential
        fields = ["id", "doctor", *CREDENTIAL_FIELDS]


class DoctorAvailabilitySerializer(ClinicSerializer):
    class Meta:
        model = DoctorAvailability
        fields = [
            "id", "doctor", "day_of_week", "start_time", "end_time", "is_active", "created_at", "updated_at",
        ]  # fmt: skip
