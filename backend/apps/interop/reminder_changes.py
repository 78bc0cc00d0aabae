"""What staff do to reminders from the console; every change is a form that says how it ended, in bulk after a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.appointments import permissions, reminder_actions
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderStatus
from backend.apps.appointments.reminders import NOT_BEGUN
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.core.work import WorkState
from backend.apps.interop import console
from backend.apps.interop.lab_actions import uuid_of

REMINDERS = permissions.REMINDER
POST = ("POST",)
MOST, MOST_REMINDERS = 200, 2000  # that one form may name
WAITS = Q(NOT_BEGUN, status=ReminderStatus.PENDING)
GIVEN_UP = Q(status=ReminderStatus.FAILED, work_state=WorkState.FAILED)
VERBS = {"send_now": "sent now", "mute": "muted"}


@console.page(REMINDERS, "send_now", methods=POST)
def send_now(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put one reminder at the front of the line."""
    return _change(request, pk, reminder_actions.send_now, "It goes out next, if nothing speaks against it by then.")


@console.page(REMINDERS, "mute", methods=POST)
def mute(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take one reminder back."""
    reason = request.POST.get("reason", "")[:150]
    return _change(request, pk, reminder_actions.mute, "Muted. This reminder is not sent.", reason=reason)


@console.page(REMINDERS, "list", methods=POST)
def bulk(request: HttpRequest) -> HttpResponse:
    """Tell how many reminders the ticked visits have to send or mute; do it once that number was confirmed."""
    verb = request.POST.get("verb", "")
    if verb not in VERBS or not may(request.user, verb, REMINDERS):
        return console.refused(request, 403, "Your role may not do this.")
    ticked = [uuid_of(pk) for pk in request.POST.getlist("visit")[:MOST]]
    visits = list(Appointment.objects.visible_to(request.user).filter(pk__in=ticked).order_by("pk"))
    found = waiting(visits) if verb == "mute" else nearest(visits)
    shown = ",".join(str(row.pk) for row in found)
    if found and request.POST.get("confirmed") == shown:
        return _do_all(request, verb, found)
    context = {
        "title": f"Reminders to be {VERBS[verb]}",
        "verb": verb,
        "visits": visits,
        "count": len(found),
        "shown": shown,
        "changed": "confirmed" in request.POST,
    }
    return console.render(request, "interop/reminders/bulk.html", context)


def waiting(visits: Sequence[Appointment]) -> list[AppointmentReminder]:
    """Return every reminder of these visits that nobody has begun to send."""
    rows = AppointmentReminder.objects.filter(WAITS, appointment__in=visits)
    return list(rows.select_related("appointment").order_by("pk"))


def nearest(visits: Sequence[Appointment]) -> list[AppointmentReminder]:
    """Return of each visit the one that would leave next, and where none may leave one that was given up and may.

    Where none may, the first is returned all the same, so that whoever asked is told why not. One of each visit: nobody
    gets four texts at once.
    """
    rows = AppointmentReminder.objects.filter(WAITS | GIVEN_UP, appointment__in=visits)
    rows = rows.select_related("appointment__patient").order_by("appointment_id", "scheduled_send_time", "pk")
    found = sorted(rows[:MOST_REMINDERS], key=lambda row: row.status != ReminderStatus.PENDING)  # a stable sort
    refused = reminder_actions.refusals(found)
    chosen: dict[Any, AppointmentReminder] = {}
    for row in sorted(found, key=lambda row: row.pk in refused):
        chosen.setdefault(row.appointment_id, row)
    return sorted(chosen.values(), key=lambda row: str(row.appointment_id))


def _change(
    request: HttpRequest, pk: UUID, service: Callable[..., AppointmentReminder], told: str, **given: Any
) -> HttpResponse:
    row = get_object_or_404(AppointmentReminder.objects.visible_to(request.user), pk=pk)

    def act() -> str:
        locked = AppointmentReminder.objects.select_for_update(of=("self",), no_key=True)
        service(locked.select_related("appointment__patient").get(pk=row.pk), by=request.user, **given)
        console.note(request, service.__name__, row, fields=sorted(given))
        return told

    back = reverse("console:reminder-visit", args=[row.appointment_id])
    return console.attempt(request, service.__name__, "appointmentreminder", act, back=back)


def _do_all(request: HttpRequest, verb: str, found: Sequence[AppointmentReminder]) -> HttpResponse:
    work = _mute_all if verb == "mute" else _send_all

    def act() -> str:
        done, refusals = work(request, found)
        for row in done:
            console.note(request, verb, row, bulk=True)
        if not done:
            raise DomainError(" ".join(refusals) or "There is nothing to do.")
        left = "".join(f" {count} not: {why}" for why, count in refusals.most_common(5))
        return f"{len(done)} of {len(found)} reminder{'' if len(found) == 1 else 's'} {VERBS[verb]}.{left}"

    return console.attempt(request, verb, "appointmentreminder", act, back=reverse("console:reminders"))


def _send_all(
    request: HttpRequest, found: Sequence[AppointmentReminder]
) -> tuple[list[AppointmentReminder], Counter[str]]:
    refused = reminder_actions.send_these(found, by=request.user)
    return [row for row in found if row.pk not in refused], Counter(refused.values())


def _mute_all(
    request: HttpRequest, found: Sequence[AppointmentReminder]
) -> tuple[list[AppointmentReminder], Counter[str]]:
    reason = request.POST.get("reason", "")[:150]
    muted = reminder_actions.mute_these([row.pk for row in found], by=request.user, reason=reason)
    done = [row for row in found if row.pk in muted]
    return done, Counter({reminder_actions.NOT_WAITING: len(found) - len(done)} if len(found) > len(done) else {})
