"""Tries connections that people ask about; without it a mistyped profile would show when claims were due."""

from __future__ import annotations

from collections import Counter

from backend.apps.insurance import partner_checks
from backend.apps.insurance.models import TradingPartner
from integrations.errors import IntegrationError
from workers import gateways
from workers.beats import beating
from workers.celery_app import app
from workers.runner import HandlerBug, attempt, told


@app.task(name=partner_checks.PROBE)  # type: ignore[untyped-decorator]  # Celery has no types
def probe_due() -> str:
    """Connect to each partner that was asked about; it only looks, so twice does no harm.

    Raises:
        HandlerBug: after the last partner; a fault at one of them leaves no other without its answer.
    """
    counts, bugs = Counter[str](), list[str]()
    with beating("connections to try"):
        for partner in partner_checks.asked():
            _, error = attempt(_probe, partner)
            counts["not reached" if error else "reached"] += 1
            if error is None:
                partner_checks.reached(partner)
            elif isinstance(error, IntegrationError):
                partner_checks.not_reached(partner, error.code)
            else:
                bugs.append(type(error).__name__)
                partner_checks.not_reached(partner, bugs[-1])
    if bugs:
        raise HandlerBug(f"{bugs[-1]} in {partner_checks.PROBE}")
    return told(counts)


def _probe(partner: TradingPartner) -> None:
    with gateways.clearinghouse(partner) as door:
        door.probe()
