"""Holds queued claims against the edits once more; without it what changed since they were queued went out wrong."""

from __future__ import annotations

from backend.apps.insurance.facts import Claim, Parts
from backend.apps.insurance.models import TradingPartner

NO_WAY = "This payer is not reached by this partner any more."


class Checks:
    """What the claims of one file are held against."""

    def __init__(self, partner: TradingPartner, parts: Parts) -> None:
        self.elsewhere = {payer.id for payer in parts.payers.values() if payer.partner != str(partner.pk)}

    def refused(self, claims: list[Claim]) -> dict[str, str]:
        """Return by claim id the sentence that keeps it here."""
        return {claim.id: NO_WAY for claim in claims if claim.payer in self.elsewhere}
