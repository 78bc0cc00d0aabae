"""The pages of files: what left for partners, what came, and what a person decides; else a doubt would stay one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.insurance import inbound_files, interchanges, partner_checks, permissions
from backend.apps.insurance.models import InboundFile, Interchange, Submission, TradingPartner
from backend.apps.interop import claim_file_words, console, paging
from backend.apps.interop.claim_actions import confirm
from backend.apps.interop.claim_board import BILLING

POST = ("POST",)
MOST_PARTNERS = 50
DOUBT = Q(status="in_doubt") | Q(work_state__in=claim_file_words.STUCK, status__in=claim_file_words.DECIDES)
OPEN_INBOUND = Q(status__in=("partly", "quarantined")) | Q(status="received", work_state__in=claim_file_words.STUCK)


@dataclass(frozen=True, slots=True)
class Verb:
    """What a person may say of a file: what it means, what follows, and what is told at the end."""

    label: str
    warns: str
    done: str
    service: Callable[..., Any]


VERBS = {
    "send_again": Verb(
        "Send again",
        "The same bytes leave once more under the same number. Where the file had arrived, the partner turns the "
        "second one back and nothing is claimed twice.",
        "The file is in line again.",
        interchanges.send_again,
    ),
    "mark_received": Verb(
        "It was received",
        "You asked the partner, and it has this file. Its claims count as sent, and nothing is sent again.",
        "The file counts as sent, and so do its claims.",
        interchanges.mark_received,
    ),
    "mark_not_received": Verb(
        "It was not received",
        "You asked the partner, and it never got this file. Its claims leave with another one. If it has it after all "
        "and they have left again, they are claimed twice.",
        "The claims of the file wait for the next one.",
        interchanges.mark_not_received,
    ),
}


@console.page(BILLING, "list")
def outbound(request: HttpRequest) -> HttpResponse:
    """Show the partners, what waits for each, and the files for them, newest first."""
    rows = Interchange.objects.visible_to(request.user).select_related("partner").defer("content")
    status = request.GET.get("status", "")
    page, shown = paging.newest_first(rows.filter(_asked(status)), request.GET, "created_at"), partners()
    _note(request, "interchange", page.rows)
    context = {
        "title": "Files and partners",
        "page": page,
        "rows": [(row, claim_file_words.outbound(row), claim_file_words.needs_a_person(row)) for row in page.rows],
        "status": status,
        "counts": _counts(rows, claim_file_words.OUTBOUND),
        "doubts": rows.filter(DOUBT).count(),
        "open_inbound": InboundFile.objects.visible_to(request.user).filter(OPEN_INBOUND).count(),
        "partners": shown,
        "steer": may(request.user, "pause", permissions.TRADING_PARTNER),
        "verbs": [(name, verb) for name, verb in VERBS.items() if may(request.user, name, permissions.INTERCHANGE)],
        "moving": any(row.status in ("ready", "staged", "speaking") for row in page.rows)
        or any(each["moves"] for each in shown),
    }
    return console.render(request, "interop/claims/files.html", context)


@console.page(BILLING, "list")
def inbound(request: HttpRequest) -> HttpResponse:
    """Show what partners left for us, newest first; those that wait for a person unless all are asked for."""
    rows = InboundFile.objects.visible_to(request.user).select_related("partner").defer("content")
    every = bool(request.GET.get("all"))
    page = paging.newest_first(rows if every else rows.filter(OPEN_INBOUND), request.GET, "received_at")
    _note(request, "inboundfile", page.rows)
    context = {
        "title": "Files from partners",
        "page": page,
        "rows": [(row, claim_file_words.inbound(row)) for row in page.rows],
        "every": every,
        "retry": may(request.user, "retry", permissions.INBOUND_FILE),
        "counts": _counts(rows, claim_file_words.INBOUND),
        "moving": rows.filter(status="received").exclude(work_state__in=claim_file_words.STUCK).exists(),
    }
    return console.render(request, "interop/claims/inbound.html", context)


@console.page(BILLING, "retrieve", methods=POST)
def decide(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """Say what became of a file; what follows is told before it is done."""
    chosen = VERBS.get(verb)
    if chosen is None or not may(request.user, verb, permissions.INTERCHANGE):
        return console.refused(request, 403, "Your role may not do this.")
    rows = Interchange.objects.visible_to(request.user).select_related("partner").defer("content")
    row, back = get_object_or_404(rows, pk=pk), reverse("console:claim-files")
    if not request.POST.get("confirmed"):
        title = f"{chosen.label}: file {row.interchange_number} for {row.partner.name}, {row.items} in it"
        return confirm(request, title, chosen.warns, chosen.label, back=back)

    def act() -> str:
        chosen.service(row, by=console.person(request))
        console.note(request, verb, row)
        return chosen.done

    return console.attempt(request, verb, "interchange", act, back=back)


@console.page(permissions.INBOUND_FILE, "retry", methods=POST)
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Read a file once more; what of it has been applied stays applied once."""

    def act() -> str:
        row = get_object_or_404(InboundFile.objects.visible_to(request.user).defer("content"), pk=pk)
        inbound_files.retry(row, by=console.person(request))
        console.note(request, "retry", row)
        return "It is read again now."

    return console.attempt(request, "retry", "inboundfile", act, back=reverse("console:claim-inbound"))


def partners() -> list[dict[str, Any]]:
    """Return each partner with how many claims wait for a file to it and what is told of it; three queries.

    moves: whether something of it changes by itself before long.
    """
    waiting = Submission.objects.filter(status=Submission.Status.QUEUED).order_by().values_list("partner")
    queued = dict(waiting.annotate(Count("pk")))
    rows = list(TradingPartner.objects.all()[:MOST_PARTNERS])
    told = partner_checks.told_of(rows)
    return [_partner(row, queued.get(row.pk, 0), told.get(str(row.pk), [])) for row in rows]


def _partner(row: TradingPartner, queued: int, told: list[partner_checks.Told]) -> dict[str, Any]:
    is_made_now = bool(queued) and row.is_active and row.paused_at is None
    return {"row": row, "queued": queued, "told": told, "moves": is_made_now or any(one.is_asked for one in told)}


def _asked(status: str) -> Q:
    if status == "doubt":
        return DOUBT
    return Q(status=status) if status in claim_file_words.OUTBOUND else Q()


def _counts(rows: QuerySet[Any], words: Any) -> list[tuple[str, str, int]]:
    """Return (status, word, how many) of those there are; one query."""
    found = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return [(status, told[0], found[status]) for status, told in words.items() if found.get(status)]


def _note(request: HttpRequest, kind: str, rows: list[Any]) -> None:
    ids = [str(row.pk) for row in rows]
    audit.record(request, "console.list", kind, detail={"count": len(ids), "ids": ids, "filters": sorted(request.GET)})
