"""Registers the app `insurance`."""

from django.apps import AppConfig


class InsuranceConfig(AppConfig):
    name = "backend.apps.insurance"
    label = "insurance"
