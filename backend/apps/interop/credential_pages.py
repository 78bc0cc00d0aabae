"""The pages of credentials: the calendar of what ends when, and one with its ladder; else only mails would tell."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from backend.apps.appointments import entitled
from backend.apps.appointments.permissions import APPOINTMENT
from backend.apps.core import audit, documents, field_rules, scope
from backend.apps.core.models import Clinic
from backend.apps.core.permissions import Table, may
from backend.apps.core.work import AT_REST
from backend.apps.credentials import entitlement, policies
from backend.apps.credentials.models import CredentialOverride, Needed
from backend.apps.credentials.override_permissions import OVERRIDE
from backend.apps.doctors import permissions as doctor_permissions
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees import permissions as employee_permissions
from backend.apps.employees.models import CredentialType, EmployeeCredential, VerificationMethod
from backend.apps.interop import console, credential_calendar, paging
from backend.apps.interop.permissions import CREDENTIALS, WORK

TABLES: dict[type[Any], Table] = {
    DoctorCredential: doctor_permissions.CREDENTIAL,
    EmployeeCredential: employee_permissions.CREDENTIAL,
}
MOST_ALERTS, MOST_VISITS = 60, 50


@console.page(CREDENTIALS, "list")
def calendar(request: HttpRequest) -> HttpResponse:
    """Show what is over and, month by month, what ends."""
    asked = credential_calendar.Asked.of(request.GET, Clinic.today())
    kinds = [model for model, table in TABLES.items() if may(request.user, "list", table)]
    page = credential_calendar.find(request, kinds, asked)
    size = credential_calendar.OVERDUE_FIRST
    over = credential_calendar.over(request, kinds, asked, size=size) if asked.is_first else None
    shown = [*(over.rows if over else []), *page.rows]
    noted = {"count": len(shown), "ids": [str(row.pk) for row in shown], "filters": sorted(request.GET)}
    audit.record(request, "console.list", "credential", detail=noted)
    tiers = credential_calendar.tiers_of(shown)
    context = {
        "title": "Credentials",
        "asked": asked,
        "over": [(row, tiers.get(row.pk)) for row in over.rows] if over else [],
        "over_more": bool(over and over.after),
        "months": credential_calendar.months(request, kinds, asked),
        "groups": [
            (month, [(row, tiers.get(row.pk)) for row in rows])
            for month, rows in credential_calendar.by_month(page.rows)
        ],
        "types": CredentialType.choices,
        "both": len(kinds) > 1,
        "query": request.GET.urlencode(),
        "filters": _query(request.GET, "type", "holder", "unreviewed"),
        "after": page.after,
        "kept": _query(request.GET, "type", "holder", "unreviewed", "from", "overdue", "endless"),
    }
    return console.render(request, "interop/credentials/calendar.html", context)


def _query(given: QueryDict, *names: str) -> str:
    """Return the part of a query that these names hold, each with an ampersand behind it."""
    kept = QueryDict(mutable=True)
    for name in names:
        if given.get(name):
            kept[name] = str(given[name])
    return f"{kept.urlencode()}&" if kept else ""


def one(request: HttpRequest, pk: UUID) -> Any:
    """Return the credential of that id, a doctor's or an employee's, if this person may see it."""
    for model, table in TABLES.items():
        if may(request.user, "retrieve", table):
            related = ("verified_by", "rejected_by", "replaced_by", f"{model.HOLDER}__user")
            row = model.objects.visible_to(request.user).select_related(*related).filter(pk=pk).first()
            if row is not None:
                return row
    raise Http404


@console.page(CREDENTIALS, "retrieve")
def credential(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one credential, the earlier ones, who was told of it, what stands still without it, and what can be done."""
    row = one(request, pk)
    console.note(request, "retrieve", row)
    is_open, today = row.replaced_by_id is None, Clinic.today()
    policy, unseen = policies.of_types()[row.credential_type], field_rules.hidden(type(row), request.user, row)
    context = {
        "title": f"{row.get_credential_type_display()} of {row.holder.full_name}",
        "row": row,
        "number": row.number if "number" not in unseen else field_rules.mask(row.number),
        "is_over": row.is_expired_on(today),
        "days": abs((row.expiry_date - today).days) if row.expiry_date else None,
        "earlier": [(one, one.is_expired_on(today)) for one in _earlier(request, row)],
        "ladder": list(row.alerts.order_by("-opened_at").prefetch_related("notices__recipient")[:MOST_ALERTS]),
        "needed_for": [str(Needed(one).label) for one in policy.needed_for] if _is_doctors(row) else [],
        "methods": VerificationMethod.choices,
        "verbs": {
            verb: may(request.user, verb, TABLES[type(row)]) and (is_open or verb != "renew")
            for verb in ("renew", "verify", "reject")
        },
        "opens": row.opens_document_to(request.user),
        "at_rest": AT_REST,
        "sees_work": may(request.user, "retrieve", WORK),
        "back": paging.handed_on(request.GET),
        **_bites(request, row),
    }
    return console.render(request, "interop/credentials/credential.html", context)


def _earlier(request: HttpRequest, row: Any) -> QuerySet[Any]:
    """Return what this one replaces, the latest first, what was filed late as well."""
    rows: QuerySet[Any] = type(row).objects.visible_to(request.user).filter(replaced_by=row.pk)
    return rows.select_related(f"{row.HOLDER}__user").order_by("-expiry_date", "id")


def _is_doctors(row: Any) -> bool:
    return isinstance(row, DoctorCredential)


def _bites(request: HttpRequest, row: Any) -> dict[str, Any]:
    """Return what a doctor may not do by now for want of this type, the visits to move, and exceptions in force."""
    if not _is_doctors(row):
        return {}
    now = timezone.now()
    made = CredentialOverride.objects.visible_to(request.user).select_related("granted_by")
    mine = made.filter(doctor=row.doctor_id, credential_type=row.credential_type, ended_at=None, expires_at__gt=now)
    gaps = [
        gap
        for gap in entitlement.gaps(row.doctor, *Needed, on=Clinic.today())
        if gap.credential_type == row.credential_type
    ]
    stops_visits = [gap for gap in gaps if gap.forbids == Needed.APPOINTMENTS]
    seen = stops_visits and may(request.user, "list", APPOINTMENT)
    visits = entitled.to_move(row.doctor, stops_visits, Clinic.current().zone) if seen else None
    return {
        "forbidden": [entitlement.FORBIDS[gap.forbids] for gap in gaps],
        "overrides": list(mine),
        "grant": bool(gaps) and may(request.user, "create", OVERRIDE),
        "end": may(request.user, "end", OVERRIDE),
        "visits": list(scope.visible(visits, request.user)[:MOST_VISITS]) if visits is not None else [],
        "visits_in_all": visits.count() if visits is not None else 0,
    }


@console.page(CREDENTIALS, "download")
def document(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the document itself, as a download and never as a page."""
    row = one(request, pk)
    if not row.opens_document_to(request.user):
        return console.refused(request, 403, "Only the holder or an administrator may open this document.")
    answer = documents.download(row.document, f"credential-{row.pk}")
    console.note(request, "download", row)
    return answer  # type: ignore[return-value]  # it is an answer too, only in pieces
