"""Puts claims in line for their payers and takes them back; without it a claim could leave twice, or with errors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from backend.apps.core.bulk import write_each
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.insurance import edits, numbering, scrubbing
from backend.apps.insurance.edits import Finding
from backend.apps.insurance.models import InsuranceClaim, PartnerPayer, Submission
from backend.apps.insurance.models.submissions import LIVE
from backend.apps.users.models import User

Status = InsuranceClaim.Status
ON_ITS_WAY = "This claim is on its way already."
GONE = "Somebody has just deleted this claim."
SWITCHED_OFF = (
    "This payer's partner is switched off. Switch it on, or remove the payer from it to send claims on paper."
)
QUEUED = "queued"
AT_THE_DESK = "Ended at the desk: "  # so begins the reason of a try that a person ended, not the payer
ANSWERED = (Submission.Status.SENT, Submission.Status.PENDING, Submission.Status.ACCEPTED)


class Submitted(NamedTuple):
    """What became of one claim: queued for a partner's next file, submitted (paper, portal), or refused and why."""

    id: UUID
    outcome: str
    reason: str = ""
    findings: Sequence[Finding] = ()


class Ways(NamedTuple):
    """How claims reach their payers. partners: by claim; closed: claims whose only ways are switched off.

    A claim in neither has a payer that no partner was ever set up for: it goes on paper.
    """

    partners: dict[UUID, UUID]
    closed: set[UUID]


@transaction.atomic
def submit(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Put a claim without errors in line for its payer's partner; one that no partner reaches is submitted at once.

    Raises:
        HasErrors: edits keep it here.
        Conflict: somebody has just deleted it.
    """
    row = next(iter(_locked([claim.pk])), None)
    if row is None:
        raise Conflict(GONE)
    if row.status != Status.DRAFT:
        claim.submit()
        return claim
    _refuse_live([row.pk])
    lock_patients([row])
    findings = scrubbing.scrub(row)
    if not edits.is_clean(findings):
        raise scrubbing.HasErrors(findings)
    ways = _ways([row])
    if row.pk in ways.closed:
        raise DomainError(SWITCHED_OFF)
    if row.pk not in ways.partners:
        claim.submit()
        return claim
    _queue([row], ways)
    claim.refresh_from_db()
    return claim


@transaction.atomic
def submit_each(claims: Collection[InsuranceClaim], *, by: User | None) -> list[Submitted]:
    """Submit many, each for itself: what keeps one here keeps no other. Answers in the order given."""
    rows = _locked([claim.pk for claim in claims])
    live = _live([row.pk for row in rows])
    drafts = [row for row in rows if row.status == Status.DRAFT and row.pk not in live]
    lock_patients(drafts)
    findings = scrubbing.scrub_each([row.pk for row in drafts]) if drafts else {}
    ways = _ways(drafts)
    told = {claim.pk: Submitted(claim.pk, "refused", GONE) for claim in claims}
    told |= {row.pk: Submitted(row.pk, "refused", ON_ITS_WAY) for row in rows if row.pk in live}
    told |= {row.pk: _by_hand(row) for row in rows if row.pk not in live and row.status != Status.DRAFT}
    told |= {row.pk: _judge(row, findings.get(str(row.pk), []), ways) for row in drafts}
    _queue([row for row in drafts if told[row.pk].outcome == QUEUED], ways)
    return [told[claim.pk] for claim in claims]


def _judge(row: InsuranceClaim, findings: list[Finding], ways: Ways) -> Submitted:
    """Tell what becomes of a draft; one for a partner is still to be queued."""
    if not edits.is_clean(findings):
        return Submitted(row.pk, "refused", str(scrubbing.HasErrors(findings)), findings)
    if row.pk in ways.closed:
        return Submitted(row.pk, "refused", SWITCHED_OFF, findings)
    if row.pk in ways.partners:
        return Submitted(row.pk, QUEUED, findings=findings)
    return _by_hand(row)._replace(findings=findings)


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
    reason = f"{AT_THE_DESK}{reason}"[:300]
    tries.update(status=Submission.Status.REJECTED, status_reason=reason, updated_at=timezone.now())


def _locked(keys: Collection[Any]) -> list[InsuranceClaim]:
    """Return the rows, locked in one order, so that two people who submit the same list do not block each other.

    What was deleted is left out. They are read once they are locked: a row that is joined to its coverage as it waits
    would be left out as well when that changed.
    """
    rows = InsuranceClaim.objects.filter(pk__in=keys).order_by("pk")
    held = list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
    return list(rows.filter(pk__in=held).select_related("patient_insurance__insurance_plan", "original"))


def lock_patients(rows: Sequence[InsuranceClaim]) -> None:
    """Let no other claim of these patients be submitted until our transaction ends: it has to see ours as billed.

    The other way round, what is asked afterwards sees each claim of theirs that left. All lock in one order, claims
    first.
    """
    patients = sorted({str(row.patient_insurance.patient_id) for row in rows})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('claims of ' || key, 0)) FROM unnest(%s::text[]) key",
            [patients],
        )


def _ways(rows: Sequence[InsuranceClaim]) -> Ways:
    payers = {row.pk: row.patient_insurance.insurance_plan.provider_id for row in rows}
    every = PartnerPayer.objects.filter(provider__in=set(payers.values()))
    in_use = every.filter(is_active=True, partner__is_active=True, partner__is_deleted=False)
    partners = dict(in_use.values_list("provider_id", "partner_id"))
    known = set(every.values_list("provider_id", flat=True))
    reached = {pk: partners[payer] for pk, payer in payers.items() if payer in partners}
    return Ways(reached, {pk for pk, payer in payers.items() if payer in known and pk not in reached})


def _live(keys: Collection[UUID]) -> set[UUID]:
    return set(Submission.objects.filter(claim__in=keys, status__in=LIVE).values_list("claim_id", flat=True))


def _refuse_live(keys: Collection[UUID]) -> None:
    if _live(keys):
        raise DomainError(ON_ITS_WAY)


def _queue(rows: Sequence[InsuranceClaim], ways: Ways) -> None:
    """Put claims in line, each under the number it keeps until a payer has judged it."""
    _number([row for row in rows if not row.control_number])
    Submission.objects.bulk_create(
        Submission(
            claim=row,
            partner_id=ways.partners[row.pk],
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
