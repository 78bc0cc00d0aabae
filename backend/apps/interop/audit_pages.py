"""The pages of the audit review: who did what to whose row, and what was refused; else the log would be read by SQL."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import audit, audit_checking
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop import audit_search, console, paging
from backend.apps.interop.permissions import AUDIT
from backend.apps.patients.models import Patient
from backend.apps.users.models import User

POST = ("POST",)
KEPT = {"first", "last", "outcome", "action"}  # of a list, when it is cut to somebody else
TONES = {AuditLog.Outcome.ALLOWED: "", AuditLog.Outcome.REFUSED: "bad", AuditLog.Outcome.FAILED: "wait"}


@console.page(AUDIT, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show what the log holds of the days asked for, newest first; the look itself is written down."""
    asked = audit_search.Asked.of(request.GET, Clinic.today())
    found, ended = audit_search.rows(asked)
    page = paging.newest_first(found, request.GET, "timestamp")
    noted = {"count": len(page.rows), "filters": asked.names, "first": f"{asked.first}", "last": f"{asked.last}"}
    noted |= audit.patients_of(page.rows)
    audit.record(request, "console.list", "auditlog", patient_id=asked.patient, detail=noted)
    people = names_of(page.rows)
    context = {
        "title": "Audit review",
        "standing": audit_checking.standing(),
        "asked": asked,
        "page": page,
        "rows": [(row, people.get(row.user_id, ""), TONES[AuditLog.Outcome(row.outcome)]) for row in page.rows],
        "ended": ended,
        "looked_through": audit_search.LOOKED_THROUGH,
        "outcomes": AuditLog.Outcome.values,
        "person": person_of(asked.person),
        "query": request.GET.urlencode(),
        "plain": urlencode({"first": asked.first, "last": asked.last}),
    }
    return console.render(request, "interop/audit/list.html", context)


@console.page(AUDIT, "retrieve")
def entry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one entry whole, with what else to look for from here."""
    row = get_object_or_404(AuditLog, pk=pk)
    audit.record(request, "console.retrieve", "auditlog", str(pk), patient_id=row.patient_id)
    day = f"{timezone.localtime(row.timestamp):%Y-%m-%d}"  # by the clinic's clock, as the list is cut
    days = {"first": day, "last": day}
    context = {
        "title": "Entry of the audit log",
        "row": row,
        "tone": TONES[AuditLog.Outcome(row.outcome)],
        "who": person_of(row.user_id),
        "same": [(told, urlencode({**days, **query})) for told, query in same(row)],
        "back": paging.handed_on(request.GET),
    }
    return console.render(request, "interop/audit/entry.html", context)


@console.page(AUDIT, "search", methods=POST)
def find(request: HttpRequest) -> HttpResponse:
    """Lead from an e-mail address or a record number, which stand in no address, to what the log has of them."""
    text = request.POST.get("who", "").strip()[:254]
    kept = paging.handed_on(request.POST)

    def act() -> tuple[str, str]:
        name, found = who(text)
        audit.record(request, "console.search", "auditlog", detail={"found": name})
        query = {key: value for key, value in QueryDict(kept).items() if key in KEPT}
        return "This is what the log has of them.", f"{listed}?{urlencode({**query, name: str(found.pk)})}"

    listed = reverse("console:audit")
    return console.attempt(request, "search", "auditlog", act, back=f"{listed}?{kept}")


def who(text: str) -> tuple[str, Any]:
    """Return "person" or "patient" and whom this e-mail address of a login, or record number, is of."""
    if not text:
        raise DomainError("Write the e-mail address of a login, or a record number.")
    if "@" in text:
        person = User.objects.filter(email__iexact=text).first()
        if person is None:
            raise DomainError("Nobody signs in with this e-mail address.")
        return "person", person
    # nosemgrep: unscoped-rows  # who reads the audit log sees whose it is
    patient = Patient.all_objects.filter(medical_record_number=text.upper()).first()
    if patient is None:
        raise DomainError("No patient has this record number.")
    return "patient", patient


def same(row: AuditLog) -> list[tuple[str, dict[str, str]]]:
    """Return what else of that day may be of interest, each with its query."""
    found: list[tuple[str, dict[str, str]]] = [("All of that day", {})]
    if row.user_id:
        found.append(("The same person", {"person": str(row.user_id)}))
    if row.patient_id:
        found.append(("About the same patient", {"patient": str(row.patient_id)}))
    if row.resource_id:
        found.append(("The same row", {"resource": row.resource_type, "row": row.resource_id}))
    if row.outcome != AuditLog.Outcome.ALLOWED:
        found.append(("All that was refused or failed so", {"outcome": row.outcome}))
    return found


def names_of(rows: list[AuditLog]) -> dict[Any, str]:
    """Return who stands behind the ids of these entries, by id; one query."""
    people = User.objects.filter(pk__in={row.user_id for row in rows if row.user_id})
    return {person.pk: person.full_name or person.email for person in people}


def person_of(pk: Any) -> str:
    found = User.objects.filter(pk=pk).first() if pk else None
    return (found.full_name or found.email) if found else ""
