"""The pages of the lab inbox: the list, a message, an observation's history; else nobody would see what waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Min, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404

from backend.apps.core import audit
from backend.apps.core.permissions import may
from backend.apps.core.work import WorkState
from backend.apps.interop import console, paging, reading, senders
from backend.apps.laboratory import inbox, permissions
from backend.apps.laboratory.inbox_filter import InboundMessageFilter
from backend.apps.laboratory.models import InboundMessage, InboundStatus, LabFeed, LabResult, LabTest
from backend.apps.patients.models import Patient
from backend.apps.patients.permissions import PATIENT

MESSAGES = permissions.INBOUND_MESSAGE
COUNTED = 10_000  # beyond that a count says "10,000 or more"
MOST_ROWS = 200  # results, tests and twins a page shows


def messages(request: HttpRequest) -> QuerySet[InboundMessage]:
    """Return the messages this person may see, without their bytes."""
    return InboundMessage.objects.visible_to(request.user).defer("raw", "ack_sent")


@console.page(MESSAGES, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show the messages that fit the filter, newest first, each as a sentence."""
    found = InboundMessageFilter(request.GET, queryset=messages(request).select_related("feed"))
    page: paging.Page[InboundMessage] = paging.Page([])
    if found.is_valid():
        page = paging.newest_first(found.qs, request.GET, "received_at")
    detail = {"count": len(page.rows), "ids": [str(row.pk) for row in page.rows], "filters": sorted(request.GET)}
    detail |= audit.patients_of(page.rows)
    patient = patient_asked(request)
    audit.record(request, "console.list", "inboundmessage", patient_id=patient.pk if patient else None, detail=detail)
    context = {
        "title": "Lab inbox",
        "page": page,
        "states": states(request),
        "oldest": oldest(request),
        "errors": found.errors,
        "asked": request.GET,
        "filters": filters(request.GET),
        "narrowed": set(QueryDict(filters(request.GET))) - {"status"},
        "statuses": InboundStatus.choices,
        "work_states": WorkState.choices,
        "feeds": LabFeed.objects.order_by("name")[:MOST_ROWS],
        "patient": patient,
    }
    return console.render(request, "interop/labs/list.html", context)


def filters(asked: QueryDict) -> str:
    """Return the query without its place in the pages."""
    query = asked.copy()
    for name in list(query):
        if name not in InboundMessageFilter.base_filters or not any(query.getlist(name)):
            query.pop(name)
    return query.urlencode()


def states(request: HttpRequest) -> list[dict[str, Any]]:
    """Return each status with how many messages have it."""
    rows = messages(request)
    counted = [
        (value, label, rows.filter(status=value).order_by()[:COUNTED].count()) for value, label in InboundStatus.choices
    ]
    return [
        {"value": value, "label": label, "count": f"{count:,}" + (" or more" if count == COUNTED else "")}
        for value, label, count in counted
    ]


def oldest(request: HttpRequest) -> dict[str, Any]:
    """Return since when the oldest message waits for a person, and for the machine."""
    rows = messages(request)
    waits = {"person": rows.filter(status=InboundStatus.WORKLIST), "machine": rows.filter(work_state=WorkState.WAITING)}
    return {whom: found.aggregate(oldest=Min("received_at"))["oldest"] for whom, found in waits.items()}


def patient_asked(request: HttpRequest) -> Patient | None:
    """Return the patient whose messages are asked for, if this person may see who that is."""
    try:
        pk = UUID(request.GET.get("patient", ""))
    except ValueError:
        return None
    return Patient.objects.visible_to(request.user).filter(pk=pk).first()


@console.page(MESSAGES, "retrieve")
def message(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one message beside its tree, what became of it, and what can be done about it."""
    row = one(request, pk)
    console.note(request, "retrieve", row, masked=True)
    return shown(request, row)


def one(request: HttpRequest, pk: UUID) -> InboundMessage:
    rows = messages(request).select_related("feed", "assigned_patient", "patient", "settled_by")
    return get_object_or_404(rows, pk=pk)


def shown(request: HttpRequest, row: InboundMessage, *, masked: bool = True, **more: Any) -> HttpResponse:
    """Return the page of a message. more: what a search found, say."""
    undecided = row.status == InboundStatus.WORKLIST and row.assigned_patient_id is None
    report, charset = senders.report_of(row), row.usual_charset
    # nosemgrep: unscoped-rows  # of a message that is theirs to see
    results = LabResult.objects.filter(source_message=row).select_related("lab_order", "lab_test")
    sees_patients = may(request.user, "list", PATIENT)
    context = {
        "title": f"Message {row.control_id or 'without a control id'}",
        "row": row,
        "told": reading.read(bytes(row.raw), row.findings, masked=masked, charset=charset),
        "masked": masked,
        "ack": reading.text(bytes(row.ack_sent), masked=False, charset=charset) if row.ack_sent else "",
        "twins": twins(request, row),
        "results": list(results.order_by("observation_index", "id")[:MOST_ROWS]),
        "suggestions": suggested(request, report) if undecided and sees_patients else [],
        "codes": senders.unknown_codes(row, report) if may(request.user, "create", senders.MAPPINGS) else [],
        "tests": LabTest.objects.filter(is_active=True).order_by("test_name", "id")[:1000],
        "skipped": inbox.was_skipped(row),
        "sees_patients": sees_patients,
        **{
            name: may(request.user, name, MESSAGES)
            for name in ("assign", "unassign", "skip", "retry", "replay", "reveal")
        },
        **more,
    }
    return console.render(request, "interop/labs/message.html", context)


def suggested(request: HttpRequest, report: Any) -> list[tuple[Patient, str]]:
    """Return whom the message may be about, and write down who was shown."""
    found = senders.suggestions(report, request.user)
    if found:
        ids = [str(patient.pk) for patient, _ in found]
        audit.record(request, "console.suggest", "patient", detail={"count": len(ids), "ids": ids, "patients": ids})
    return found


def twins(request: HttpRequest, row: InboundMessage) -> list[InboundMessage]:
    """Return the other messages of this sender and control id."""
    if not row.conflict:
        return []
    named = {name: getattr(row, name) for name in ("sending_application", "sending_facility", "control_id")}
    rows = messages(request).select_related("feed").filter(**named).exclude(pk=row.pk)
    return list(rows.order_by("received_at")[:MOST_ROWS])


@console.page(permissions.LAB_RESULT, "retrieve")
def history(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show every version of the observation a result belongs to, newest first."""
    result = get_object_or_404(
        LabResult.objects.visible_to(request.user).select_related("lab_order", "lab_test"), pk=pk
    )
    versions = LabResult.objects.visible_to(request.user).filter(result_key=result.result_key)
    rows = list(versions.select_related("lab_order", "entered_by").order_by("-version", "id")[:MOST_ROWS])
    console.note(request, "history", result, count=len(rows))
    name = result.lab_test.test_name if result.lab_test else result.code_text_as_sent or result.code_as_sent
    return console.render(
        request, "interop/labs/history.html", {"title": f"History of {name}", "rows": rows, "row": result}
    )
