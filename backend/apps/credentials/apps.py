"""Registers the app `credentials`."""

from django.apps import AppConfig


class CredentialsConfig(AppConfig):
    name = "backend.apps.credentials"
    label = "credentials"
