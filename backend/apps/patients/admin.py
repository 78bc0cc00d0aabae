"""Patients in the admin, for the front desk."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin, ReadOnlyAdmin
from backend.apps.patients import contacts, permissions, services
from backend.apps.patients.models import RACES, ContactConsent, ContactPoint, EmergencyAccess, Patient


@admin.register(Patient)
class PatientAdmin(ClinicAdmin):
    permissions = permissions.PATIENT
    creates = services.register
    updates = services.correct
    list_display = ("medical_record_number", "last_name", "first_name", "date_of_birth", "gender", "created_at")
    search_fields = ("medical_record_number", "last_name", "first_name", "date_of_birth", "phone_index", "email_index")
    search_help_text = "Beginnings of names, a record number, a birthday, or a whole phone number or e-mail address"
    list_filter = ("gender",)
    list_select_related = ()
    ordering = ("last_name", "first_name", "id")
    autocomplete_fields = ("user",)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "races":
            return forms.MultipleChoiceField(
                choices=[*RACES.items()], required=False, widget=forms.CheckboxSelectMultiple
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return services.by_name(services.search(queryset, search_term[:200], by=request.user)), False


@admin.register(ContactConsent)
class ContactConsentAdmin(ReadOnlyAdmin):
    """Consents are given and taken back through the patient's form and the API."""

    permissions = permissions.CONTACT_CONSENT
    list_display = ("created_at", "patient_number", "channel", "given", "method", "by", "evidence")
    list_filter = ("method", "created_at")
    search_fields = ("patient__medical_record_number__exact",)
    list_select_related = ("patient", "by")

    @admin.display(description="patient")
    def patient_number(self, row: ContactConsent) -> str:
        return row.patient.medical_record_number


@admin.register(ContactPoint)
class ContactPointAdmin(ReadOnlyAdmin):
    """A number or mailbox is said to be usable again through the API."""

    permissions = permissions.CONTACT_POINT
    list_display = ("updated_at", "channel", "address", "opted_out_at", "unusable_at", "unusable_code")
    list_filter = ("channel", "updated_at")
    search_fields = ("address_index",)
    search_help_text = "A whole number, as +14155550100, or a whole e-mail address"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        return queryset.filter(contacts.at_address(text)) if text else queryset, False


@admin.register(EmergencyAccess)
class EmergencyAccessAdmin(ReadOnlyAdmin):
    """Accesses are opened, ended and reviewed in the console and through the API."""

    permissions = permissions.EMERGENCY_ACCESS
    list_display = ("started_at", "user", "ends_at", "verdict", "reviewed_by", "reviewed_at")
    list_filter = ("verdict", "started_at")
    list_select_related = ("user", "reviewed_by")
