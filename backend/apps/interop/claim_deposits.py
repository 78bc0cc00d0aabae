"""The page of deposits: money at the bank beside the payments that tell of it; else one of the two could be missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.insurance import deposits
from backend.apps.insurance.models import Deposit, Remittance
from backend.apps.insurance.permissions import DEPOSIT
from backend.apps.interop import console
from backend.apps.interop.claim_board import BILLING
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST_ROWS = 100
LATELY = 20
FIELDS = ("trace", "amount", "received_on")


@console.page(BILLING, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show the deposits that belong to no payment, each with those of its amount, and payments without money."""
    seen = Deposit.objects.visible_to(request.user)
    loose = list(seen.filter(remittance=None).order_by("received_on", "pk")[:MOST_ROWS])
    matched = list(seen.exclude(remittance=None).select_related("remittance").order_by("-matched_at", "pk")[:LATELY])
    detail = {"count": len(loose) + len(matched), "ids": [str(row.pk) for row in (*loose, *matched)]}
    audit.record(request, "console.list", "deposit", detail=detail)
    fits = _same_amount(loose)
    context = {
        "title": "Deposits",
        "rows": [(row, fits[row.amount]) for row in loose],
        "matched": matched,
        "expected": list(deposits.without_deposit().select_related("partner")[:MOST_ROWS]),
        **{name: may(request.user, name, DEPOSIT) for name in ("create", "match", "unmatch")},
    }
    return console.render(request, "interop/claims/deposits.html", context)


@console.page(DEPOSIT, "create", methods=POST)
def record(request: HttpRequest) -> HttpResponse:
    """Enter a deposit as the bank tells of it."""

    def act() -> str:
        row = deposits.record(
            by=console.person(request), **{name: request.POST.get(name, "").strip() for name in FIELDS}
        )
        console.note(request, "create", row)
        return "Entered, and matched to its payment." if row.remittance_id else "Entered. No payment fits it yet."

    return console.attempt(request, "create", "deposit", act, back=reverse("console:deposits"))


@console.page(DEPOSIT, "match", methods=POST)
def match(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say which payment a deposit is of."""

    def act() -> str:
        row = get_object_or_404(Deposit.objects.visible_to(request.user), pk=pk)
        chosen = uuid_of(request.POST.get("remittance", ""))
        payment = get_object_or_404(Remittance.objects.visible_to(request.user), pk=chosen)
        deposits.match(row, by=console.person(request), remittance=payment)
        console.note(request, "match", row, remittance=str(payment.pk))
        return "Matched."

    return console.attempt(request, "match", "deposit", act, back=reverse("console:deposits"))


@console.page(DEPOSIT, "unmatch", methods=POST)
def unmatch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a wrong match back."""

    def act() -> str:
        row = get_object_or_404(Deposit.objects.visible_to(request.user), pk=pk)
        deposits.unmatch(row, by=console.person(request))
        console.note(request, "unmatch", row)
        return "The match is taken back."

    return console.attempt(request, "unmatch", "deposit", act, back=reverse("console:deposits"))


def _same_amount(rows: Sequence[Deposit]) -> dict[Decimal, list[Remittance]]:
    """Return by amount the payments without a deposit that have it; one query."""
    found = defaultdict[Decimal, list[Remittance]](list)
    amounts: set[Any] = {row.amount for row in rows}
    for payment in deposits.without_deposit().filter(amount__in=amounts)[:MOST_ROWS]:
        found[payment.amount].append(payment)
    return found
