"""Answers who saw a patient: every look, list, search and export that showed them; else a complaint had no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from uuid import UUID

from backend.apps.core import audit_showing
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop.models import DisclosedPatient
from backend.apps.patients.models import Patient
from backend.apps.users.models import User

AT_ONCE = 1_000
EARLIEST, LATEST = 1900, 2999  # years
CHANGES = ("create", "update", "partial_update", "destroy", "merge")
HOW = {  # by how an action ends or begins
    "list": "list", "search": "search", "suggest": "search", "preview": "list", "download": "download",
    "export": "export", "everything": "export", "retrieve": "read", "read": "read", "vread": "read", "view": "read",
    "who-saw": "read", "disclosures": "read",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """One time somebody saw a patient. who: a name, "" for a machine; how: one of HOW's words, or "change".

    kind: of the row that was seen. emergency: under a break-glass access. client: the id of the system that asked.
    entry: the row of the audit log.
    """

    at: datetime
    who: str
    login: UUID | None
    how: str
    action: str
    what: str
    where: str
    kind: str = ""
    emergency: bool = False
    client: str = ""
    entry: UUID | None = None


def patient_named(text: str) -> Patient:
    """Return the patient of this id or record number, one that was merged or deleted too.

    Raises:
        DomainError: there is none.
    """
    found = Patient.all_objects.filter(medical_record_number=text.strip().upper()).first()
    if found is None:
        try:
            found = Patient.all_objects.filter(pk=UUID(text.strip())).first()
        except ValueError:
            found = None
    if found is None:
        raise DomainError("No patient has this id or record number.")
    return found


def days(first: date, last: date) -> tuple[datetime, datetime]:
    """Return the moments between which these days lie by the clinic's clock, the second not included."""
    if last < first:
        raise DomainError("The last day lies before the first.")
    if first.year < EARLIEST or last.year > LATEST:
        raise DomainError(f"Write days of the years {EARLIEST} to {LATEST}.")
    zone = Clinic.current().zone
    begin, end = (datetime.combine(each, time.min, zone) for each in (first, last + timedelta(days=1)))
    return begin, end


def who_saw(patient: Patient, first: datetime, past: datetime) -> Iterator[Seen]:
    """Yield who saw a patient from `first` until before `past`, in order of time; what was refused was not seen.

    A cursor of the database: ten years of a patient need no memory.
    """
    exports = _exports(audit_showing.keys_of(patient.pk), first, past)
    for seen in entries(patient, first, past):
        while exports and exports[0].at <= seen.at:
            yield exports.pop(0)
        yield seen
    yield from exports


def entries(patient: Patient, first: datetime, past: datetime) -> Iterator[Seen]:
    """Yield what the audit log itself has of a patient."""
    rows = AuditLog.objects.filter(
        audit_showing.showing(patient.pk), outcome=AuditLog.Outcome.ALLOWED, timestamp__gte=first, timestamp__lt=past
    )
    found = rows.order_by("timestamp", "id").iterator(chunk_size=AT_ONCE)
    while batch := list(islice(found, AT_ONCE)):
        names = _names({row.user_id for row in batch if row.user_id})
        yield from (_seen(row, names) for row in batch)


def _names(keys: set[UUID]) -> dict[UUID, str]:
    people = User.all_objects.filter(pk__in=keys)
    return {person.pk: person.full_name or person.email for person in people}


def _seen(row: AuditLog, names: dict[UUID, str]) -> Seen:
    login, client = row.user_id, str(row.detail.get("client", ""))
    who = names.get(login, "a login that is gone") if login else f"client {client}".strip() if client else ""
    what = f"{row.resource_type} {row.resource_id}".strip()
    if (many := len(row.detail.get("patients") or ())) > 1:
        what += f" (one of {many} patients)"
    where, emergency = str(row.ip_address or ""), "break_glass" in row.detail
    return Seen(
        row.timestamp,
        who,
        login,
        how_of(row.action),
        row.action,
        what,
        where,
        row.resource_type,
        emergency,
        client,
        row.pk,
    )


def how_of(action: str) -> str:
    """Return a word for what an action of the log was: "read", "list", "search", "export", "download" or "change"."""
    last = action.rpartition(".")[2]
    if last in CHANGES:
        return "change"
    return HOW.get(last, "change")


def _exports(ids: list[UUID], first: datetime, past: datetime) -> list[Seen]:
    rows = DisclosedPatient.objects.filter(
        patient__in=ids, disclosure__disclosed_at__gte=first, disclosure__disclosed_at__lt=past
    ).select_related("disclosure")
    told = [(row.disclosure.disclosed_at, row.disclosure) for row in rows.order_by("disclosure__disclosed_at", "pk")]
    return [Seen(at, one.recipient, None, "export", "export", f"exportjob {one.job_id}", "") for at, one in told]
