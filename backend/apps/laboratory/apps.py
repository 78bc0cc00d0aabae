"""Registers the app `laboratory`."""

from django.apps import AppConfig


class LaboratoryConfig(AppConfig):
    name = "backend.apps.laboratory"
    label = "laboratory"
    around_merge = "backend.apps.laboratory.joining.joined"
