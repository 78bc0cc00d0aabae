"""Asks payers what became of a claim; without it a claim that nobody answers would be phoned after."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Now

from backend.apps.core import dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import inquiries
from backend.apps.insurance.models import InsuranceClaim, StatusInquiry
from backend.apps.users.models import User

Status = InsuranceClaim.Status
ASKABLE = (Status.SUBMITTED, Status.PENDING, Status.ACCEPTED, Status.APPEALED)
SILENT = (Status.SUBMITTED, Status.PENDING, Status.ACCEPTED)
SILENT_FOR = timedelta(days=15)  # since the submission, or since the payer was last asked
MOST_A_DAY = 1000


@transaction.atomic
def ask_status(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Ask the payer what became of the claim; an open question stays the one."""
    if claim.status not in ASKABLE:
        raise DomainError(f"This claim is {claim.status}; there is nothing to ask the payer about it.")
    if not claim.control_number:
        raise DomainError("This claim did not go out in a file; ask the payer by phone.")
    provider = claim.patient_insurance.insurance_plan.provider_id
    route = inquiries.routes(answers_status=True).filter(provider=provider).first()
    if route is None:
        raise DomainError("This payer does not answer such questions electronically; ask it by phone.")
    inquiries.put([_question(claim.pk, route.partner_id)])
    inquiries.hasten(inquiries.open_ones(StatusInquiry, claim=claim))
    dispatch.ring(inquiries.BUILD)
    return claim


def due() -> int:
    """Ask about claims that nobody has answered for long; return how many questions. Safe to run twice."""
    lately = StatusInquiry.objects.filter(claim=OuterRef("pk"), created_at__gt=Now() - SILENT_FOR)
    provider = OuterRef("patient_insurance__insurance_plan__provider")
    ways = inquiries.routes(answers_status=True).filter(provider=provider)
    rows = InsuranceClaim.objects.filter(status__in=SILENT, submission_date__lte=Clinic.today() - SILENT_FOR)
    rows = rows.exclude(control_number="").annotate(way=Subquery(ways.values("partner")[:1]))
    found = rows.filter(~Exists(lately), way__isnull=False).order_by("submission_date", "pk")
    return inquiries.put([_question(pk, partner) for pk, partner in found.values_list("pk", "way")[:MOST_A_DAY]])


def expire() -> tuple[int, int]:
    """Give up questions without an answer and ask each once more; return how many of both."""
    gone, again = inquiries.expire(StatusInquiry, "claim_id")
    return gone, inquiries.put([_question(one.claim_id, one.partner_id) for one in again])


def _question(claim: UUID, partner: UUID, **more: Any) -> StatusInquiry:
    return StatusInquiry(claim_id=claim, partner_id=partner, trace=inquiries.new_trace(), **more)
