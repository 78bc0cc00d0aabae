"""Looks the staff up in public registries once a day; without it an exclusion would be found by a payer."""

from __future__ import annotations

from backend.apps.interop import registry_checks
from workers.beats import beating
from workers.celery_app import app
from workers.one_by_one import one_by_one
from workers.runner import told


@app.task(name="credentials.check_registries")  # type: ignore[untyped-decorator]  # Celery has no types
def check_registries() -> str:
    """Look everybody up; safe to run twice, for a check is kept once a person and edition, and told of once."""
    with beating("registry checks"):
        counts = one_by_one(
            "credentials.check_registries", registry_checks.SOURCES, registry_checks.check, all_of_them=True
        )
    return told(counts).replace("nothing due", "no registry is loaded")
