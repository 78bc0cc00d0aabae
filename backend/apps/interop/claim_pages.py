"""The pages of claims: the board and the story of one claim; without them a biller would not know what to do next."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.insurance import permissions, scrubbing, timeline
from backend.apps.insurance.models import InsuranceClaim, InsuranceProvider, Submission
from backend.apps.interop import claim_actions, claim_board, claim_words, console, paging
from backend.apps.interop.claim_board import BILLING

MOST_PAYERS, MOST_ROWS = 300, 200


@console.page(BILLING, "list")
def board(request: HttpRequest) -> HttpResponse:
    """Show how many claims are in each state, and those asked for, each with what is to be done next."""
    asked = claim_board.Asked.of(request.GET)
    page = paging.newest_first(_told(claim_board.claims(request.user, asked)), request.GET, "created_at")
    ids = [str(row.pk) for row in page.rows]
    detail = {"count": len(ids), "ids": ids, "filters": sorted(request.GET), **audit.patients_of(page.rows)}
    audit.record(request, "console.list", "insuranceclaim", detail=detail)
    context = {
        "title": "Claims",
        "asked": asked,
        "page": page,
        "rows": rows_of(page.rows),
        "counts": claim_board.counts(request.user, asked),
        "partners": claim_board.by_partner(asked),
        "states": claim_words.STATES.items(),
        "payers": InsuranceProvider.objects.order_by("company_name", "pk")[:MOST_PAYERS],
        "bulk": may(request.user, "submit", permissions.CLAIM),
    }
    return console.render(request, "interop/claims/board.html", context)


def rows_of(claims: list[InsuranceClaim]) -> list[tuple[InsuranceClaim, claim_words.Standing, Submission | None]]:
    """Return each claim with how it stands; one query for all."""
    live = claim_board.live_of(claims)
    return [(claim, claim_words.standing(claim, live.get(claim.pk)), live.get(claim.pk)) for claim in claims]


@console.page(BILLING, "retrieve")
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one claim: how it stands, what was found, its lines, its story and its ledger."""
    row = one(request, pk)
    console.note(request, "retrieve", row)
    return shown(request, row)


def one(request: HttpRequest, pk: UUID) -> InsuranceClaim:
    return get_object_or_404(_told(InsuranceClaim.objects.visible_to(request.user)), pk=pk)


def shown(request: HttpRequest, row: InsuranceClaim, **more: Any) -> HttpResponse:
    """Return the page of a claim. more: what a check found, say."""
    live = claim_board.live_of([row]).get(row.pk)
    context = {
        "title": f"Claim {row.claim_number}",
        "row": row,
        "live": live,
        "standing": claim_words.standing(row, live),
        "actions": claim_actions.possible(request, row, live),
        "findings": scrubbing.scrub(row) if row.status == "draft" and live is None else None,
        "kin": _kin(request, row),
        "story": timeline.steps(row),
        "lines": list(row.lines.select_related("rendering_doctor__user")[:MOST_ROWS]),
        "ledger": list(row.postings.select_related("line", "by")[:MOST_ROWS]),
        **more,
    }
    return console.render(request, "interop/claims/claim.html", context)


def _kin(request: HttpRequest, row: InsuranceClaim) -> list[tuple[str, InsuranceClaim]]:
    """Return the claims that follow this one, each with what it does."""
    rows = InsuranceClaim.objects.visible_to(request.user)
    found = rows.filter(Q(original=row) | Q(secondary_to=row)).order_by("created_at", "pk")[:MOST_ROWS]
    words = {"7": "Replaced by", "8": "Taken back by"}
    return [("Second payer" if each.original_id != row.pk else words[each.frequency], each) for each in found]


def _told(rows: QuerySet[InsuranceClaim]) -> QuerySet[InsuranceClaim]:
    """Return the claims with what a page tells of them."""
    return rows.select_related("patient_insurance__patient", "patient_insurance__insurance_plan__provider", "original")
