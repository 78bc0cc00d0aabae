"""Holds queued claims against the edits once more; without it what changed since they were queued went out wrong."""

from __future__ import annotations

from backend.apps.core.models import Clinic
from backend.apps.insurance import code_sets, edits
from backend.apps.insurance.facts import Claim, Parts
from backend.apps.insurance.models import TradingPartner

NO_WAY = "This payer is not reached by this partner any more."


class Checks:
    """What the claims of one file are held against."""

    def __init__(self, partner: TradingPartner, parts: Parts) -> None:
        self.context = edits.Context(parts, code_sets.book(), f"{Clinic.today():%Y%m%d}")
        self.elsewhere = {payer.id for payer in parts.payers.values() if payer.partner != str(partner.pk)}

    def refused(self, claims: list[Claim]) -> dict[str, str]:
        """Return by claim id the sentence that keeps it here."""
        refused = {claim.id: NO_WAY for claim in claims if claim.payer in self.elsewhere}
        for key, findings in edits.scrub(claims, self.context).items():
            errors = [one for one in findings if one.severity == edits.Severity.ERROR]
            if errors:
                more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
                refused.setdefault(key, f"{errors[0].path}: {errors[0].message}{more}")
        return refused
