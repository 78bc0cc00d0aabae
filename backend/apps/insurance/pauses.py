"""Stops what goes to a partner and lets it go on; without it a partner in trouble would be sent more of the same."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.insurance.models import Interchange, TradingPartner
from backend.apps.users.models import User

PAUSED = "claims_partner_paused"
REASON_LENGTH = 200
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
def stop(partner: TradingPartner, *, reason: str) -> None:
    """Let nothing more go to a partner until a person has put right what is wrong, and tell of it once."""
    now = timezone.now()
    running = TradingPartner.all_objects.filter(pk=partner.pk, paused_at=None)
    if running.update(paused_at=now, pause_reason=reason[:REASON_LENGTH], updated_at=now):
        alerts.open_once(
            _cause(partner),
            kind=PAUSED,
            sentence=f"Nothing more goes to {partner.name} until its profile is put right. {reason}"[:300],
            severity=Alert.Severity.CRITICAL,
            subject=partner,
        )


def _cause(partner: TradingPartner) -> str:
    return f"claims partner paused:{partner.pk}"


@transaction.atomic
def resume(partner: TradingPartner, *, by: User | None) -> TradingPartner:
    """Let files go to a partner again, those that waited first; what was told of the pause is told no more."""
    if partner.paused_at is None:
        raise DomainError("Files go to this partner as they are.")
    partner.paused_at, partner.pause_reason = None, ""
    partner.save(update_fields=["paused_at", "pause_reason", "updated_at"])
    alerts.clear(_cause(partner))
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
    if partner.paused_at is not None:
        raise DomainError("Nobody looks for answers at this partner now; resume it first.")
    dispatch.ring(COLLECT)
    return partner
