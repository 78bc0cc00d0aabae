"""The pages of replays: what they would change, or changed, and how far they are; else a dry run would tell nobody."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.interop import console, paging
from backend.apps.laboratory import permissions, replays
from backend.apps.laboratory.models import LabReplay, ReplayStatus
from backend.apps.patients.models import Patient

REPLAYS = permissions.LAB_REPLAY
POST = ("POST",)
MOST_SHOWN = 200  # messages that were not filed


def visible(request: HttpRequest) -> QuerySet[LabReplay]:
    return LabReplay.objects.visible_to(request.user).select_related("requested_by")


@console.page(REPLAYS, "list")
def listing(request: HttpRequest) -> HttpResponse:
    page = paging.newest_first(visible(request), request.GET, "created_at")
    audit.record(request, "console.list", "labreplay", detail={"count": len(page.rows)})
    return console.render(request, "interop/labs/replays.html", {"title": "Replays", "page": page})


@console.page(REPLAYS, "retrieve")
def replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one replay: its progress, how its messages ended, and, once it has ended, where the charts differ."""
    row = get_object_or_404(visible(request), pk=pk)
    pending = row.status == ReplayStatus.PENDING  # its page is loaded again and again: counts only, nobody's chart
    first = replays.place_asked(request.GET.get("first", "0")) or 0
    differs = [] if pending else replays.difference(row, first=first)
    patients = {entry["patient"] for entry in differs}
    replays.note_look(request, row, differs)
    console.note(request, "retrieve", row, count=len(differs))
    # nosemgrep: unscoped-rows  # whom the replay names
    numbers = Patient.all_objects.filter(pk__in=patients).values_list("pk", "medical_record_number")
    known = {str(key): number for key, number in numbers}
    context = {
        "title": "Dry run of a replay" if row.dry_run else "Replay",
        "row": row,
        "pending": pending,
        "differs": [{**entry, "number": known.get(entry["patient"], "")} for entry in differs],
        "first": first + 1,
        "last": first + len(differs),
        "outcomes": replays.outcomes(row),
        "troubles": row.messages.filter(status__in=["worklist", "rejected", "broken", "left", "in line"]).order_by(
            "position"
        )[:MOST_SHOWN],
        "real": row.real_runs.first(),
        "apply": may(request.user, "apply", REPLAYS) and row.dry_run and row.status == ReplayStatus.FINISHED,
        "cancel": may(request.user, "cancel", REPLAYS) and pending,
    }
    return console.render(request, "interop/labs/replay.html", context)


@console.page(REPLAYS, "apply", methods=POST)
def apply(request: HttpRequest, pk: UUID) -> HttpResponse:
    row = get_object_or_404(visible(request), pk=pk)

    def act() -> tuple[str, str]:
        made = replays.apply(LabReplay.objects.select_for_update().get(pk=row.pk), by=request.user)
        console.note(request, "apply", made, of=str(row.pk))
        return "The replay is in line and files the messages now.", reverse("console:lab-replay", args=[made.pk])

    return console.attempt(request, "apply", "labreplay", act, back=reverse("console:lab-replay", args=[pk]))


@console.page(REPLAYS, "cancel", methods=POST)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    row = get_object_or_404(visible(request), pk=pk)

    def act() -> str:
        replays.cancel(row, by=request.user)
        console.note(request, "cancel", row)
        return "Stopped. What it had filed by then stays filed."

    return console.attempt(request, "cancel", "labreplay", act, back=reverse("console:lab-replay", args=[pk]))
