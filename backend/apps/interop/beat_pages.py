"""The page of the beat: when each entry ran, which are late, and a bell to ring by hand; else only a log would tell."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit, beats, dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Heartbeat
from backend.apps.interop import console
from backend.apps.interop.permissions import BEAT

POST = ("POST",)
AWAY = "The broker does not answer, so nobody was rung for. The beat rings again by itself once it does."


@console.page(BEAT, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show every entry of the schedule, those that are late or failing first."""
    late = {row.entry for row in beats.late()}
    rows = sorted(beats.all_entries(), key=lambda row: (row.entry not in late, not row.failures, row.entry))
    context = {
        "title": "Beat",
        "rows": [(row, row.entry in late) for row in rows],
        "late": len(late),
        "failing": sum(bool(row.failures) for row in rows),
    }
    return console.render(request, "interop/beat/list.html", context)


@console.page(BEAT, "run", methods=POST)
def run(request: HttpRequest) -> HttpResponse:
    """Ring for the task of one entry now; whoever rings twice wakes a worker in vain, no more."""
    row = get_object_or_404(Heartbeat, entry=request.POST.get("entry", "")[:80])

    def act() -> str:
        if not row.task:
            raise DomainError("No worker has said yet which task this entry stands for; try again in a minute.")
        if not dispatch.send(row.task):  # at once, to be told: the task reads nothing of this transaction
            raise DomainError(AWAY)
        audit.record(request, "console.run", "heartbeat", row.entry)
        return f"Rung for: {row.entry}. Its last run shows below once a worker has done it."

    return console.attempt(request, "run", "heartbeat", act, back=reverse("console:beat"))
