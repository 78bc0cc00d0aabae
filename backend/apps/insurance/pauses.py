"""Stops what goes to a partner and lets it go on; without it a partner in trouble would be sent more of the same."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance.models import Interchange, TradingPartner
from backend.apps.users.models import User

BUILD, COLLECT = "claims.build", "claims.collect"


@transaction.atomic
def pause(partner: TradingPartner, *, by: User | None, reason: str) -> TradingPartner:
    """Let nothing more go to a partner; what is queued waits."""
    if partner.paused_at is not None:
        raise DomainError("Nothing goes to this partner already.")
    partner.paused_at, partner.pause_reason = timezone.now(), reason
    partner.save(update_fields=["paused_at", "pause_reason", "updated_at"])
    return partner


@transaction.atomic
def resume(partner: TradingPartner, *, by: User | None) -> TradingPartner:
    """Let files go to a partner again, those that waited first; what was told of the pause is told no more."""
    if partner.paused_at is None:
        raise DomainError("Files go to this partner as they are.")
    partner.paused_at, partner.pause_reason = None, ""
    partner.save(update_fields=["paused_at", "pause_reason", "updated_at"])
    alerts.clear(f"claims partner paused:{partner.pk}")
    dispatch.ring(Interchange.task_name)
    return partner


@transaction.atomic
def build_now(partner: TradingPartner, *, by: User | None) -> TradingPartner:
    """Put what is queued into a file now and not with the next quarter of an hour."""
    if partner.paused_at is not None or not partner.is_active:
        raise DomainError("Nothing goes to this partner now; resume it first.")
    dispatch.ring(BUILD)
    return partner


@transaction.atomic
def collect_now(partner: TradingPartner, *, by: User | None) -> TradingPartner:
    """Ask for answers now and not with the next ten minutes."""
    if not partner.is_active:
        raise DomainError("This partner is no longer in use.")
    dispatch.ring(COLLECT)
    return partner
