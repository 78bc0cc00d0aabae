"""The pages of what waits for the front desk: answers no machine understood, and tasks; else both would wait unseen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.appointments import answerable
from backend.apps.appointments.models import AWAITED, Appointment
from backend.apps.core import audit, closed_values
from backend.apps.core.permissions import may
from backend.apps.interop import console, paging
from backend.apps.messaging import inbound, permissions, tasks
from backend.apps.messaging.inbox_views import WAITING
from backend.apps.messaging.models import InboundText, StaffTask, TaskKind

REPLIES, TASKS = permissions.INBOUND_TEXT, permissions.STAFF_TASK
POST = ("POST",)
NOTE_LONGEST = 200
MOST_TEXTS = 200
VISITS_OF_ONE = 20  # a series of visits hides nobody else's


@console.page(REPLIES, "list")
def replies(request: HttpRequest) -> HttpResponse:
    """Show the texts that wait for a person, or all of them, the newest first."""
    rows = InboundText.objects.visible_to(request.user).select_related("patient", "handled_by")
    every = bool(request.GET.get("all"))
    page = paging.newest_first(rows if every else rows.filter(WAITING), request.GET, "received_at")
    visits = _visits_ahead(request, {row.patient_id for row in page.rows if row.patient_id})
    pictures = inbound.pictures(page.rows)
    closed_values.mark(page.rows, "from_number")
    _note_list(request, "inboundtext", page.rows)
    context = {
        "title": "Replies",
        "page": page,
        "rows": [(row, visits.get(row.patient_id, []), pictures.get(row.sid, 0)) for row in page.rows],
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
        note = request.POST.get("note", "").strip()[:NOTE_LONGEST]
        inbound.handle(row, by=request.user, note=note)
        console.note(request, "handle", row, with_note=bool(note))
        return "Handled. The note is a task now." if note else "Handled."

    return console.attempt(request, "handle", "inboundtext", act, back=reverse("console:replies"))


@console.page(REPLIES, "handle", methods=POST)
def opt_out(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Text a number no more whose owner asks for that in words no machine understood."""

    def act() -> str:
        row = get_object_or_404(InboundText.objects.visible_to(request.user), pk=pk)
        inbound.opt_out(row, by=request.user)
        console.note(request, "opt_out", row)
        return "This number gets no more texts."

    return console.attempt(request, "opt_out", "inboundtext", act, back=reverse("console:replies"))


@console.page(TASKS, "list")
def staff_tasks(request: HttpRequest) -> HttpResponse:
    """Show the open tasks, or those of one kind, the newest first."""
    rows = StaffTask.objects.visible_to(request.user).filter(done_at=None)
    kind = request.GET.get("kind", "")
    asked = rows.filter(kind=kind) if kind in TaskKind.values else rows
    page = paging.newest_first(asked.select_related("patient"), request.GET, "created_at")
    subjects = [row.subject_id for row in page.rows if row.subject_id]
    visits, texts = _visits(request, subjects), _texts(request, subjects)
    closed_values.mark((row.patient for row in page.rows), "phone")
    _note_list(request, "stafftask", page.rows, texts.values())
    context = {
        "title": "Tasks",
        "page": page,
        "rows": [(row, visits.get(row.subject_id), texts.get(row.subject_id)) for row in page.rows],
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
    """Return by patient the visits still ahead, the nearest first, so many of each."""
    order = ("appointment_datetime", "pk")
    ahead = (
        Appointment.objects.visible_to(request.user)
        .filter(patient__in=list(patients), status__in=AWAITED, appointment_datetime__gt=timezone.now())
        .annotate(place=Window(RowNumber(), partition_by=F("patient"), order_by=order))
    )
    found: dict[Any, list[Appointment]] = {}
    for row in ahead.filter(place__lte=VISITS_OF_ONE).order_by(*order):
        found.setdefault(row.patient_id, []).append(row)
    return found


@dataclass(frozen=True)
class Said:
    """What a task about a text shows. bodies: this text and what was as unclear from the number since."""

    number: str
    bodies: list[InboundText]
    visits: list[Appointment]


def _texts(request: HttpRequest, keys: Collection[Any]) -> dict[Any, Said]:
    """Return by key of a text what was said and the visits ahead it may be about; nothing to who may not read texts."""
    seen = InboundText.objects.visible_to(request.user)
    asked = list(seen.filter(pk__in=keys))
    if not asked:
        return {}
    closed_values.mark(asked, "from_number")
    numbers, since = {row.from_number for row in asked} - {closed_values.SIGN}, min(row.received_at for row in asked)
    of_them = InboundText.sent_from(*numbers)
    unclear = seen.filter(of_them, outcome=InboundText.Outcome.AMBIGUOUS, received_at__gte=since)
    later = list(unclear.order_by("received_at", "pk")[:MOST_TEXTS])
    closed_values.mark(later, "from_number")
    reminded = answerable.reminded_at(numbers)
    return {
        row.pk: Said(
            row.from_number,
            [
                row,
                *(
                    each
                    for each in later
                    if each.from_number == row.from_number != closed_values.SIGN and each.received_at > row.received_at
                ),
            ],
            sorted({each.appointment for each in reminded.get(row.from_number, [])}, key=_start),
        )
        for row in asked
    }


def _start(visit: Appointment) -> Any:
    return visit.appointment_datetime, visit.pk


def _note_list(request: HttpRequest, kind: str, rows: Sequence[Any], said: Iterable[Said] = ()) -> None:
    ids = [str(row.pk) for row in rows]
    detail: dict[str, Any] = {"count": len(ids), "ids": ids, **audit.patients_of(rows)}
    if told := list(said):
        detail["texts"] = [str(row.pk) for each in told for row in each.bodies]
        visited = {str(visit.patient_id) for each in told for visit in each.visits}
        detail["patients"] = sorted(visited.union(detail.get("patients", ())))
    audit.record(request, "console.list", kind, detail=detail)
