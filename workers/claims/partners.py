"""Says what trouble with a partner means for all that goes there; without it each file would find out alone."""

from __future__ import annotations

import logging
import traceback
from uuid import UUID

from backend.apps.core import alerts
from backend.apps.insurance import pauses
from backend.apps.insurance.models import TradingPartner
from integrations.errors import IntegrationError, Misconfigured

KIND = "claims_partner"
# Each has its own alert: that one works says nothing of the other.
SENDING, COLLECTING = "sending claims", "collecting answers"
PAUSED_BY = (":host_key",)  # somebody else may be at its address: nothing goes there until a person has looked

log = logging.getLogger(__name__)


def cause(key: UUID, way: str) -> str:
    return f"claims partner {way}:{key}"


def works(partner: TradingPartner, way: str) -> None:
    """Note that the partner answers, on one of the two ways."""
    alerts.clear(cause(partner.pk, way))


def failed(key: UUID, way: str, error: Exception) -> str:
    """Tell a person of a fault of our own that stopped one way to a partner; return what it was.

    Its text may hold a patient's data: the log has where it is, under its type only.
    """
    name, partner = type(error).__name__, TradingPartner.objects.filter(pk=key).first()
    log.error("%s at the partner %s\n%s", name, key, "".join(traceback.format_tb(error.__traceback__)))
    alerts.open_once(
        cause(key, way),
        kind=KIND,
        sentence=f"{partner.name if partner else key}: {way} fails by a fault of the program ({name}), see the log.",
        severity="critical",
        subject=partner,
    )
    return name


def in_trouble(partner: TradingPartner, way: str, error: IntegrationError, *, tell: bool) -> None:
    """Tell a person what only a person can mend; `tell`: of what may pass by itself too, for it has lasted."""
    if error.code.endswith(PAUSED_BY):
        pauses.stop(partner, reason=f"It shows another host key than the pinned one ({error.code}).")
        return
    if tell or isinstance(error, Misconfigured):
        alerts.open_once(
            cause(partner.pk, way),
            kind=KIND,
            sentence=f"{partner.name}: {way} fails ({error.code}).",
            severity="critical" if isinstance(error, Misconfigured) else "warning",
            subject=partner,
        )
