"""Says what trouble with a partner means for all that goes there; without it each file would find out alone."""

from __future__ import annotations

from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.insurance.models import TradingPartner
from integrations.errors import IntegrationError, Misconfigured

KIND = "claims_partner"
PAUSED_BY = (":host_key",)  # somebody else may be at its address: nothing goes there until a person has looked


def cause(partner: TradingPartner) -> str:
    return f"claims partner:{partner.pk}"


def works(partner: TradingPartner) -> None:
    """Note that the partner answers."""
    alerts.clear(cause(partner))


def in_trouble(partner: TradingPartner, error: IntegrationError, *, tell: bool) -> None:
    """Tell a person what only a person can mend; `tell`: of what may pass by itself too, for it has lasted."""
    if error.code.endswith(PAUSED_BY):
        pause(partner, "It shows another host key than the pinned one.")
    if tell or isinstance(error, Misconfigured):
        alerts.open_once(
            cause(partner),
            kind=KIND,
            sentence=f"{partner.name}: claims and answers do not come through ({error.code}).",
            severity="critical" if isinstance(error, Misconfigured) else "warning",
            subject=partner,
        )


def pause(partner: TradingPartner, reason: str) -> None:
    now = timezone.now()
    TradingPartner.objects.filter(pk=partner.pk, paused_at=None).update(
        paused_at=now, pause_reason=reason, updated_at=now
    )
