"""Tells in `manage check --deploy` what production refuses; without it one would learn it start by start."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from backend.config import production

OF_ALL = ("web",)
OF_OTHERS = ("mllp", "flower")  # their settings need not be given where this runs


@register(Tags.security, deploy=True)
def is_production_safe(**_: Any) -> list[CheckMessage]:
    """Return an error for each setting that is unsafe, and a warning for each link that was let go without TLS."""
    if not settings.IN_PRODUCTION:
        return []
    sure = [*production.common(), *(fault for part in OF_ALL for fault in production.of_part(part, os.environ))]
    told: list[CheckMessage] = [Error(fault.wrong, fault.mend, id=f"carerelay.{fault.code}") for fault in sure]
    for part in OF_OTHERS:
        for fault in production.of_part(part, os.environ):
            told.append(
                Warning(
                    f"With these settings {part} does not start: {fault.wrong}",
                    fault.mend,
                    id=f"carerelay.{fault.code}",
                )
            )
    for link in production.plain():
        told.append(
            Warning(f"{link} is spoken to without TLS, as CARERELAY_PLAINTEXT_ALLOWED says.", id="carerelay.plain")
        )
    return told
