"""Keeps what an earlier payer decided while the claim to the next one is a draft; after that it was said, and stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import submitting
from backend.apps.insurance.models import ClaimLineAdjudication, InsuranceClaim, PriorAdjudication
from backend.apps.users.models import User

Lines = Sequence[Mapping[str, Any]]


@transaction.atomic
def record_prior(*, by: User | None, lines: Lines = (), **fields: Any) -> PriorAdjudication:
    prior = PriorAdjudication(**fields)
    _refuse_settled(prior.claim)
    _refuse_strangers(prior)
    prior.full_clean()
    prior.save()
    _write_lines(prior, lines)
    return prior


@transaction.atomic
def change_prior(
    prior: PriorAdjudication, *, by: User | None, lines: Lines | None = None, **changes: Any
) -> PriorAdjudication:
    """Correct what was entered; lines that are given take the place of all lines there were."""
    if {"claim", "coverage"} & {name for name in changes if changes[name] != getattr(prior, name)}:
        raise DomainError("What a payer decided stays with its claim and coverage; delete it and enter it anew.")
    _refuse_settled(prior.claim)
    save_changes(prior, changes)
    if lines is not None:
        prior.lines.all().delete()
        _write_lines(prior, lines)
    return prior


@transaction.atomic
def remove_prior(prior: PriorAdjudication, *, by: User | None) -> None:
    _refuse_settled(prior.claim)
    prior.delete()


def _refuse_settled(claim: InsuranceClaim) -> None:
    """Refuse what was said already; the claim stays locked, so that it is not submitted without what is entered now."""
    claim = InsuranceClaim._base_manager.select_for_update(no_key=True).get(pk=claim.pk)
    if claim.status != InsuranceClaim.Status.DRAFT:
        raise DomainError("This claim has been submitted and stays as it is.")
    if submitting.is_on_its_way(claim):
        raise DomainError("This claim waits to be sent. Withdraw it first.")


def _refuse_strangers(prior: PriorAdjudication) -> None:
    cover, claim = prior.coverage, prior.claim
    if cover.patient_id != claim.patient_insurance.patient_id:
        raise DomainError("This coverage is another patient's.")
    if cover.pk == claim.patient_insurance_id:
        raise DomainError("An earlier payer is another one than the payer of this claim.")


def _write_lines(prior: PriorAdjudication, lines: Lines) -> None:
    known = set(prior.claim.lines.values_list("number", flat=True))
    numbers = [line["number"] for line in lines]
    if set(numbers) - known or len(set(numbers)) < len(numbers):
        raise DomainError("Each decision is about one line of this claim, and about each line once.")
    ClaimLineAdjudication.objects.bulk_create(ClaimLineAdjudication(prior=prior, **line) for line in lines)
