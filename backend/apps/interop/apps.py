"""The web door to the outside; without this app nothing of the clinic would meet the outside's own words."""

from typing import Any

from django.apps import AppConfig
from django.core import checks

from integrations import egress


class InteropConfig(AppConfig):
    name = "backend.apps.interop"
    label = "interop"

    def ready(self) -> None:
        checks.register(check_egress)


def check_egress(**_: Any) -> list[checks.CheckMessage]:
    """Let nothing start whose rules of where we may connect to cannot be read."""
    try:
        egress.rules()
    except ValueError as error:
        return [checks.Error(str(error), id="interop.E001")]
    return []
