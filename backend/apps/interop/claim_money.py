"""The pages of payments: what was posted, what does not add up, what belongs to nobody; else money would lie unseen."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.insurance import deposits, permissions, remittance_desk, remittance_matching
from backend.apps.insurance.models import Deposit, InsuranceClaim, Remittance, RemittanceClaim
from backend.apps.interop import console, paging
from backend.apps.interop.claim_actions import confirm
from backend.apps.interop.claim_board import BILLING
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST_ROWS = 200
NOTE_LONGEST = 200
FOR_GOOD = (
    "The ledger only grows: what is posted stays, and only the payer takes it back, by a reversal in a later payment. "
    "Where the claim cannot take it, nothing is posted and you are told why."
)
ASIDE = "Nothing of it is posted, now or later, and it cannot be taken up again here."
TONES = {"posted": "good", "partly": "wait", "quarantined": "bad", "dismissed": ""}
OPEN_CLAIMS = ("unmatched", "blocked")
TOLD = {"posted": "good", "unmatched": "bad", "blocked": "bad", "noted": "", "dismissed": ""}


@console.page(BILLING, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show the payments that came, newest first, and how many claims in them nobody has placed."""
    rows = Remittance.objects.visible_to(request.user).select_related("partner", "deposit")
    status = request.GET.get("status", "")
    asked = rows.filter(status=status) if status in Remittance.Status.values else rows
    page = paging.newest_first(asked, request.GET, "created_at")
    _note(request, "remittance", page.rows)
    context = {
        "title": "Payments",
        "page": page,
        "rows": [(row, TONES[row.status]) for row in page.rows],
        "status": status,
        "counts": _counts(rows),
        "unplaced": _open(request).count(),
        "without_deposit": deposits.without_deposit().count(),
        "loose_deposits": Deposit.objects.visible_to(request.user).filter(remittance=None).count(),
    }
    return console.render(request, "interop/claims/remittances.html", context)


@console.page(BILLING, "retrieve")
def remittance(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one payment: the equation that fails if one does, its claims, and what was settled beside them."""
    rows = (
        Remittance.objects.visible_to(request.user).select_related("partner", "deposit", "file").defer("file__content")
    )
    row = get_object_or_404(rows, pk=pk)
    claims = paging.in_order(row.claims.select_related("claim").order_by("number"), request.GET, size=MOST_ROWS)
    beside = row.provider_adjustments.select_related("claim").order_by("number")
    console.note(request, "retrieve", row, claims=[str(each.claim_id) for each in claims.rows if each.claim_id])
    context = {
        "title": f"Payment {row.trace}",
        "row": row,
        "tone": TONES[row.status],
        "dismiss": row.status == "quarantined" and may(request.user, "dismiss_whole", permissions.REMITTANCE),
        "part": claims,
        "claims": [(each, TOLD[each.state]) for each in claims.rows],
        "adjustments": paging.in_order(beside, request.GET, size=MOST_ROWS, name="adjustments"),
    }
    return console.render(request, "interop/claims/remittance.html", context)


@console.page(BILLING, "list")
def unplaced(request: HttpRequest) -> HttpResponse:
    """Show the claims of payments that no machine could place, in the order in which they came."""
    found = _open(request).select_related("remittance", "claim").order_by("remittance", "number")
    part = paging.in_order(found, request.GET, size=MOST_ROWS)
    _note(request, "remittanceclaim", part.rows)
    context = {"title": "Claims nobody could place", "part": part, "rows": part.rows}
    return console.render(request, "interop/claims/unplaced.html", context)


@console.page(BILLING, "retrieve")
def told(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one claim of a payment beside those of ours it may be about."""
    row = get_object_or_404(_seen(request).select_related("remittance", "claim"), pk=pk)
    found = remittance_matching.candidates(row) if row.state == "unmatched" else InsuranceClaim.objects.none()
    candidates = _whole(found) if row.state == "unmatched" else []
    detail = {"count": len(candidates), "ids": [str(each.pk) for each in candidates]}
    console.note(request, "retrieve", row, **detail)
    context = {
        "title": f"Claim {row.number} of a payment",
        "row": row,
        "tone": TOLD[row.state],
        "candidates": candidates,
        "match": row.state in OPEN_CLAIMS and may(request.user, "match", permissions.REMITTANCE_CLAIM),
    }
    return console.render(request, "interop/claims/told.html", context)


@console.page(permissions.REMITTANCE_CLAIM, "match", methods=POST)
def match(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Post what the payer says of a claim to the claim of ours that a person has found, after a second yes."""
    row = get_object_or_404(_seen(request), pk=pk)
    chosen = uuid_of(request.POST.get("claim", ""))
    claim = get_object_or_404(InsuranceClaim.objects.visible_to(request.user), pk=chosen)
    back = reverse("console:remittance-claim", args=[pk])
    if not request.POST.get("confirmed"):
        title = f"Post {row.paid} to claim {claim.claim_number}"
        return confirm(request, title, FOR_GOOD, "Post it", back=back)

    def act() -> tuple[str, str]:
        remittance_desk.match(row, by=console.person(request), claim=claim)
        console.note(request, "match", claim, remittance_claim=str(pk))
        return "Posted to this claim.", reverse("console:claim", args=[claim.pk])

    return console.attempt(request, "match", "remittanceclaim", act, back=back)


@console.page(permissions.REMITTANCE_CLAIM, "dismiss", methods=POST)
def dismiss(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put aside what a payer says of a claim that is not ours, after a second yes."""
    row = get_object_or_404(_seen(request), pk=pk)
    if _asks_first(request):
        back = reverse("console:remittance-claim", args=[pk])
        return confirm(request, f"Put aside claim {row.number} of a payment", ASIDE, "Put it aside", back=back)

    def act() -> str:
        remittance_desk.dismiss(row, by=console.person(request), reason=_reason(request))
        console.note(request, "dismiss", row)
        return "Put aside. Nothing of it is posted."

    return console.attempt(request, "dismiss", "remittanceclaim", act, back=reverse("console:remittances-unplaced"))


@console.page(permissions.REMITTANCE, "dismiss_whole", methods=POST)
def dismiss_whole(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put aside a payment that does not add up, after a second yes."""
    row = get_object_or_404(Remittance.objects.visible_to(request.user), pk=pk)
    back = reverse("console:remittance", args=[pk])
    if _asks_first(request):
        return confirm(request, f"Put aside payment {row.trace}", ASIDE, "Put it aside", back=back)

    def act() -> str:
        remittance_desk.dismiss_whole(row, by=console.person(request), reason=_reason(request))
        console.note(request, "dismiss", row)
        return "Put aside. Nothing of it is posted."

    return console.attempt(request, "dismiss", "remittance", act, back=back)


def _asks_first(request: HttpRequest) -> bool:
    """Whether the second yes is still to come; without a reason the refusal comes instead."""
    return bool(request.POST.get("reason", "").strip()) and not request.POST.get("confirmed")


def _reason(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").strip()[:NOTE_LONGEST]
    if not reason:
        raise DomainError("Say why.")
    return reason


def _whole(rows: QuerySet[Any]) -> list[Any]:
    """Return candidates with what a page tells of them."""
    return list(rows.select_related("patient_insurance__patient", "patient_insurance__insurance_plan__provider"))


def _seen(request: HttpRequest) -> QuerySet[RemittanceClaim]:
    seen: QuerySet[Remittance] = Remittance.objects.visible_to(request.user)
    return RemittanceClaim.objects.filter(remittance__in=seen.values("pk"))


def _open(request: HttpRequest) -> QuerySet[RemittanceClaim]:
    return _seen(request).filter(state__in=OPEN_CLAIMS)


def _counts(rows: QuerySet[Remittance]) -> list[tuple[str, str, int]]:
    found = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return [(value, str(label), found[value]) for value, label in Remittance.Status.choices if found.get(value)]


def _note(request: HttpRequest, kind: str, rows: list[Any]) -> None:
    ids = [str(row.pk) for row in rows]
    detail = {"count": len(ids), "ids": ids, "filters": sorted(request.GET), **audit.patients_of(rows)}
    audit.record(request, "console.list", kind, detail=detail)
