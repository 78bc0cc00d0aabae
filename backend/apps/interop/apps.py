"""The web door to the outside; without this app nothing of the clinic would meet the outside's own words."""

from django.apps import AppConfig


class InteropConfig(AppConfig):
    name = "backend.apps.interop"
    label = "interop"
