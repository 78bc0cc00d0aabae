"""What people do to partners from the console: hurry, pause, resume; else only the clock and an alert would."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit, dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import Table, allow
from backend.apps.core.roles import Role
from backend.apps.insurance import partner_checks, pauses, permissions
from backend.apps.insurance.models import Submission, TradingPartner
from backend.apps.interop import console

POST = ("POST",)
PARTNERS = permissions.TRADING_PARTNER
REASON_LONGEST = 200
HURRY: Table = allow(("build", "collect"), Role.RECEPTIONIST)
TASKS: Mapping[str, str] = MappingProxyType(
    {
        "build": "Queued claims are put into files now. The files appear below.",
        "collect": "Partners are asked for answers now. What comes appears under files from partners.",
    }
)


@console.page(HURRY, "build", methods=POST)
def hurry(request: HttpRequest, verb: str) -> HttpResponse:
    """Ring for what the clock would do later; doing it twice does no harm."""
    told = TASKS.get(verb)
    if told is None:
        return console.refused(request, 404, "There is no such page, or it is not yours to see.")

    def act() -> str:
        _refuse_for_nothing(verb)
        dispatch.ring(f"claims.{verb}")
        audit.record(request, f"console.{verb}", "tradingpartner")
        return told

    return console.attempt(request, verb, "tradingpartner", act, back=reverse("console:claim-files"))


def _refuse_for_nothing(verb: str) -> None:
    """Say so where what is rung for would find nothing to do."""
    open_ones = TradingPartner.objects.filter(is_active=True, paused_at=None)
    if not open_ones.exists():
        raise DomainError("Nothing goes to any partner now, and nobody looks for answers; resume one first.")
    waiting = Submission.objects.filter(status=Submission.Status.QUEUED, partner__in=open_ones)
    if verb == "build" and not waiting.exists():
        raise DomainError("No claim waits for a file to a partner that is open.")


@console.page(PARTNERS, "check", methods=POST)
def check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask a worker to try the connection to a partner; its answer appears beside the partner."""

    def act() -> str:
        row = get_object_or_404(TradingPartner.objects.visible_to(request.user), pk=pk)
        partner_checks.check(row, by=console.person(request))
        console.note(request, "check", row)
        return "The connection is tried now. The answer appears beside the partner."

    return console.attempt(request, "check", "tradingpartner", act, back=reverse("console:claim-files"))


@console.page(PARTNERS, "pause", methods=POST)
def pause(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let nothing more go to a partner; what waits stays in line."""

    def act() -> str:
        row = get_object_or_404(TradingPartner.objects.visible_to(request.user), pk=pk)
        reason = request.POST.get("reason", "").strip()[:REASON_LONGEST]
        if not reason:
            raise DomainError("Say why nothing is to go there.")
        pauses.pause(row, by=console.person(request), reason=reason)
        console.note(request, "pause", row)
        return "Paused. What waits stays in line, and nothing leaves."

    return console.attempt(request, "pause", "tradingpartner", act, back=reverse("console:claim-files"))


@console.page(PARTNERS, "resume", methods=POST)
def resume(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let files go to a partner again."""

    def act() -> str:
        row = get_object_or_404(TradingPartner.objects.visible_to(request.user), pk=pk)
        pauses.resume(row, by=console.person(request))
        console.note(request, "resume", row)
        return "Files leave again, those that waited first."

    return console.attempt(request, "resume", "tradingpartner", act, back=reverse("console:claim-files"))
