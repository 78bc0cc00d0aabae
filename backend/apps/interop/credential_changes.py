"""What people do to credentials from the console: renew, verify, reject, and let a doctor go on for some hours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.serializers import Serializer

from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.credentials import overrides
from backend.apps.credentials.models import CredentialOverride
from backend.apps.credentials.override_permissions import OVERRIDE
from backend.apps.doctors.models import DoctorCredential
from backend.apps.employees import filing
from backend.apps.employees.credential_serializers import RejectForm, RenewForm, VerifyForm
from backend.apps.interop import console, credential_pages, paging
from backend.apps.interop.permissions import CREDENTIALS

POST = ("POST",)
FILL_IN = "Fill in the form: days as 2027-01-31, and a reason of up to 300 characters."


@dataclass(frozen=True, slots=True)
class Verb:
    service: Callable[..., Any]
    takes: type[Serializer[Any]]
    told: str


VERBS: Mapping[str, Verb] = {
    "renew": Verb(
        filing.renew, RenewForm, "Renewed. The new one waits for a review, and nobody is told of the old one."
    ),
    "verify": Verb(filing.verify, VerifyForm, "Verified."),
    "reject": Verb(filing.reject, RejectForm, "Rejected. The holder sees why."),
}


@console.page(CREDENTIALS, "retrieve", methods=POST)
def change(request: HttpRequest, pk: UUID, verb: str) -> HttpResponse:
    """Let the service of a verb take what the form says, and go back to the credential."""
    row = credential_pages.one(request, pk)
    chosen = VERBS.get(verb)
    if chosen is None or not may(request.user, verb, credential_pages.TABLES[type(row)]):
        return console.refused(request, 403, "Your role may not do this.")

    def act() -> tuple[str, str]:
        form = chosen.takes(data=_given(request, chosen.takes))
        if not form.is_valid():
            raise DomainError(FILL_IN)
        try:
            done = chosen.service(row, by=console.person(request), **form.validated_data)
        except PermissionDenied as refusal:
            raise DomainError("Only the holder or an administrator may do this.") from refusal
        console.note(request, verb, done, fields=sorted(form.validated_data))
        return chosen.told, back(request, done.pk)

    return console.attempt(request, verb, row._meta.model_name, act, back=back(request, pk))


def _given(request: HttpRequest, takes: type[Serializer[Any]]) -> dict[str, Any]:
    """Return what the form says; a field left empty was not said, but for the day of expiry: then there is none."""
    names = takes().get_fields()
    given: dict[str, Any] = {name: text for name in names if (text := request.POST.get(name, "").strip())}
    given |= {name: request.FILES[name] for name in names if name in request.FILES}
    return {"expiry_date": None, **given} if "expiry_date" in names else given


@console.page(OVERRIDE, "create", methods=POST)
def grant(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let the doctor go on without a valid credential of this type for some hours."""
    row = credential_pages.one(request, pk)

    def act() -> str:
        hours = request.POST.get("hours", "")
        if not isinstance(row, DoctorCredential) or not (hours.isascii() and hours.isdigit() and len(hours) <= 3):
            raise DomainError("Say for how many hours the exception lasts, 72 at most.")
        fields: dict[str, Any] = {
            "credential_type": row.credential_type,
            "reason": request.POST.get("reason", "")[:300],
        }
        made = overrides.grant(by=console.person(request), hours=int(hours), doctor=row.doctor, **fields)
        console.note(request, "create", made)
        return "The exception is in force."

    return console.attempt(request, "create", "credentialoverride", act, back=back(request, pk))


@console.page(OVERRIDE, "end", methods=POST)
def end(request: HttpRequest, pk: UUID, override: UUID) -> HttpResponse:
    """End an exception before its time."""

    def act() -> str:
        row = get_object_or_404(CredentialOverride.objects.visible_to(request.user), pk=override)
        overrides.end(row, by=console.person(request))
        console.note(request, "end", row)
        return "The exception has ended."

    return console.attempt(request, "end", "credentialoverride", act, back=back(request, pk))


def back(request: HttpRequest, pk: UUID) -> str:
    """Return the page of a credential, from which the way back leads to the calendar as it was."""
    return f"{reverse('console:credential', args=[pk])}?back={quote(paging.handed_on(request.POST), safe='')}"
