"""Checks and submits many claims from the board and tells of each how it ended; else fifty drafts were fifty pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from backend.apps.core.admin import sentence
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.insurance import permissions, services
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.interop import console
from backend.apps.interop.claim_board import BILLING
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST = 200  # that one form may name
VERBS = {"submit": "Submitted"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one claim. why: a sentence, empty where the word says all."""

    claim: InsuranceClaim
    word: str
    tone: str
    why: str = ""


@console.page(BILLING, "list", methods=POST)
def bulk(request: HttpRequest) -> HttpResponse:
    """Do one thing to the ticked claims, each by itself, and show of each how it ended."""
    verb = request.POST.get("verb", "")
    if verb not in VERBS or not may(request.user, verb, permissions.CLAIM):
        return console.refused(request, 403, "Your role may not do this.")
    ticked = [uuid_of(pk) for pk in request.POST.getlist("claim")[:MOST]]
    rows = InsuranceClaim.objects.visible_to(request.user).filter(pk__in=ticked)
    told = rows.select_related("patient_insurance__patient", "patient_insurance__insurance_plan__provider")
    outcomes = _submit_all(request, list(told.order_by("pk")))
    done = sum(each.tone == "good" for each in outcomes)
    context = {"title": f"{VERBS[verb]}: {done} of {len(outcomes)}", "outcomes": outcomes}
    return console.render(request, "interop/claims/bulk.html", context)


def _submit_all(request: HttpRequest, claims: Sequence[InsuranceClaim]) -> list[Outcome]:
    return [_submit(request, claim) for claim in claims]


def _submit(request: HttpRequest, claim: InsuranceClaim) -> Outcome:
    """Submit one claim in a transaction of its own, so that one refusal keeps nobody else's claim here."""
    try:
        with transaction.atomic():
            services.submit(claim, by=console.person(request))
            console.note(request, "submit", claim, bulk=True)
    except (DomainError, ValidationError) as refusal:
        return Outcome(claim, "not submitted", "bad", sentence(refusal))
    return Outcome(claim, "submitted" if claim.status == "submitted" else "queued", "good")
