"""Answers who saw a patient: every look, list, search and export that showed them; else a complaint had no answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.interop.models import DisclosedPatient
from backend.apps.patients.models import Patient
from backend.apps.users.models import User

AT_ONCE = 1_000
CHANGES = ("create", "update", "partial_update", "destroy", "merge")
HOW = {  # by how an action ends or begins
    "list": "list", "search": "search", "suggest": "search", "preview": "list", "download": "download",
    "export": "export", "everything": "export", "retrieve": "read", "read": "read", "vread": "read", "view": "read",
    "who-saw": "read", "disclosures": "read",
}  # fmt: skip

# The lists of before did not say whose rows they showed; those of patients themselves have their ids.
SHOWN = """
SELECT l.id, l."timestamp", l.user_id, l.action, l.resource_type, l.resource_id, l.ip_address, l.detail
FROM core_auditlog l
WHERE l."timestamp" >= %(first)s AND l."timestamp" < %(past)s AND l.outcome = 'allowed' AND (
    l.patient_id = ANY(%(ids)s)
    OR (l.detail ? 'patients' AND (l.detail -> 'patients') @> ANY(%(members)s::jsonb[]))
    OR (l.resource_type IN ('patient', 'Patient') AND (l.resource_id = ANY(%(texts)s)
        OR (l.resource_id = '' AND l.detail -> 'ids' @> ANY(%(members)s::jsonb[])))))
ORDER BY l."timestamp", l.id"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One time somebody saw a patient. who: a name, "" for a machine; how: one of HOW's words, or "change".

    emergency: under a break-glass access. client: the id of the system that asked. entry: the row of the audit log.
    """

    at: datetime
    who: str
    login: UUID | None
    how: str
    action: str
    what: str
    where: str
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
    zone = Clinic.current().zone
    begin, end = (datetime.combine(each, time.min, zone) for each in (first, last + timedelta(days=1)))
    return begin, end


def ids_of(patient: Patient) -> list[UUID]:
    """Return the keys under which a person was seen: also of the records that were merged into this one."""
    into = patient.merged_into_id or patient.pk
    return [into, *Patient.all_objects.filter(merged_into=into).order_by("pk").values_list("pk", flat=True)]


def who_saw(patient: Patient, first: datetime, past: datetime) -> Iterator[Seen]:
    """Yield who saw a patient from `first` until before `past`, in order of time; what was refused was not seen.

    A cursor of the database: ten years of a patient need no memory.
    """
    exports = _exports(ids_of(patient), first, past)
    for seen in entries(ids_of(patient), first, past):
        while exports and exports[0].at <= seen.at:
            yield exports.pop(0)
        yield seen
    yield from exports


def entries(ids: list[UUID], first: datetime, past: datetime) -> Iterator[Seen]:
    """Yield what the audit log has of these keys, exports apart."""
    asked = {
        "ids": ids, "texts": [str(one) for one in ids], "members": [f'["{one}"]' for one in ids],
        "first": first, "past": past,
    }  # fmt: skip
    with transaction.atomic(), connection.connection.cursor(name="who_saw") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(SHOWN, asked)
        while rows := cursor.fetchmany(AT_ONCE):
            names = _names({row[2] for row in rows if row[2]})
            yield from (_seen(row, names) for row in rows)


def _names(keys: set[UUID]) -> dict[UUID, str]:
    people = User.all_objects.filter(pk__in=keys)
    return {person.pk: person.full_name or person.email for person in people}


def _seen(row: Any, names: dict[UUID, str]) -> Seen:
    entry, at, login, action, kind, resource, address, written = row
    detail = written if isinstance(written, dict) else json.loads(written)
    client = str(detail.get("client", ""))
    who = names.get(login, "a login that is gone") if login else f"client {client}".strip() if client else ""
    what = f"{kind} {resource}".strip()
    if (many := len(detail.get("patients") or ())) > 1:
        what += f" (one of {many} patients)"
    where = str(address) if address else ""
    return Seen(at, who, login, how_of(action), action, what, where, "break_glass" in detail, client, entry)


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
