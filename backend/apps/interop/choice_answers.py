"""Lets who sent an unclear answer say which visit it is about; else a guess would confirm another child's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse

from backend.apps.appointments import answerable, services, zones
from backend.apps.appointments.models import Appointment, AppointmentStatus
from backend.apps.core import closed_values
from backend.apps.core.exceptions import DomainError
from backend.apps.interop.answer_frame import Asked
from backend.apps.interop.visit_answers import stamp
from backend.apps.messaging import outgoing


def page(asked: Asked) -> HttpResponse:
    """Show the visits of the number by GET, each with its time and nothing else; by POST confirm one of them."""
    if asked.request.method != "POST":
        visits = _visits(asked)
        for patient_id in sorted({visit.patient_id for visit in visits.values()}):
            asked.note("view", "patientmessage", asked.link.message_id, patient_id=patient_id)
        return shown(asked, visits)
    with transaction.atomic():
        return confirm(asked)


def confirm(asked: Asked) -> HttpResponse:
    """Note that the patient of this one visit is coming; once more changes nothing."""
    form, words = asked.request.POST, asked.words
    key = _key(form.get("visit", ""))
    rows = Appointment.objects.filter(pk__in=[key] if key else [])
    list(rows.select_for_update(no_key=True).values_list("pk"))
    visits = _visits(asked)
    visit = visits.get(key) if key else None
    if asked.wants != "confirm":
        return shown(asked, visits, wrong=words.unclear)
    if visit is None or form.get("shown") != stamp(visit):
        return shown(asked, visits, wrong=words.changed)
    if visit.status != AppointmentStatus.CONFIRMED:
        try:
            with transaction.atomic():
                services.confirm(visit, by=None)
        except DomainError:
            asked.note("confirm", "appointment", visit.pk, refused=True, patient_id=visit.patient_id)
            return shown(asked, _visits(asked), wrong=words.refused)
        asked.note("confirm", "appointment", visit.pk, patient_id=visit.patient_id)
    return asked.again()


def shown(asked: Asked, visits: dict[Any, Appointment], *, wrong: str = "") -> HttpResponse:
    words = asked.words
    if not visits:
        return asked.message(words.choice_over, words.choice_over_why, status=410)
    rows = [
        {
            "visit": visit,
            "stamp": stamp(visit),
            "when": asked.when(visit.appointment_datetime),
            "when_there": asked.when_there(
                visit.appointment_datetime, zones.recipient_zone(visit.patient, asked.clinic)
            ),
            "confirmed": visit.status == AppointmentStatus.CONFIRMED,
        }
        for visit in sorted(visits.values(), key=lambda visit: (visit.appointment_datetime, visit.pk))
    ]
    context = {"title": words.choice, "rows": rows, "wrong": wrong}
    return asked.page("choice", context, status=422 if wrong else 200)


def _visits(asked: Asked) -> dict[Any, Appointment]:
    """Return the visits ahead that were reminded of at the number the link was sent to, and still is theirs."""
    message = outgoing.find(asked.link.message_id)
    number = closed_values.read(message, "recipient_phone") if message else ""
    found = answerable.reminded_at([number]).get(number, []) if number else []
    return {row.appointment_id: row.appointment for row in found}


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
