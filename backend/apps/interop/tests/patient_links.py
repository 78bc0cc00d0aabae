"""Makes links as patients get them and presses their buttons; without it each test would keep links its own way."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.messaging import links
from backend.apps.messaging.models import LinkPurpose, PatientLink, StaffTask
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient

SECRETS = re.compile(r"/a/[\w-]{22}")  # random letters, in which anything may be read


def link_of(visit: Appointment, purpose: str = LinkPurpose.ANSWER, **over: Any) -> str:
    """Return the address a message about the visit carries."""
    last = visit.reminders.count() * 60 + 60
    message = make_reminder(appointment=visit, offset_minutes=last, recipient_email=visit.patient.email)
    links.keep([links.Wanted(message, purpose, visit.pk, visit.end_datetime)])
    token = links.token(message.pk, purpose)
    PatientLink.objects.filter(token_sha256=links.digest(token)).update(**over)
    return f"/a/{token}"


def visit_ahead(**over: Any) -> Appointment:
    over.setdefault("patient", make_reachable_patient())
    return make_appointment(**over)


def stamp(visit: Appointment) -> str:
    return f"{visit.appointment_datetime:%Y%m%dT%H%M%S}"


def press(url: str, visit: Appointment, act: str, /, **form: str) -> Any:
    """Press a button of the page; no cookie, and the check Django makes of forms is on."""
    client = Client(enforce_csrf_checks=True)
    return client.post(url, {"act": act, "shown": stamp(visit), **form}, follow=True)


def state() -> dict[str, Any]:
    """Return all rows an answer could change."""
    models = (Appointment, StaffTask, ContactConsent, ContactPoint, PatientLink, Patient)
    return {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def tap(url: str, act: str) -> Any:
    return Client(enforce_csrf_checks=True).post(url, {"act": act}, follow=True)
