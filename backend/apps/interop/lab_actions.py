"""What a person does to messages from the console; every change is a form that says how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.interop import console, lab_pages, senders
from backend.apps.laboratory import codes, inbox, permissions, replays
from backend.apps.laboratory.models import InboundMessage, LabTest
from backend.apps.patients import services as patient_services
from backend.apps.patients.models import Patient
from backend.apps.patients.permissions import PATIENT

MOST_FOUND = 20
POST = ("POST",)
MESSAGES = permissions.INBOUND_MESSAGE


def uuid_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


def change(
    request: HttpRequest, verb: str, pk: UUID, service: Callable[..., Any], told: str, **given: Any
) -> HttpResponse:
    """Let `service` change the message, locked, and go back to its page with `told` or with why not."""

    def act() -> str:
        row = get_object_or_404(InboundMessage.objects.visible_to(request.user).defer("raw", "ack_sent"), pk=pk)
        locked = InboundMessage.all_objects.select_for_update(of=("self",), no_key=True).defer("raw", "ack_sent")
        service(locked.get(pk=row.pk), by=request.user, **given)
        console.note(request, verb, row, fields=sorted(given))
        return told

    return console.attempt(request, verb, "inboundmessage", act, back=reverse("console:lab-message", args=[pk]))


@console.page(MESSAGES, "assign", methods=POST)
def assign(request: HttpRequest, pk: UUID) -> HttpResponse:
    chosen = uuid_of(request.POST.get("patient", ""))
    patient = get_object_or_404(Patient.objects.visible_to(request.user), pk=chosen)
    told = "Assigned. The message is back in line and will be filed for this patient; until then you can take it back."
    return change(request, "assign", pk, inbox.assign, told, patient=patient)


@console.page(MESSAGES, "unassign", methods=POST)
def unassign(request: HttpRequest, pk: UUID) -> HttpResponse:
    return change(request, "unassign", pk, inbox.unassign, "The assignment is taken back.")


@console.page(MESSAGES, "skip", methods=POST)
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    told = "Skipped. The message stays stored; put it back in line to take this back."
    return change(request, "skip", pk, inbox.skip, told, reason=request.POST.get("reason", ""))


@console.page(MESSAGES, "retry", methods=POST)
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    return change(request, "retry", pk, inbox.retry, "The message is back in line.")


@console.page(PATIENT, "search", methods=POST)
def find(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the message's page with the patients a text finds; nothing of it stands in an address."""
    if not may(request.user, "assign", MESSAGES):
        return console.refused(request, 403, "Your role may not see this page.")
    row = lab_pages.one(request, pk)
    text = request.POST.get("text", "").strip()[:100]
    found = patient_services.search(Patient.objects.visible_to(request.user), text)
    rows = list(patient_services.by_name(found)[:MOST_FOUND]) if text else []
    ids = [str(patient.pk) for patient in rows]
    audit.record(request, "console.search", "patient", detail={"count": len(ids), "ids": ids, "patients": ids})
    return lab_pages.shown(request, row, found=rows, searched=text)


@console.page(MESSAGES, "list", methods=POST)
def by_number(request: HttpRequest) -> HttpResponse:
    """Lead to the messages of the patient with a record number, which itself stands in no address."""
    number = request.POST.get("number", "").strip().upper()[:40]

    def act() -> tuple[str, str]:
        found = Patient.objects.visible_to(request.user).filter(medical_record_number=number).first()
        audit.record(request, "console.search", "patient", patient_id=found.pk if found else None)
        if found is None:
            raise DomainError("No patient has this record number.")
        return "These are the messages filed for this patient, or assigned to them.", f"{listing}?patient={found.pk}"

    listing = reverse("console:lab-inbox")
    return console.attempt(request, "search", "patient", act, back=listing)


@console.page(MESSAGES, "reveal", methods=POST)
def reveal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the message as it came, for a reason that is written down; the page is not kept anywhere."""
    row = lab_pages.one(request, pk)
    reason = request.POST.get("reason", "").strip()[:200]
    if not reason:
        return lab_pages.shown(request, row, refused="Say why you need to see the message as it came.")
    console.note(request, "reveal", row, reason=reason)
    return lab_pages.shown(request, row, masked=False)


@console.page(senders.MAPPINGS, "create", methods=POST)
def map_code(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say which test of ours a code of this message's laboratory means."""

    def act() -> str:
        row = get_object_or_404(InboundMessage.objects.visible_to(request.user).select_related("feed"), pk=pk)
        chosen = request.POST.get("lab_test", "")
        test = LabTest.objects.filter(pk=uuid_of(chosen)).first() if chosen else None
        if test is None:
            raise DomainError("Choose the test this code means.")
        code, system = (request.POST.get(name, "")[:200] for name in ("code", "system"))
        codes.map_code(by=request.user, lab_test=test, code=code, system=system, feed=row.feed)
        console.note(request, "map_code", row, lab_test=str(test.pk))
        return "Mapped, also in the results on file. Replay messages that wait to file them with it."

    return console.attempt(request, "map_code", "labcodemapping", act, back=reverse("console:lab-message", args=[pk]))


@console.page(permissions.LAB_REPLAY, "create", methods=POST)
def replay(request: HttpRequest) -> HttpResponse:
    """Put a dry run of the ticked messages, or of all the filter finds, in line and lead to it."""
    ticked = request.POST.getlist("message")
    if request.POST.get("all"):
        asked: dict[str, Any] = {"filter": QueryDict(request.POST.get("filter", ""))}
    else:
        asked = {"messages": [uuid_of(pk) for pk in ticked]}

    def act() -> tuple[str, str]:
        made = replays.request(by=request.user, dry_run=True, **asked)
        console.note(request, "replay", made, total=made.total)
        told = "The dry run is in line. It files the messages on trial, shows what would change, and changes nothing."
        return told, reverse("console:lab-replay", args=[made.pk])

    return console.attempt(request, "replay", "labreplay", act, back=reverse("console:lab-inbox"))
