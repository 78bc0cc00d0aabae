"""Corrects and takes back claims that a payer has judged; without it a mistake would be billed as a second service."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import scrubbing, submitting
from backend.apps.insurance.models import ClaimLineAdjudication, InsuranceClaim, PartnerPayer, PriorAdjudication
from backend.apps.insurance.models.claims import Frequency
from backend.apps.users.models import User

Status = InsuranceClaim.Status
JUDGED = frozenset({Status.ACCEPTED, Status.PAID, Status.DENIED, Status.APPEALED})
COPIED = (
    "patient_insurance", "appointment", "billing_entity", "rendering_doctor", "referring_provider",
    "service_facility", "place_of_service", "secondary_to", "prior_authorization", "referral_number", "patient_paid",
    "accident", "accident_state", "accident_on", "onset_on", "initial_treatment_on", "last_menstrual_on",
    "admission_on", "discharge_on", "delay_reason", "signature_on_file", "accepts_assignment", "assigns_benefits",
    "releases_information", "note", "service_date", "diagnosis_codes", "procedure_codes", "billed_amount",
)  # fmt: skip
UNNUMBERED = "The payer's own number of this claim is not known yet; without it the payer finds nothing. Note it first."
BILL_ANEW = " It was denied and nothing was paid for it, so its services may be billed anew."
PRIOR = ("coverage", "paid", "remaining", "adjudicated_on", "reference", "adjustments")
PRIOR_LINE = ("number", "paid", "code", "modifiers", "units", "remaining", "adjustments")


@transaction.atomic
def correct(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Write a draft that will replace a claim the payer has judged; change it, then submit it."""
    draft = _follow(claim, Frequency.REPLACEMENT)
    refuse_billed_anew(draft, claim)
    return draft


@transaction.atomic
def void(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Write a draft that will take back a claim the payer has judged; it repeats the claim as it was."""
    return _follow(claim, Frequency.VOID)


def _follow(claim: InsuranceClaim, frequency: Frequency) -> InsuranceClaim:
    claim.refresh_from_db(from_queryset=InsuranceClaim._base_manager.select_for_update(no_key=True))
    submitting.lock_patients([claim])
    _refuse_unjudged(claim)
    _refuse_untaken(claim)
    refuse_second(claim)
    draft = InsuranceClaim(frequency=frequency, original=claim, **{name: getattr(claim, name) for name in COPIED})
    draft.full_clean()
    draft.save()
    _copy_priors(claim, draft)
    return draft


def _refuse_unjudged(claim: InsuranceClaim) -> None:
    if claim.status not in JUDGED:
        raise DomainError("The payer has not taken this claim in; a rejected one is reopened and sent again.")
    if not claim.insurance_reference_number:
        raise DomainError(UNNUMBERED + _or_anew(claim))
    if claim.frequency == Frequency.VOID:
        raise DomainError("This takes a claim back; it is not corrected itself.")


def _refuse_untaken(claim: InsuranceClaim) -> None:
    payer = claim.patient_insurance.insurance_plan.provider_id
    if PartnerPayer.objects.filter(provider=payer, is_active=True, takes_corrections=False).exists():
        sentence = "This payer takes no corrected claims; ask it to reopen the claim, or appeal."
        raise DomainError(sentence + _or_anew(claim))


def _or_anew(claim: InsuranceClaim) -> str:
    return "" if claim.status != Status.DENIED or claim.paid_amount else BILL_ANEW


def refuse_second(claim: InsuranceClaim, *, but: InsuranceClaim | None = None) -> None:
    """One step at a time: a claim follows another once, unless that was turned back, or a taking back denied."""
    others = InsuranceClaim.objects.filter(original=claim).exclude(status=Status.REJECTED)
    if others.exclude(pk__in=[but.pk] if but else []).exclude(frequency=Frequency.VOID, status=Status.DENIED).exists():
        raise DomainError("This claim is being corrected or taken back already.")


def refuse_billed_anew(correction: InsuranceClaim, original: InsuranceClaim) -> None:
    """What was denied leaves once more by a correction or by a new claim; belongs under the lock of the patient."""
    if original.status == Status.DENIED and scrubbing.billed_before([correction.pk]):
        raise DomainError("The services of this claim were billed anew already.")


def _copy_priors(claim: InsuranceClaim, draft: InsuranceClaim) -> None:
    for prior in claim.prior_adjudications.prefetch_related("lines"):
        copied = PriorAdjudication.objects.create(claim=draft, **{name: getattr(prior, name) for name in PRIOR})
        ClaimLineAdjudication.objects.bulk_create(_copied_lines(prior.lines.all(), copied))


def _copied_lines(lines: Iterable[ClaimLineAdjudication], prior: PriorAdjudication) -> Iterable[ClaimLineAdjudication]:
    return [ClaimLineAdjudication(prior=prior, **{name: getattr(line, name) for name in PRIOR_LINE}) for line in lines]
