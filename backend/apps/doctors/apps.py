"""Registers the app `doctors`."""

from django.apps import AppConfig


class DoctorsConfig(AppConfig):
    name = "backend.apps.doctors"
    label = "doctors"
