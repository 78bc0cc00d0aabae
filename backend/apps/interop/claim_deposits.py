"""The page of deposits: money at the bank beside the payments that tell of it; else one of the two could be missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.insurance import deposits
from backend.apps.insurance.deposit_serializers import LONGEST_FILE
from backend.apps.insurance.models import Deposit, Remittance
from backend.apps.insurance.permissions import DEPOSIT
from backend.apps.interop import console, paging
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
    part = paging.in_order(seen.filter(remittance=None).order_by("received_on", "pk"), request.GET, size=MOST_ROWS)
    expected = deposits.without_deposit().select_related("partner")
    loose = part.rows
    matched = list(seen.exclude(remittance=None).select_related("remittance").order_by("-matched_at", "pk")[:LATELY])
    detail = {"count": len(loose) + len(matched), "ids": [str(row.pk) for row in (*loose, *matched)]}
    audit.record(request, "console.list", "deposit", detail=detail)
    fits = _same_amount(loose)
    context = {
        "title": "Deposits",
        "part": part,
        "rows": [(row, fits[row.amount]) for row in loose],
        "matched": matched,
        "expected": paging.in_order(expected, request.GET, size=MOST_ROWS, name="expected"),
        **{name: may(request.user, name, DEPOSIT) for name in ("create", "bring_in", "match", "unmatch")},
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


@console.page(DEPOSIT, "bring_in", methods=POST)
def bring_in(request: HttpRequest) -> HttpResponse:
    """Enter the deposits of a bank's CSV file and show of each row what became of it; twice does no harm."""
    told: list[deposits.Row] = []

    def act() -> str:
        told.extend(deposits.bring_in(_text(request), by=console.person(request)))
        audit.record(request, "console.bring_in", "deposit", detail={"count": len(told)})
        ended = Counter(row.outcome for row in told)
        return f"{ended['added']} entered, {ended['known']} known already, {ended['refused']} refused."

    answer = console.attempt(request, "bring_in", "deposit", act, back=reverse("console:deposits"))
    refused = [row for row in told if row.outcome == "refused"]
    if not refused:
        return answer
    context = {"title": "Rows that were refused", "refused": refused[:MOST_ROWS], "count": len(refused)}
    return console.render(request, "interop/claims/deposit_rows.html", context)


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


def _text(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    if file is None:
        raise DomainError("Choose the file of the bank.")
    if (file.size or 0) > LONGEST_FILE:
        raise DomainError(f"The file is larger than {LONGEST_FILE} bytes.")
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DomainError("This is not a CSV file in UTF-8.") from None


def _same_amount(rows: Sequence[Deposit]) -> dict[Decimal, list[Remittance]]:
    """Return by amount the payments without a deposit that have it; one query."""
    found = defaultdict[Decimal, list[Remittance]](list)
    amounts: set[Any] = {row.amount for row in rows}
    for payment in deposits.without_deposit().filter(amount__in=amounts)[:MOST_ROWS]:
        found[payment.amount].append(payment)
    return found
