"""The pages where a critical result is read back; without them the link in a page would lead nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.serializers import Serializer

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.interop import console
from backend.apps.laboratory import critical, permissions
from backend.apps.laboratory.critical_serializers import AcknowledgeForm, NoteCallForm
from backend.apps.laboratory.models import CriticalResult
from backend.apps.laboratory.models.critical import CriticalStatus

TABLE = permissions.CRITICAL_RESULT
POST = ("POST",)
MOST = 100  # open ones on the list; the longest waiting come first
LATELY = 20  # settled ones below them


def results(request: HttpRequest) -> QuerySet[CriticalResult]:
    """Return the critical results this person may see, with what a page tells of them."""
    rows = CriticalResult.objects.visible_to(request.user)
    return rows.select_related(
        "patient",
        "doctor__user",
        "acknowledged_by",
        "result__lab_order",
        "result__lab_test",
        "result__lab_order__doctor",
    )


@console.page(TABLE, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show what waits for an answer, and what was settled lately."""
    rows = results(request)
    waiting = list(rows.filter(status=CriticalStatus.OPEN).order_by(F("due_at").asc(nulls_last=True), "pk")[:MOST])
    settled = list(rows.exclude(status=CriticalStatus.OPEN).order_by("-created_at", "pk")[:LATELY])
    ids = [str(row.pk) for row in (*waiting, *settled)]
    detail = {"count": len(ids), "ids": ids, **audit.patients_of((*waiting, *settled))}
    audit.record(request, "console.list", "criticalresult", detail=detail)
    context = {"title": "Critical results", "waiting": waiting, "settled": settled}
    return console.render(request, "interop/labs/critical_list.html", context)


@console.page(TABLE, "retrieve")
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one critical result, its log, and the forms this person may answer with."""
    row = get_object_or_404(results(request), pk=pk)
    console.note(request, "retrieve", row)
    waits = row.status == CriticalStatus.OPEN
    context = {
        "title": f"Critical: {row.test_name}",
        "row": row,
        "steps": list(row.steps.select_related("by", "recipient")),
        "acknowledge": waits and may(request.user, "acknowledge", TABLE),
        "note_call": waits and may(request.user, "note_call", TABLE),
    }
    return console.render(request, "interop/labs/critical.html", context)


@console.page(TABLE, "acknowledge", methods=POST)
def acknowledge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take the read-back of somebody who answers for the result."""
    return answer(request, pk, critical.acknowledge, AcknowledgeForm)


@console.page(TABLE, "note_call", methods=POST)
def note_call(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take down a phone call."""
    return answer(request, pk, critical.note_call, NoteCallForm)


def answer(
    request: HttpRequest, pk: UUID, service: Callable[..., CriticalResult], takes: type[Serializer[Any]]
) -> HttpResponse:
    """Let `service` take what the form says; go back to the result with how it ended."""

    def act() -> str:
        row = get_object_or_404(results(request), pk=pk)
        given = {name: request.POST[name] for name in takes().get_fields() if name in request.POST}
        form = takes(data=given)
        if not form.is_valid():
            raise DomainError("Fill in the form: up to 120 characters for a name, 200 for what was read back.")
        row = service(row, by=request.user, **form.validated_data)
        console.note(request, service.__name__, row, fields=sorted(given))
        if row.status == CriticalStatus.ACKNOWLEDGED:
            return "Acknowledged. Nobody else is paged."
        return "The call is noted. The result still waits for somebody who reads it back."

    back = reverse("console:lab-critical-result", args=[pk])
    return console.attempt(request, service.__name__, "criticalresult", act, back=back)
