"""Puts claims in line for their payers and takes them back; without it a claim could leave twice, or with errors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from backend.apps.core.bulk import write_each
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import edits, numbering, scrubbing
from backend.apps.insurance.edits import Finding
from backend.apps.insurance.models import InsuranceClaim, PartnerPayer, Submission
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.users.models import User

Status = InsuranceClaim.Status
ON_ITS_WAY = "This claim is on its way already."
ANSWERED = (Submission.Status.SENT, Submission.Status.PENDING, Submission.Status.ACCEPTED)


class Submitted(NamedTuple):
    """What became of one claim: queued for a partner's next file, submitted (paper, portal), or refused and why."""

    id: UUID
    outcome: str
    reason: str = ""
    findings: Sequence[Finding] = ()


@transaction.atomic
def submit(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Put a claim without errors in line for its payer's partner; one that no partner reaches is submitted at once.

    Raises:
        HasErrors: edits keep it here.
    """
    (row,) = _locked([claim.pk])
    routes = _routes([row])
    if row.status != Status.DRAFT or row.pk not in routes:
        claim.submit()
        return claim
    _refuse_live([row.pk])
    findings = scrubbing.scrub(row)
    if not edits.is_clean(findings):
        raise scrubbing.HasErrors(findings)
    _queue([row], routes)
    claim.refresh_from_db()
    return claim


@transaction.atomic
def submit_each(claims: Collection[InsuranceClaim], *, by: User | None) -> list[Submitted]:
    """Submit many, each for itself: what keeps one here keeps no other. Answers in the order given."""
    rows = _locked([claim.pk for claim in claims])
    routes = _routes(rows)
    live = _live([row.pk for row in rows])
    ready = {row.pk for row in rows if row.status == Status.DRAFT and row.pk in routes} - live
    drafts, others = [row for row in rows if row.pk in ready], [row for row in rows if row.pk not in ready]
    findings = scrubbing.scrub_each([row.pk for row in drafts]) if drafts else {}
    _queue([row for row in drafts if edits.is_clean(findings.get(str(row.pk), ()))], routes)
    told = {row.pk: Submitted(row.pk, "refused", ON_ITS_WAY) if row.pk in live else _by_hand(row) for row in others}
    told |= {row.pk: _scrubbed(row, findings.get(str(row.pk), [])) for row in drafts}
    return [told[claim.pk] for claim in claims if claim.pk in told]


def _scrubbed(row: InsuranceClaim, findings: list[Finding]) -> Submitted:
    if edits.is_clean(findings):
        return Submitted(row.pk, "queued", findings=findings)
    return Submitted(row.pk, "refused", str(scrubbing.HasErrors(findings)), findings)


def _by_hand(row: InsuranceClaim) -> Submitted:
    """Submit a claim that no partner takes; in a savepoint, so that a refusal undoes itself only."""
    try:
        with transaction.atomic():
            row.submit()
    except DomainError as refusal:
        return Submitted(row.pk, "refused", str(refusal))
    return Submitted(row.pk, "submitted")


@transaction.atomic
def withdraw(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Take a claim back that waits for the next file; once it stands in one only the payer's answer brings it back."""
    waiting = Submission.objects.filter(claim=claim, status=Submission.Status.QUEUED)
    reason = "Taken back at the desk." if by else "Taken back."
    if waiting.update(status=Submission.Status.WITHDRAWN, status_reason=reason, updated_at=timezone.now()):
        claim.refresh_from_db()
        return claim
    if _live([claim.pk]):
        raise DomainError("This claim stands in a file already; wait for the answer.")
    raise DomainError("This claim is not in line for a file.")


def state() -> Any:
    """Return an annotation of claims: how far the try that is under way has come, "" where none is."""
    tries = Submission.objects.filter(claim=OuterRef("pk"), status__in=LIVE).order_by("-created_at")
    return Coalesce(Subquery(tries.values("status")[:1]), Value(""))


def is_on_its_way(claim: InsuranceClaim) -> bool:
    return bool(_live([claim.pk]))


def end_tries(claim: InsuranceClaim, reason: str) -> None:
    """Note on a claim that came back that no answer to its earlier tries is waited for."""
    tries = Submission.objects.filter(claim=claim, status__in=ANSWERED)
    tries.update(status=Submission.Status.REJECTED, status_reason=reason[:300], updated_at=timezone.now())


def _locked(keys: Collection[Any]) -> list[InsuranceClaim]:
    """Return the rows, locked in one order, so that two people who submit the same list do not block each other."""
    rows = InsuranceClaim.objects.select_for_update(of=("self",), no_key=True).select_related(
        "patient_insurance__insurance_plan", "original"
    )
    return list(rows.filter(pk__in=keys).order_by("pk"))


def _routes(rows: Sequence[InsuranceClaim]) -> dict[UUID, UUID]:
    """Return by claim the partner that reaches its payer, of claims with one."""
    payers = {row.pk: row.patient_insurance.insurance_plan.provider_id for row in rows}
    ways = PartnerPayer.objects.filter(provider__in=set(payers.values()), is_active=True, partner__is_active=True)
    partners = dict(ways.filter(partner__is_deleted=False).values_list("provider_id", "partner_id"))
    return {pk: partners[payer] for pk, payer in payers.items() if payer in partners}


def _live(keys: Collection[UUID]) -> set[UUID]:
    return set(Submission.objects.filter(claim__in=keys, status__in=LIVE).values_list("claim_id", flat=True))


def _refuse_live(keys: Collection[UUID]) -> None:
    if _live(keys):
        raise DomainError(ON_ITS_WAY)


def _queue(rows: Sequence[InsuranceClaim], routes: dict[UUID, UUID]) -> None:
    """Put claims in line, each under the number it keeps until a payer has judged it."""
    _number([row for row in rows if not row.control_number])
    Submission.objects.bulk_create(
        Submission(
            claim=row,
            partner_id=routes[row.pk],
            frequency=row.frequency,
            claim_control_number=row.control_number,
            original_reference=row.original.insurance_reference_number if row.original else "",
        )
        for row in rows
    )


def _number(rows: Sequence[InsuranceClaim]) -> None:
    numbers = numbering.claim_numbers(len(rows))
    for row, number in zip(rows, numbers, strict=True):
        row.control_number = number
    if rows:
        write_each(InsuranceClaim, [row.pk for row in rows], {"control_number": numbers}, also="updated_at = now()")
