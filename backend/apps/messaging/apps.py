"""Registers the app `messaging`."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "backend.apps.messaging"
    label = "messaging"
