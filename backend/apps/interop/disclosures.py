"""Accounts for what went out of a patient (45 CFR 164.528): claims, questions, orders, messages, exports, readings.

It is read from the rows of what was sent, not from what the audit log says was asked for: they are the proof of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.insurance.models import EligibilityInquiry, StatusInquiry, Submission
from backend.apps.interop import who_saw
from backend.apps.interop.models import DisclosedPatient, SmartClient
from backend.apps.laboratory.models import LabOrderMessage
from backend.apps.messaging.models import PatientMessage
from backend.apps.patients.models import Patient

HEADINGS = ("when", "to", "what", "why", "row")
TREATMENT, PAYMENT, PERSON = "treatment", "payment", "told the patient"
AT_ONCE = 500
SENT = F("sent_at")
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Told:
    """One time something of a patient went out. row: which row of ours says so."""

    at: datetime
    to: str
    what: str
    why: str
    row: str

    @property
    def cells(self) -> list[str]:
        """Return it as text, its moment as ISO 8601."""
        return [self.at.isoformat(timespec="seconds"), self.to, self.what, self.why, self.row]


def disclosures(patient: Patient, first: datetime, past: datetime) -> Iterator[Told]:
    """Yield what went out of a patient from `first` until before `past`, in order of time."""
    ids, span = who_saw.ids_of(patient), (first, past)
    kinds = (_claims, _inquiries, _statuses, _orders, _reminders, _messages, _exports, _readings)
    yield from heapq.merge(*(kind(ids, span) for kind in kinds), key=attrgetter("at"))


def _within(rows: QuerySet[Any], span: Span, *, at: Any = SENT) -> Iterable[Any]:
    found = rows.annotate(told=at).filter(told__gte=span[0], told__lt=span[1]).order_by("told", "pk")
    return found.iterator(chunk_size=AT_ONCE)


def _spoken() -> Coalesce:
    """Return when a file left, or when its partner was spoken to and the answer was lost: it may have it."""
    return Coalesce("sent_at", "interchange__sent_at", "interchange__spoken_at")


def _claims(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = Submission.objects.filter(claim__patient_insurance__patient__in=ids).select_related("partner")
    for row in _within(rows, span, at=_spoken()):
        yield Told(row.told, row.partner.name, f"claim {row.claim_id}", PAYMENT, f"submission {row.pk}")


def _inquiries(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = EligibilityInquiry.objects.filter(coverage__patient__in=ids).select_related("partner")
    for row in _within(rows, span, at=_spoken()):
        yield Told(row.told, row.partner.name, "question about insurance", PAYMENT, f"eligibilityinquiry {row.pk}")


def _statuses(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = StatusInquiry.objects.filter(claim__patient_insurance__patient__in=ids).select_related("partner")
    for row in _within(rows, span, at=_spoken()):
        yield Told(
            row.told, row.partner.name, f"question about claim {row.claim_id}", PAYMENT, f"statusinquiry {row.pk}"
        )


def _orders(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = LabOrderMessage.objects.filter(lab_order__patient__in=ids).select_related("feed").defer("raw", "ack")
    for row in _within(rows, span):
        yield Told(row.told, row.feed.name, f"order {row.lab_order_id}", TREATMENT, f"labordermessage {row.pk}")


def _reminders(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _within(AppointmentReminder.objects.filter(appointment__patient__in=ids), span):
        what = f"{row.wording or 'reminder'} of visit {row.appointment_id}"
        yield Told(row.told, f"the patient, by {row.reminder_type}", what, PERSON, f"appointmentreminder {row.pk}")


def _messages(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _within(PatientMessage.objects.filter(patient__in=ids), span):
        what = row.wording or "message"
        yield Told(row.told, f"the patient, by {row.channel}", what, PERSON, f"patientmessage {row.pk}")


def _exports(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = DisclosedPatient.objects.filter(patient__in=ids).select_related("disclosure")
    for row in _within(rows, span, at=F("disclosure__disclosed_at")):
        one = row.disclosure
        what = f"export of {', '.join(one.resource_types)}" if one.resource_types else "export"
        yield Told(row.told, one.recipient, what, one.purpose or "not noted", f"disclosure {one.pk}")


def _readings(ids: list[UUID], span: Span) -> Iterator[Told]:
    """What systems read one by one; the audit log alone has it."""
    clients: dict[str, SmartClient] = {}
    for seen in who_saw.entries(ids, *span):
        if not seen.client or seen.action in who_saw.CHANGES:
            continue
        if seen.client not in clients:
            clients |= {str(row.pk): row for row in SmartClient.objects.all()}
        client = clients.get(seen.client)
        name, why = (client.name, client.purpose) if client else (f"client {seen.client}", "")
        yield Told(seen.at, name, f"{seen.action} {seen.what}", why or "not noted", f"auditlog {seen.entry}")
