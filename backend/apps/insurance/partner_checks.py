"""Asks whether a partner can be reached, and tells the answer; without it a new profile is tried with claims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backend.apps.core import alerts, dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.insurance.models import TradingPartner
from backend.apps.users.models import User

KIND = "claims_partner_check"
PROBE = "claims.probe"
TRYING = "the connection is being tried."
AGAIN = " It is being tried again."  # behind how it failed, which the alert still tells
TOLD_FOR = timedelta(days=1)  # that a partner was reached
MOST_TOLD = 500


class Told(NamedTuple):
    """What is told of a partner. is_asked: its connection is being tried; is_good: it was reached."""

    sentence: str
    at: datetime
    is_asked: bool = False
    is_good: bool = False

    @property
    def is_bad(self) -> bool:
        return not (self.is_asked or self.is_good)


@transaction.atomic
def check(partner: TradingPartner, *, by: User | None) -> TradingPartner:
    """Let a worker connect to a partner and look at its folders, also while it is paused; nothing is changed there."""
    if not partner.is_active:
        raise DomainError("This partner is no longer in use.")
    failed = Alert.objects.select_for_update(no_key=True).filter(cause=_cause(partner), resolved_at=None)
    says = next((one.sentence for one in failed.exclude(severity=Alert.Severity.INFO)), "")
    again = f"{says.removesuffix(AGAIN)}{AGAIN}" if says else f"{partner.name}: {TRYING}"
    _tell(partner, again, Alert.Severity.INFO)
    dispatch.ring(PROBE)
    return partner


def asked() -> list[TradingPartner]:
    """Return the partners whose connection is still to be tried, or was tried in vain; those out of use are let be."""
    keys = Alert.objects.filter(kind=KIND, resolved_at=None).values_list("subject_id", flat=True)
    rows = list(TradingPartner.all_objects.filter(pk__in=list(keys)))
    in_use = [row for row in rows if row.is_active and not row.is_deleted]
    for row in rows:
        if row not in in_use:
            alerts.clear(_cause(row))
    return in_use


def reached(partner: TradingPartner) -> None:
    alerts.clear(_cause(partner))


def not_reached(partner: TradingPartner, code: str) -> None:
    """code: of the transport, or the type of a fault; no text of it."""
    _tell(partner, f"{partner.name}: the connection fails ({code}).", Alert.Severity.WARNING)


def told_of(partners: Sequence[TradingPartner]) -> dict[str, list[Told]]:
    """Return by partner what is wrong with it now, and how its connection was when it was last tried; one query."""
    keys = [str(one.pk) for one in partners]
    lately = Q(kind=KIND, resolved_by=None, resolved_at__gt=timezone.now() - TOLD_FOR)
    rows = Alert.objects.filter(Q(resolved_at=None) | lately, subject_type="tradingpartner", subject_id__in=keys)
    found: dict[str, dict[str, Told]] = {}
    for alert in rows.order_by("-opened_at", "id")[:MOST_TOLD]:
        found.setdefault(alert.subject_id, {}).setdefault(alert.cause, _told(alert))
    return {key: list(told.values()) for key, told in found.items()}


def _told(alert: Alert) -> Told:
    if alert.resolved_at:
        return Told("The connection works.", alert.resolved_at, is_good=True)
    is_asked = alert.kind == KIND and alert.sentence.endswith((TRYING, AGAIN))
    return Told(alert.sentence, alert.last_seen_at, is_asked)


def _tell(partner: TradingPartner, sentence: str, severity: str) -> None:
    alerts.open_once(_cause(partner), kind=KIND, sentence=sentence[:300], severity=severity, subject=partner)


def _cause(partner: TradingPartner) -> str:
    return f"claims partner check:{partner.pk}"
