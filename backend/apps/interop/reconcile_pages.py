"""The pages of the books: what each part can prove and what does not agree; else only a terminal could close them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.ledger import SHOWN
from backend.apps.core.models import ReconcileRun
from backend.apps.core.permissions import may
from backend.apps.core.work import WorkState
from backend.apps.interop import console, overview_books, paging, reconcile_links, reconciling
from backend.apps.interop.permissions import RECONCILE

POST = ("POST",)
AT_WORK = (WorkState.WAITING, WorkState.RUNNING)
BROKEN = (WorkState.FAILED, WorkState.HELD)


def visible(request: HttpRequest) -> QuerySet[ReconcileRun]:
    return ReconcileRun.objects.visible_to(request.user).select_related("requested_by")


def described(run: ReconcileRun | None) -> dict[str, Any]:
    """Return what the templates tell of one run."""
    tone, state = verdict(run)
    return {
        "row": run,
        "tone": tone,
        "state": state,
        "pending": run is not None and run.work_state in AT_WORK,
        "broken": run is not None and run.work_state in BROKEN,
    }


def verdict(run: ReconcileRun | None) -> tuple[str, str]:
    """Return the tone and the word for how a run ended, or how far it is."""
    if run is None:
        return "", "never closed"
    if run.work_state in BROKEN:
        return "bad", "broke off"
    if run.work_state in AT_WORK:
        return "wait", "in line" if run.work_state == WorkState.WAITING else "being closed"
    if run.agree is None:
        return "", "closed in two halves"
    return ("good", "agrees, to the row") if run.agree else ("bad", "does not agree")


@console.page(RECONCILE, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show each part with its last verdict, the form to close its books now, and all runs, newest first."""
    page = paging.newest_first(visible(request).defer("books"), request.GET, "created_at")
    audit.record(request, "console.list", "reconcilerun", detail={"count": len(page.rows)})
    standings = {each.part: each for each in overview_books.standings()}
    last = reconciling.last_runs().items()
    parts = [(part, {**described(run), "standing": standings[part]}) for part, run in last]
    context = {
        "title": "Books",
        "page": page,
        "parts": parts,
        "rows": [described(run) for run in page.rows],
        "pending": any(each["pending"] for _, each in parts),
        "usual": timezone.localdate(timezone.now() - reconciling.SPAN),
        "create": may(request.user, "create", RECONCILE),
    }
    return console.render(request, "interop/reconcile/list.html", context)


@console.page(RECONCILE, "retrieve")
def run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the accounts of one run to the row, and what is wrong with links to the rows."""
    row = get_object_or_404(visible(request), pk=pk)
    console.note(request, "retrieve", row)
    faults = [{**each, "examples": each["examples"][:SHOWN]} for each in row.books.get("faults", [])]
    links = reconcile_links.addresses(row.part, [name for fault in faults for name in fault["examples"]])
    accounts = row.books.get("accounts", [])
    context = {
        **described(row),
        "title": f"Books of the {row.part}",
        "accounts": [_account(each) for each in accounts],
        "faults": [{**each, "rows": [(name, links.get(name, "")) for name in each["examples"]]} for each in faults],
        "split": row.books.get("split", []),
        "waiting_since": _moment(row.books.get("waiting_since")),
        "retry": row.work_state in BROKEN and may(request.user, "retry", RECONCILE),
    }
    return console.render(request, "interop/reconcile/run.html", context)


def _account(told: dict[str, Any]) -> dict[str, Any]:
    """Return one account with the outcomes that any row of it has, and the rest."""
    ends = [(name, count) for name, count in told["outcomes"].items() if count]
    unexplained = told["unexplained"]
    return {**told, "ends": ends, "missing": max(unexplained, 0), "nowhere": max(-unexplained, 0)}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@console.page(RECONCILE, "create", methods=POST)
def close(request: HttpRequest) -> HttpResponse:
    def act() -> tuple[str, str]:
        since, until = _day(request, "since"), _day(request, "until")
        made = reconciling.ask(request.POST.get("part", ""), since=since, until=until, by=console.person(request))
        console.note(request, "create", made)
        return "The books are being closed.", reverse("console:reconcile-run", args=[made.pk])

    return console.attempt(request, "create", "reconcilerun", act, back=reverse("console:reconcile"))


def _day(request: HttpRequest, name: str) -> datetime | None:
    """Return the beginning of the day that was given, by the clinic's clock; None where none was."""
    text = request.POST.get(name, "")
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time.min)) if text else None
    except (ValueError, OverflowError) as error:
        raise DomainError("Give the day as in 2026-01-31.") from error


@console.page(RECONCILE, "retry", methods=POST)
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    row = get_object_or_404(visible(request), pk=pk)

    def act() -> str:
        reconciling.retry(row, by=console.person(request))
        console.note(request, "retry", row)
        return "In line again."

    return console.attempt(request, "retry", "reconcilerun", act, back=reverse("console:reconcile-run", args=[pk]))
