"""Registers the app `clinical_notes`."""

from django.apps import AppConfig


class ClinicalNotesConfig(AppConfig):
    name = "backend.apps.clinical_notes"
    label = "clinical_notes"
    verbose_name = "Clinical notes"
