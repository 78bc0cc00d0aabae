"""Registers the bottom app: what every other app stands on."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "backend.apps.core"
    label = "core"
