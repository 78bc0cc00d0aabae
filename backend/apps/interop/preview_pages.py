"""The page that foretells whom a day reminds and whom not; else a change of the table would be tried on patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse

from backend.apps.appointments import permissions, preview
from backend.apps.appointments.models import Appointment
from backend.apps.core import audit
from backend.apps.core.models import Clinic
from backend.apps.interop import console
from backend.apps.interop.reminder_board import day_of
from backend.apps.interop.reminder_states import CHANNELS, before
from backend.apps.messaging.models import Channel, MessageKind

REMINDERS = permissions.REMINDER
PAGE = 100
Named = dict[Any, str]  # the patient's name by visit


@console.page(REMINDERS, "list")
def foretold(request: HttpRequest) -> HttpResponse:
    """Show the reminders that would leave on a day in the order of time, and those that would not, with the reason."""
    on = day_of(request.GET.get("date", "")) or Clinic.today()
    lines, names = _visible(request, preview.day(on))
    only = bool(request.GET.get("held"))
    asked = [line for line in lines if not (only and line.goes_out)]
    first = _place(request.GET.get("first", ""))
    shown = asked[first : first + PAGE]
    ids = sorted({str(line.appointment_id) for line in shown})
    seen = Appointment.objects.filter(pk__in=ids)  # nosemgrep: unscoped-rows  # of lines that are theirs to see
    told = {"count": len(shown), "visits": ids, **audit.patients_of(seen)}
    audit.record(request, "console.preview", "appointmentreminder", detail=told)
    context = {
        "title": "Who will be reminded",
        "on": on,
        "only": only,
        "rows": [(line, names[line.appointment_id], *_told(line)) for line in shown],
        "counts": preview.counts(lines),
        "previous": max(first - PAGE, 0) if first else None,
        "next": first + PAGE if len(asked) > first + PAGE else None,
    }
    return console.render(request, "interop/reminders/preview.html", context)


def _visible(request: HttpRequest, lines: Sequence[preview.Line]) -> tuple[list[preview.Line], Named]:
    """Return the lines of visits this person may see, with the patients' names."""
    rows = Appointment.objects.visible_to(request.user).filter(pk__in={line.appointment_id for line in lines})
    name = Concat(F("patient__first_name"), Value(" "), F("patient__last_name"))
    names: Named = dict(rows.order_by().annotate(name=name).values_list("pk", "name"))
    return [line for line in lines if line.appointment_id in names], names


def _told(line: preview.Line) -> tuple[str, str, str]:
    """Return channel, how long before the visit, and kind of words, for people."""
    return (
        CHANNELS[Channel(line.channel)],
        before(line.offset_minutes),
        str(MessageKind(line.wording or "reminder").label),
    )


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
