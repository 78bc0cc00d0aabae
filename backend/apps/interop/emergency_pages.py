"""The pages of break-glass: a doctor opens a record with a reason, a reviewer says whether it was justified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.serializers import Serializer

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.core.statements import database_now
from backend.apps.interop import console
from backend.apps.patients import emergencies
from backend.apps.patients.emergency_models import REVIEWED_WITHIN, SHORTEST_REASON, EmergencyAccess
from backend.apps.patients.emergency_serializers import BreakGlassForm, FindForm, ReviewForm
from backend.apps.patients.emergency_views import tries_left
from backend.apps.patients.permissions import EMERGENCY_ACCESS as TABLE
from backend.apps.patients.permissions import PATIENT

POST = ("POST",)
MOST, LATELY, MOST_SEEN = 100, 20, 200
NOBODY = "Nobody is on file under this record number and birthday."


def accesses(request: HttpRequest) -> QuerySet[EmergencyAccess]:
    """Return the accesses this person may see: the reviewer all, a doctor own ones."""
    return EmergencyAccess.objects.visible_to(request.user).select_related("user", "patient", "reviewed_by")


@console.page(TABLE, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show what waits for a review, the oldest first, and what was reviewed lately."""
    rows, now = accesses(request), database_now()
    waiting = list(rows.filter(emergencies.UNREVIEWED).order_by("ends_at", "pk")[:MOST])
    reviewed = list(rows.exclude(emergencies.UNREVIEWED).order_by("-started_at", "-pk")[:LATELY])
    ids = [str(row.pk) for row in (*waiting, *reviewed)]
    detail = {"count": len(ids), "ids": ids, **audit.patients_of((*waiting, *reviewed))}
    audit.record(request, "console.list", "emergencyaccess", detail=detail)
    context = {
        "title": "Break-glass",
        "waiting": [(row, *_state(row, now)) for row in waiting],
        "reviewed": reviewed,
        "opens": emergencies.may_need(console.person(request)),
        "reviews": may(request.user, "review", TABLE),
        "shortest": SHORTEST_REASON,
    }
    return console.render(request, "interop/emergencies/list.html", context)


def _state(row: EmergencyAccess, now: Any) -> tuple[str, str]:
    if row.ends_at > now:
        return "bad", "open"
    return ("bad", "overdue") if row.ends_at < now - REVIEWED_WITHIN else ("wait", "to review")


@console.page(TABLE, "retrieve")
def access(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one access and, to the reviewer, what was seen and done under it."""
    row = get_object_or_404(accesses(request), pk=pk)
    console.note(request, "retrieve", row)
    reviews, is_open = may(request.user, "review", TABLE), row.ends_at > database_now()
    seen = list(emergencies.seen(row)[: MOST_SEEN + 1]) if reviews else []
    context = {
        "title": "Opened record",
        "row": row,
        "is_open": is_open,
        "reviews": reviews and not row.verdict and row.user_id != request.user.pk,
        "shows_seen": reviews,
        "seen": seen[:MOST_SEEN],
        "more": len(seen) > MOST_SEEN,
        "keeps": emergencies.links_since(row) if reviews else [],
    }
    return console.render(request, "interop/emergencies/access.html", context)


@console.page(PATIENT, "break_glass", methods=POST)
def break_glass(request: HttpRequest) -> HttpResponse:
    """Open the record of whoever has this number and birthday."""
    wait_s = tries_left(request)  # counted outside of `act`, for what is refused there is undone

    def act() -> tuple[str, str]:
        who, why = _form(request, FindForm), _form(request, BreakGlassForm)
        if wait_s is not None:
            raise DomainError("Too many tries. Wait ten minutes, or ask the administrator.")
        patient = emergencies.find(**who).first()
        if patient is None:
            raise DomainError(NOBODY)
        opened = emergencies.break_glass(patient, by=console.person(request), **why)
        console.note(request, "break_glass", patient, access=str(opened.pk))
        return "The record is open for 60 minutes.", reverse("console:emergency-access", args=[opened.pk])

    return console.attempt(request, "break_glass", "patient", act, back=reverse("console:break-glass"))


@console.page(TABLE, "end", methods=POST)
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _change(request, pk, "end", "The record is shut.", emergencies.end)


@console.page(TABLE, "review", methods=POST)
def review(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _change(request, pk, "review", "The review is noted.", emergencies.review, takes=ReviewForm)


def _change(
    request: HttpRequest,
    pk: UUID,
    verb: str,
    done: str,
    service: Callable[..., EmergencyAccess],
    *,
    takes: type[Serializer[Any]] | None = None,
) -> HttpResponse:
    row = get_object_or_404(accesses(request), pk=pk)

    def act() -> str:
        service(row, by=console.person(request), **(_form(request, takes) if takes else {}))
        console.note(request, verb, row)
        return done

    return console.attempt(
        request, verb, "emergencyaccess", act, back=reverse("console:emergency-access", args=[row.pk])
    )


def _form(request: HttpRequest, takes: type[Serializer[Any]]) -> dict[str, Any]:
    """Return what the form says, cut to the fields that are taken; refuse it with a sentence."""
    form = takes(data={name: request.POST[name] for name in takes().get_fields() if name in request.POST})
    if not form.is_valid():
        raise DomainError(f"Fill in the whole form; a reason has {SHORTEST_REASON} to 500 characters.")
    found: dict[str, Any] = form.validated_data
    return found
