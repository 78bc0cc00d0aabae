"""Doctors, their credentials and hours in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import TabularInline

from backend.apps.core.admin import ClinicAdmin
from backend.apps.core.permissions import may
from backend.apps.doctors import permissions, services
from backend.apps.doctors.models import (
    Doctor,
    DoctorAvailability,
    DoctorCredential,
    DoctorSpecialization,
    Specialization,
)
from backend.apps.employees.credential_admin import CredentialAdmin


@admin.register(Specialization)
class SpecializationAdmin(ClinicAdmin):
    permissions = permissions.SPECIALIZATION
    list_display = ("name", "medical_code")
    search_fields = ("name", "medical_code")
    list_select_related = ()
    ordering = ("name",)


class SpecializationInline(TabularInline):
    model = DoctorSpecialization
    fields = ("specialization", "position")
    autocomplete_fields = ("specialization",)
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # who sees the doctor sees what the doctor practises

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "update", permissions.DOCTOR)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "update", permissions.DOCTOR)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "update", permissions.DOCTOR)


@admin.register(Doctor)
class DoctorAdmin(ClinicAdmin):
    permissions = permissions.DOCTOR
    creates = services.enrol
    updates = services.revise
    list_display = ("full_name", "npi_number", "board_certified", "is_accepting_patients")
    search_fields = ("user__last_name", "user__first_name", "npi_number")
    list_filter = ("is_accepting_patients", "board_certified")
    list_select_related = ("user",)
    autocomplete_fields = ("user", "covering_doctor")
    inlines = (SpecializationInline,)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not obj.dea_fits_name:
            messages.warning(request, "The second letter of the DEA number is not that of the doctor's last name.")


@admin.register(DoctorCredential)
class DoctorCredentialAdmin(CredentialAdmin):
    permissions = permissions.CREDENTIAL
    creates = services.file_credential
    list_display = ("credential_type", "doctor_name", "state", "expiry_date", "is_verified", "rejected_at")
    search_fields = ("issuing_organization", "doctor__user__last_name")
    list_select_related = ("doctor__user",)
    autocomplete_fields = ("doctor",)

    @admin.display(description="Doctor", ordering="doctor__user__last_name")
    def doctor_name(self, credential: DoctorCredential) -> str:
        return credential.doctor.full_name


@admin.register(DoctorAvailability)
class DoctorAvailabilityAdmin(ClinicAdmin):
    permissions = permissions.AVAILABILITY
    creates = services.open_hours
    updates = services.change_hours
    list_display = ("doctor_name", "day_of_week", "start_time", "end_time", "is_active")
    search_fields = ("doctor__user__last_name",)
    list_filter = ("day_of_week", "is_active")
    list_select_related = ("doctor__user",)
    autocomplete_fields = ("doctor",)
    ordering = ("doctor", "day_of_week", "start_time")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        mine = obj is None or services.changeable(DoctorAvailability.objects.filter(pk=obj.pk), request.user).exists()
        return mine and super().has_delete_permission(request, obj)

    @admin.display(description="Doctor", ordering="doctor__user__last_name")
    def doctor_name(self, hours: DoctorAvailability) -> str:
        return hours.doctor.full_name
