"""The pages of reminders: the board of a day and the story of one visit; without them nobody would see who was told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from backend.apps.appointments import permissions
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core import audit, closed_values
from backend.apps.core.models import Clinic
from backend.apps.core.permissions import may
from backend.apps.doctors.models import Doctor
from backend.apps.interop import console, paging, reminder_board
from backend.apps.interop.reminder_states import Chip, state_of
from backend.apps.messaging.models import InboundText, PatientMessage, StaffTask
from backend.apps.patients import contacts
from backend.apps.patients.models import ContactConsent
from backend.apps.patients.permissions import CONTACT_CONSENT

REMINDERS = permissions.REMINDER
MOST_DOCTORS, MOST_ROWS = 200, 100


@console.page(REMINDERS, "list")
def board(request: HttpRequest) -> HttpResponse:
    """Show the visits of a day, each with its reminders, and what went wrong."""
    today = Clinic.today()
    asked = reminder_board.Asked.of(request.GET, today)
    rows = reminder_board.visits(request.user, asked).select_related("patient", "doctor__user")
    page = paging.earliest_first(rows, request.GET, "appointment_datetime")
    chips = reminder_board.chips(page.rows)
    noted = {"count": len(page.rows), "ids": [str(row.pk) for row in page.rows], "filters": sorted(request.GET)}
    noted |= audit.patients_of(page.rows)
    audit.record(request, "console.list", "appointmentreminder", detail=noted)
    context = {
        "title": "Reminders",
        "asked": asked,
        "today": today,
        "page": page,
        "rows": [(row, chips.get(row.pk, [])) for row in page.rows],
        "counts": reminder_board.counts(request.user, asked),
        "failures": reminder_board.failures(request.user, asked),
        "segments": reminder_board.segments(today),
        "segment_queries": {
            span: reminder_board.Asked(day=today, by="reminder", span=span, channel="sms").query()
            for span in ("day", "month")
        },
        "opt_outs": reminder_board.opt_outs(today) if may(request.user, "list", CONTACT_CONSENT) else None,
        "senders": reminder_board.senders(),
        "states": reminder_board.STATES.items(),
        "doctors": Doctor.objects.select_related("user").order_by("user__last_name", "pk")[:MOST_DOCTORS],
        **_verbs(request),
    }
    return console.render(request, "interop/reminders/board.html", context)


@console.page(REMINDERS, "retrieve")
def visit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show every reminder of one visit, taken back ones too, and what came back."""
    row = get_object_or_404(visits(request), pk=pk)
    console.note(request, "retrieve", row)
    # nosemgrep: unscoped-rows  # of a visit that is theirs to see
    reminders = AppointmentReminder.objects.filter(appointment=row).order_by("scheduled_send_time", "created_at", "pk")
    chips = [Chip.of(each) for each in reminders[:MOST_ROWS]]
    closed_values.mark((chip.row for chip in chips), "recipient_phone", "recipient_email")
    keys = [chip.row.pk for chip in chips]
    points = contacts.points_of([row.patient])
    # nosemgrep: unscoped-rows  # of a visit that is theirs to see
    others = PatientMessage.objects.filter(subject_id=row.pk).order_by("scheduled_send_time", "pk")[:MOST_ROWS]
    context = {
        "title": "Reminders of a visit",
        "row": row,
        "chips": chips,
        "others": [(each, state_of(each)) for each in others],
        "replies": list(InboundText.objects.visible_to(request.user).filter(answers_id__in=keys)[:MOST_ROWS]),
        "tasks": list(StaffTask.objects.visible_to(request.user).filter(subject_id=row.pk)[:MOST_ROWS]),
        "closed": {channel: contacts.closed_by(row.patient, channel, points) for channel in ("sms", "email")},
        "waiting": sum(chip.can_mute for chip in chips),
        **_verbs(request),
    }
    return console.render(request, "interop/reminders/visit.html", context)


@console.page(CONTACT_CONSENT, "list")
def opt_outs(request: HttpRequest) -> HttpResponse:
    """Show who wants no more messages, the latest first."""
    rows = ContactConsent.objects.visible_to(request.user).filter(given=False).select_related("patient", "by")
    page = paging.newest_first(rows, request.GET, "created_at")
    ids = [str(row.patient_id) for row in page.rows]
    audit.record(request, "console.list", "contactconsent", detail={"count": len(ids), "patients": sorted(set(ids))})
    return console.render(request, "interop/reminders/opt_outs.html", {"title": "Opted out", "page": page})


def visits(request: HttpRequest) -> QuerySet[Appointment]:
    """Return the visits this person may see, with what a page tells of them."""
    return Appointment.objects.visible_to(request.user).select_related("patient", "doctor__user")


def _verbs(request: HttpRequest) -> dict[str, Any]:
    return {name: may(request.user, name, REMINDERS) for name in ("send_now", "mute")}
