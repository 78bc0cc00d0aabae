"""Checks and submits many claims from the board and tells of each how it ended; else fifty drafts were fifty pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from backend.apps.core.permissions import may
from backend.apps.insurance import edits, permissions, scrubbing, submitting
from backend.apps.insurance.edits import Finding
from backend.apps.insurance.models import InsuranceClaim
from backend.apps.interop import console
from backend.apps.interop.claim_board import BILLING
from backend.apps.interop.lab_actions import uuid_of

POST = ("POST",)
MOST = 200  # that one form may name


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one claim. why: a sentence, empty where the word says all; findings: of the check."""

    claim: InsuranceClaim
    word: str
    tone: str
    why: str = ""
    findings: Sequence[Finding] = ()


@console.page(BILLING, "list", methods=POST)
def bulk(request: HttpRequest) -> HttpResponse:
    """Check or submit the ticked claims, each by itself, and show of each how it ended."""
    verb = request.POST.get("verb", "")
    if verb not in VERBS or not may(request.user, verb, permissions.CLAIM):
        return console.refused(request, 403, "Your role may not do this.")
    title, work = VERBS[verb]
    ticked = [uuid_of(pk) for pk in request.POST.getlist("claim")]
    if len(ticked) > MOST:
        return console.refused(request, 400, f"Tick {MOST} claims at most.")
    rows = InsuranceClaim.objects.visible_to(request.user).filter(pk__in=ticked)
    told = rows.select_related("patient_insurance__patient", "patient_insurance__insurance_plan__provider")
    with transaction.atomic():  # nothing is submitted that is not written down
        outcomes = work(request, list(told.order_by("pk")))
        for each in outcomes:
            console.note(request, verb, each.claim, bulk=True, outcome=each.word)
    done = sum(each.tone != "bad" for each in outcomes)
    context = {"title": f"{title}: {done} of {len(outcomes)}", "outcomes": outcomes}
    return console.render(request, "interop/claims/bulk.html", context)


def _scrub(_request: HttpRequest, claims: Sequence[InsuranceClaim]) -> list[Outcome]:
    found = scrubbing.scrub_each([claim.pk for claim in claims]) if claims else {}
    return [_checked(claim, found.get(str(claim.pk), [])) for claim in claims]


def _checked(claim: InsuranceClaim, findings: Sequence[Finding]) -> Outcome:
    if not edits.is_clean(findings):
        return Outcome(claim, "has errors", "bad", findings=findings)
    return Outcome(claim, "warnings only" if findings else "nothing found", "good", findings=findings)


def _submit(request: HttpRequest, claims: Sequence[InsuranceClaim]) -> list[Outcome]:
    """Submit each for itself, so that one refusal keeps no other here."""
    told = {each.id: each for each in submitting.submit_each(claims, by=console.person(request))}
    return [_submitted(claim, told[claim.pk]) for claim in claims if claim.pk in told]


def _submitted(claim: InsuranceClaim, told: submitting.Submitted) -> Outcome:
    if told.outcome == "refused":
        return Outcome(claim, "not submitted", "bad", "" if told.findings else told.reason, told.findings)
    return Outcome(claim, told.outcome, "good", findings=told.findings)


VERBS = {"scrub": ("Without errors", _scrub), "submit": ("Submitted", _submit)}
