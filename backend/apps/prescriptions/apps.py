"""Registers the app `prescriptions`."""

from django.apps import AppConfig


class PrescriptionsConfig(AppConfig):
    name = "backend.apps.prescriptions"
    label = "prescriptions"
