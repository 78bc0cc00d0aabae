"""Makes the claim to the next payer from what those before paid; without it somebody would type it off the 835."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, prefetch_related_objects
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.insurance import ledger
from backend.apps.insurance.correcting import PRIOR, PRIOR_LINE
from backend.apps.insurance.models import (
    ClaimLine,
    ClaimLineAdjudication,
    InsuranceClaim,
    PatientInsurance,
    PriorAdjudication,
    RemittanceClaim,
    Submission,
)
from backend.apps.insurance.models.claims import Frequency
from backend.apps.insurance.models.submissions import LIVE

KIND = "claims_secondary_outdated"
ASKED = frozenset({"1", "2"})  # CLP02: decided as the first or second payer, and passed on to nobody
CROSSED = frozenset({"19", "20", "21"})  # the payer has passed the claim on by itself
NOTHING = Decimal(0)
COPIED = (
    "appointment_id", "billing_entity_id", "rendering_doctor_id", "referring_provider_id", "service_facility_id",
    "place_of_service", "referral_number", "patient_paid", "accident", "accident_state", "accident_on", "onset_on",
    "initial_treatment_on", "last_menstrual_on", "admission_on", "discharge_on", "signature_on_file",
    "accepts_assignment", "assigns_benefits", "releases_information", "note", "service_date", "diagnosis_codes",
    "procedure_codes", "billed_amount",
)  # fmt: skip

Ledger = Mapping[UUID | None, Mapping[tuple[str, str, str], Decimal]]


@transaction.atomic
def follow(claim_ids: Iterable[UUID]) -> int:
    """Bring the claims to next payers in line with what the payer before decided by now; return how many were made.

    A draft is made where that payer left the patient something to pay and did not pass the claim on itself; a
    person scrubs and submits it. A draft that rests on a decision that changed is made anew; one that is on its way is
    told of by an alert, for it has to be corrected. What was made for a claim serves for the one that replaces it: the
    next payer gets the same services once. Safe to repeat.
    """
    claims = {one.pk: one for one in _locked(claim_ids)}
    decided = _decided(claims)
    made = _made(claims)
    outdated = {row.pk: row for pk, row in made.items() if _is_outdated(row, claims[pk], decided)}
    gone = _take_back(list(outdated.values()))
    replaced = _replaced(claims)
    due = [
        one
        for one in claims.values()
        if one.pk in decided and decided[one.pk].status_code in ASKED and one.pk not in replaced
        and one.frequency != Frequency.VOID and (one.pk not in made or made[one.pk].pk in gone)
    ]  # fmt: skip
    return len(_make(due, decided))


@transaction.atomic
def passed_on(claim_ids: Iterable[UUID], *, makes_for: Collection[UUID]) -> dict[UUID, UUID]:
    """Return by claim the one to the next payer where the payer itself has passed it on.

    makes_for: claims for which one is made where there is none. The payer has billed it in our name: it counts as
    submitted, and nothing of it is sent. Safe to repeat.
    """
    claims = {one.pk: one for one in _locked(claim_ids)}
    decided = {pk: row for pk, row in _decided(claims).items() if row.status_code in CROSSED}
    made = {pk: row.pk for pk, row in _made(decided).items()}
    new = _make([claims[pk] for pk in decided if pk in makes_for and pk not in made], decided, is_sent=True)
    return {**made, **{one.secondary_to_id: one.pk for one in new if one.secondary_to_id}}


def _locked(claim_ids: Iterable[UUID]) -> list[InsuranceClaim]:
    """Lock those claims that a next payer may have to do with: of most patients there is none."""
    later = PatientInsurance.objects.filter(
        patient=OuterRef("patient_insurance__patient"), priority__gt=OuterRef("patient_insurance__priority")
    )
    rests = InsuranceClaim.objects.filter(Q(secondary_to=OuterRef("pk")) | Q(secondary_to=OuterRef("original")))
    rows = InsuranceClaim.objects.filter(Exists(later) | Exists(rests), pk__in=list(claim_ids))
    keys = list(rows.values_list("pk", flat=True))
    locked = InsuranceClaim.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=keys)
    return list(locked.select_related("patient_insurance").order_by("pk"))


def _decided(claims: Mapping[UUID, InsuranceClaim]) -> dict[UUID, RemittanceClaim]:
    """Return by claim the decision that stands, where the next payer decides after it: asked by us or by the payer."""
    last: dict[UUID, RemittanceClaim] = {}
    rows = RemittanceClaim.objects.filter(claim__in=list(claims), state=RemittanceClaim.State.POSTED)
    told = rows.select_related("remittance").defer("content").order_by("remittance__posted_at", "number")
    for row in sorted(told, key=lambda row: (str(row.remittance.posted_at), row.status_code != ledger.REVERSAL)):
        if row.claim_id:
            last[row.claim_id] = row
    return {
        pk: row
        for pk, row in last.items()
        if row.status_code in ASKED | CROSSED
        and claims[pk].status == InsuranceClaim.Status.PAID
        and (claims[pk].patient_responsibility or NOTHING) > 0
    }


def _made(claims: Iterable[UUID]) -> dict[UUID, InsuranceClaim]:
    """Return by claim the one to the next payer that was made for it, or for what it replaces."""
    before = _replaces(claims)
    all_of = {earlier for chain in before.values() for earlier in chain}
    rows = InsuranceClaim.objects.filter(secondary_to__in=all_of, frequency=Frequency.ORIGINAL).order_by("created_at")
    found = {row.secondary_to_id: row for row in rows.prefetch_related("prior_adjudications")}
    return {
        pk: next(found[one] for one in chain if one in found)
        for pk, chain in before.items()
        if any(one in found for one in chain)
    }


def _replaces(claims: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Return each claim with those that it replaces, the last one first."""
    chains = {pk: [pk] for pk in claims}
    ends = set(chains)
    while ends:
        rows = InsuranceClaim.objects.filter(pk__in=ends, original__isnull=False)
        before = {pk: original for pk, original in rows.values_list("pk", "original_id") if original}
        for chain in chains.values():
            if chain[-1] in before:
                chain.append(before[chain[-1]])
        ends = set(before.values())
    return chains


def _replaced(claims: Iterable[UUID]) -> set[UUID]:
    """Return the claims of which a correction is with the payer."""
    rows = InsuranceClaim.objects.filter(original__in=list(claims))
    with_payer = rows.exclude(status__in=(InsuranceClaim.Status.DRAFT, InsuranceClaim.Status.REJECTED))
    return {pk for pk in with_payer.values_list("original_id", flat=True) if pk}


def _is_outdated(row: InsuranceClaim, primary: InsuranceClaim, decided: Mapping[UUID, RemittanceClaim]) -> bool:
    """Whether a claim rests on another decision of its first payer than the one that stands now."""
    stands = decided.get(primary.pk)
    if stands is not None and stands.status_code in CROSSED and row.status == InsuranceClaim.Status.DRAFT:
        return True  # the payer has billed the next one itself
    return not any(
        stands is not None
        and prior.coverage_id == primary.patient_insurance_id
        and (prior.paid, prior.remaining) == (primary.paid_amount, primary.patient_responsibility)
        and prior.reference == stands.payer_claim_number
        for prior in row.prior_adjudications.all()
        if not prior.is_deleted
    )


def _take_back(outdated: Sequence[InsuranceClaim]) -> set[UUID]:
    """Remove outdated drafts, also queued ones; tell of those that are on their way by now."""
    keys = [row.pk for row in outdated]
    locked = InsuranceClaim.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")
    stand = dict(locked.values_list("pk", "status"))
    queued = Submission.objects.filter(claim__in=keys, status=Submission.Status.QUEUED)
    queued.update(
        status=Submission.Status.WITHDRAWN, status_reason="The first payer changed its decision.",
        updated_at=timezone.now(),
    )  # fmt: skip
    busy = set(Submission.objects.filter(claim__in=keys, status__in=LIVE).values_list("claim_id", flat=True))
    stay = {pk for pk, status in stand.items() if status != InsuranceClaim.Status.DRAFT or pk in busy}
    gone = set(keys) - stay
    InsuranceClaim.objects.filter(pk__in=gone).delete()
    for row in outdated:
        if row.pk in stay:
            alerts.open_once(
                f"claims secondary outdated:{row.pk}",
                kind=KIND,
                sentence=f"Claim {row.claim_number} went to the next payer, but the first one changed its decision: "
                "correct it.",
                subject=row,
            )
    return gone


def _make(
    due: Sequence[InsuranceClaim], decided: Mapping[UUID, RemittanceClaim], *, is_sent: bool = False
) -> list[InsuranceClaim]:
    next_ones = _next_coverages(due)
    due = [one for one in due if one.pk in next_ones]
    if not due:
        return []
    books = ledger.standing([one.pk for one in due])
    lines: dict[UUID, list[ClaimLine]] = {}
    for line in ClaimLine.objects.filter(claim__in=due).order_by("claim", "number"):
        lines.setdefault(line.claim_id, []).append(line)
    prefetch_related_objects(due, "prior_adjudications__lines", "prior_adjudications__coverage")
    claims, priors, told = [], [], []
    for one in due:
        claim = InsuranceClaim(
            patient_insurance=next_ones[one.pk],
            secondary_to=one,
            **{name: getattr(one, name) for name in COPIED},
            **({"status": InsuranceClaim.Status.SUBMITTED, "submission_date": one.submission_date} if is_sent else {}),
        )
        prior = _prior(claim, one, decided[one.pk], books[one.pk])
        claims.append(claim)
        earlier, of_lines = _earlier(claim, one)
        priors += [*earlier, prior]
        told += of_lines
        told += [made for line in lines.get(one.pk, []) if (made := _line(prior, line, books[one.pk].get(line.pk)))]
    InsuranceClaim.objects.bulk_create(claims)
    PriorAdjudication.objects.bulk_create(priors)
    ClaimLineAdjudication.objects.bulk_create(told)
    return claims


def _next_coverages(due: Sequence[InsuranceClaim]) -> dict[UUID, PatientInsurance]:
    """Return by claim the coverage that pays next on its day of service, where there is one."""
    patients = {one.patient_insurance.patient_id for one in due}
    found: dict[UUID, list[PatientInsurance]] = {}
    for row in PatientInsurance.objects.filter(patient__in=patients, priority__gt=1).order_by("priority"):
        found.setdefault(row.patient_id, []).append(row)
    chosen = {}
    for one in due:
        mine, day = one.patient_insurance, one.service_date
        after = [row for row in found.get(mine.patient_id, []) if row.priority > mine.priority and row.covers(day)]
        if after:
            chosen[one.pk] = after[0]
    return chosen


def _earlier(claim: InsuranceClaim, one: InsuranceClaim) -> tuple[list[PriorAdjudication], list[ClaimLineAdjudication]]:
    """Return what the payers before that of `one` decided, for the claim that follows: its payer wants all of them."""
    priors, lines = [], []
    for prior in one.prior_adjudications.all():
        copied = PriorAdjudication(claim=claim, **{name: getattr(prior, name) for name in PRIOR})
        priors.append(copied)
        for line in prior.lines.all():
            lines.append(ClaimLineAdjudication(prior=copied, **{name: getattr(line, name) for name in PRIOR_LINE}))
    return priors, lines


def _prior(claim: InsuranceClaim, one: InsuranceClaim, row: RemittanceClaim, books: Ledger) -> PriorAdjudication:
    return PriorAdjudication(
        claim=claim,
        coverage=one.patient_insurance,
        paid=one.paid_amount,
        remaining=one.patient_responsibility,
        adjudicated_on=_day(row),
        reference=row.payer_claim_number,
        adjustments=_adjustments(books.get(None, {})),
    )


def _day(row: RemittanceClaim) -> date:
    return row.remittance.paid_on


def _line(
    prior: PriorAdjudication, line: ClaimLine, books: Mapping[tuple[str, str, str], Decimal] | None
) -> ClaimLineAdjudication | None:
    if not books:
        return None
    return ClaimLineAdjudication(
        prior=prior,
        number=line.number,
        paid=_sum(books, "payment"),
        code=line.code,
        modifiers=line.modifiers,
        units=line.units,
        remaining=_sum(books, "patient"),
        adjustments=_adjustments(books),
    )


def _sum(books: Mapping[tuple[str, str, str], Decimal], kind: str) -> Decimal:
    return sum((amount for (of, _, _), amount in books.items() if of == kind), NOTHING)


def _adjustments(books: Mapping[tuple[str, str, str], Decimal]) -> list[Any]:
    """Return [[group, reason, amount, None], ...] as the 837P takes them."""
    return [[group, reason, str(amount), None] for (_, group, reason), amount in books.items() if group]
