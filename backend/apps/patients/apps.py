"""Registers the app `patients`."""

from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "backend.apps.patients"
    label = "patients"
