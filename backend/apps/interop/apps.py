"""The web door to the outside; without this app nothing of the clinic would meet the outside's own words."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from integrations import egress


class InteropConfig(AppConfig):
    name = "backend.apps.interop"
    label = "interop"

    def ready(self) -> None:
        """Let nothing start whose rules of where we may connect to cannot be read.

        Raises:
            ImproperlyConfigured: says which part of them.
        """
        try:
            egress.rules()
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from None
