"""Accounts for what went out of a patient (45 CFR 164.528): claims, questions, orders, messages, exports, readings.

It is read from the rows of what was sent, deleted ones too, not from what the audit log says was asked for: they are
the proof of it. What may have arrived is told as well, for a lost answer is no proof that nothing went out.
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
from backend.apps.core import audit_showing
from backend.apps.insurance.models import EligibilityInquiry, StatusInquiry, Submission
from backend.apps.interop import who_saw
from backend.apps.interop.models import DisclosedPatient, SmartClient
from backend.apps.laboratory.models import LabOrderMessage, OrderMessageStatus
from backend.apps.messaging.models import PatientMessage
from backend.apps.patients.models import Patient

HEADINGS = ("when", "to", "what", "why", "row")
TREATMENT, PAYMENT, PERSON = "treatment", "payment", "told the patient"
AT_ONCE = 500
SENT = F("sent_at")
UNHEARD = (OrderMessageStatus.WAITING, OrderMessageStatus.UNCERTAIN, OrderMessageStatus.FAILED)
UNSURE = " (whether it arrived is not known)"
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
    ids, span = audit_showing.keys_of(patient.pk), (first, past)
    kinds = (_claims, _inquiries, _statuses, _orders, _reminders, _messages, _exports)
    yield from heapq.merge(*(kind(ids, span) for kind in kinds), _readings(patient, span), key=attrgetter("at"))


def _within(rows: QuerySet[Any], span: Span, *, at: Any = SENT) -> Iterable[Any]:
    found = rows.annotate(told=at).filter(told__gte=span[0], told__lt=span[1]).order_by("told", "pk")
    return found.iterator(chunk_size=AT_ONCE)


def _filed(rows: QuerySet[Any], span: Span) -> Iterable[Any]:
    """Return what went in files, by when these left; else when the partner was spoken to, who may have them."""
    left = Coalesce("sent_at", "interchange__sent_at")
    tried = Coalesce(left, "interchange__spoken_at", "interchange__staged_at")
    return _within(rows.select_related("partner").annotate(left=left), span, at=tried)


def _texted(rows: QuerySet[Any], span: Span) -> Iterable[Any]:
    """Return what was sent to the patient, or handed over and not heard of again."""
    return _within(rows, span, at=Coalesce("sent_at", "uncertain_since"))


def _what(text: str, *, sure: Any) -> str:
    return text if sure else f"{text}{UNSURE}"


def _claims(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _filed(Submission.all_objects.filter(claim__patient_insurance__patient__in=ids), span):
        what = _what(f"claim {row.claim_id}", sure=row.left)
        yield Told(row.told, row.partner.name, what, PAYMENT, f"submission {row.pk}")


def _inquiries(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _filed(EligibilityInquiry.all_objects.filter(coverage__patient__in=ids), span):
        what = _what("question about insurance", sure=row.left)
        yield Told(row.told, row.partner.name, what, PAYMENT, f"eligibilityinquiry {row.pk}")


def _statuses(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _filed(StatusInquiry.all_objects.filter(claim__patient_insurance__patient__in=ids), span):
        what = _what(f"question about claim {row.claim_id}", sure=row.left)
        yield Told(row.told, row.partner.name, what, PAYMENT, f"statusinquiry {row.pk}")


def _orders(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = LabOrderMessage.all_objects.filter(lab_order__patient__in=ids).select_related("feed").defer("raw", "ack")
    for row in _within(rows, span):
        what = _what(f"order {row.lab_order_id}", sure=row.status not in UNHEARD)
        yield Told(row.told, row.feed.name, what, TREATMENT, f"labordermessage {row.pk}")


def _reminders(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _texted(AppointmentReminder.all_objects.filter(appointment__patient__in=ids), span):
        what = _what(f"{row.wording or 'reminder'} of visit {row.appointment_id}", sure=row.sent_at)
        yield Told(row.told, f"the patient, by {row.reminder_type}", what, PERSON, f"appointmentreminder {row.pk}")


def _messages(ids: list[UUID], span: Span) -> Iterator[Told]:
    for row in _texted(PatientMessage.all_objects.filter(patient__in=ids), span):
        what = _what(row.wording or "message", sure=row.sent_at)
        yield Told(row.told, f"the patient, by {row.channel}", what, PERSON, f"patientmessage {row.pk}")


def _exports(ids: list[UUID], span: Span) -> Iterator[Told]:
    rows = DisclosedPatient.objects.filter(patient__in=ids).select_related("disclosure")
    for row in _within(rows, span, at=F("disclosure__disclosed_at")):
        one = row.disclosure
        what = f"export of {', '.join(one.resource_types)}" if one.resource_types else "export"
        yield Told(row.told, one.recipient, what, one.purpose or "not noted", f"disclosure {one.pk}")


def _readings(patient: Patient, span: Span) -> Iterator[Told]:
    """What systems read one by one; the audit log alone has it."""
    clients: dict[str, SmartClient] = {}
    for seen in who_saw.entries(patient, *span):
        if not seen.client or seen.action in who_saw.CHANGES or seen.kind == audit_showing.OF_EXPORT:
            continue
        if seen.client not in clients:
            clients |= {str(row.pk): row for row in SmartClient.objects.all()}
        client = clients.get(seen.client)
        name, why = (client.name, client.purpose) if client else (f"client {seen.client}", "")
        yield Told(seen.at, name, f"{seen.action} {seen.what}", why or "not noted", f"auditlog {seen.entry}")
