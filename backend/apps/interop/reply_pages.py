"""The pages of what waits for the front desk: answers no machine understood, and tasks; else both would wait unseen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.appointments.models import AWAITED, Appointment
from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.interop import console, paging
from backend.apps.messaging import inbound, permissions, tasks
from backend.apps.messaging.inbox_views import WAITING
from backend.apps.messaging.models import InboundText, StaffTask, TaskKind

REPLIES, TASKS = permissions.INBOUND_TEXT, permissions.STAFF_TASK
POST = ("POST",)
NOTE_LONGEST = 200
MOST_VISITS = 200


@console.page(REPLIES, "list")
def replies(request: HttpRequest) -> HttpResponse:
    """Show the texts that wait for a person, or all of them, the newest first."""
    rows = InboundText.objects.visible_to(request.user).select_related("patient", "handled_by")
    every = bool(request.GET.get("all"))
    page = paging.newest_first(rows if every else rows.filter(WAITING), request.GET, "received_at")
    visits = _visits_ahead(request, {row.patient_id for row in page.rows if row.patient_id})
    _note_list(request, "inboundtext", page.rows)
    context = {
        "title": "Replies",
        "page": page,
        "rows": [(row, visits.get(row.patient_id, [])) for row in page.rows],
        "every": every,
        "waiting": rows.filter(WAITING).count(),
        "handle": may(request.user, "handle", REPLIES),
    }
    return console.render(request, "interop/reminders/replies.html", context)


@console.page(REPLIES, "handle", methods=POST)
def handle(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Note that somebody has read a text and done what it asks for; with a note it becomes a task instead."""

    def act() -> str:
        row = get_object_or_404(InboundText.objects.visible_to(request.user), pk=pk)
        inbound.handle(row, by=request.user)
        console.note(request, "handle", row)
        note = request.POST.get("note", "").strip()[:NOTE_LONGEST]
        if not note:
            return "Handled."
        task = tasks.open_once(
            TaskKind.CALL, f"reply:{row.pk}", f"After a text of the patient: {note}", patient=row.patient
        )
        console.note(request, "open_task", task)
        return "Handled. The note is a task now."

    return console.attempt(request, "handle", "inboundtext", act, back=reverse("console:replies"))


@console.page(TASKS, "list")
def staff_tasks(request: HttpRequest) -> HttpResponse:
    """Show the open tasks, or those of one kind, the newest first."""
    rows = StaffTask.objects.visible_to(request.user).filter(done_at=None)
    kind = request.GET.get("kind", "")
    asked = rows.filter(kind=kind) if kind in TaskKind.values else rows
    page = paging.newest_first(asked.select_related("patient"), request.GET, "created_at")
    visits = _visits(request, [row.subject_id for row in page.rows if row.subject_id])
    _note_list(request, "stafftask", page.rows)
    context = {
        "title": "Tasks",
        "page": page,
        "rows": [(row, visits.get(row.subject_id)) for row in page.rows],
        "kinds": TaskKind.choices,
        "kind": kind,
        "complete": may(request.user, "complete", TASKS),
    }
    return console.render(request, "interop/reminders/tasks.html", context)


@console.page(TASKS, "complete", methods=POST)
def complete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Note that a task is done, and how it ended."""

    def act() -> str:
        row = get_object_or_404(StaffTask.objects.visible_to(request.user), pk=pk)
        tasks.complete(row, by=request.user, note=request.POST.get("note", "")[:NOTE_LONGEST])
        console.note(request, "complete", row)
        return "Done."

    return console.attempt(request, "complete", "stafftask", act, back=reverse("console:tasks"))


def _visits(request: HttpRequest, keys: Iterable[Any]) -> dict[Any, Appointment]:
    rows: QuerySet[Appointment] = Appointment.objects.visible_to(request.user).filter(pk__in=list(keys))
    return rows.in_bulk()


def _visits_ahead(request: HttpRequest, patients: Iterable[Any]) -> dict[Any, list[Appointment]]:
    """Return by patient the visits still ahead, the nearest first."""
    ahead = Appointment.objects.visible_to(request.user).filter(
        patient__in=list(patients), status__in=AWAITED, appointment_datetime__gt=timezone.now()
    )
    found: dict[Any, list[Appointment]] = {}
    for row in ahead.order_by("appointment_datetime", "pk")[:MOST_VISITS]:
        found.setdefault(row.patient_id, []).append(row)
    return found


def _note_list(request: HttpRequest, kind: str, rows: Iterable[Any]) -> None:
    ids = [str(row.pk) for row in rows]
    audit.record(request, "console.list", kind, detail={"count": len(ids), "ids": ids})
