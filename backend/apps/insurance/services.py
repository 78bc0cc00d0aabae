"""What billing does: change a coverage, write a claim, move it along; without it a sent claim could be rewritten."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from backend.apps.core import closed_values
from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import correcting, eligibility, ledger, submitting
from backend.apps.insurance.models import InsuranceClaim, PatientInsurance
from backend.apps.insurance.models.claims import Frequency
from backend.apps.users.models import User

# What the payer confirmed: when one of these changes, it has to be asked again.
CONFIRMED = frozenset(
    {
        "insurance_plan",
        "member_id",
        "policy_number",
        "group_number",
        "effective_date",
        "termination_date",
        "policy_holder_name",
        "policy_holder_first_name",
        "policy_holder_last_name",
        "policy_holder_sex",
        "patient_sex",
        "policy_holder_dob",
        "policy_holder_relationship",
    }
)
DOCUMENTS = frozenset({"claim_form", "eob_document"})  # these come in whatever the status


@transaction.atomic
def change_coverage(coverage: PatientInsurance, *, by: User | None, **changes: Any) -> PatientInsurance:
    """Correct a coverage; what the payer confirmed is unverified again once it differs."""
    if changes.get("patient", coverage.patient) != coverage.patient:
        raise DomainError("A coverage stays with its patient; record another one.")
    if any(closed_values.differs(coverage, name, changes[name]) for name in CONFIRMED & set(changes)):
        changes["verification_status"] = PatientInsurance.Verification.UNVERIFIED
        eligibility.forget(coverage)
    return save_changes(coverage, changes)


@transaction.atomic
def verify(coverage: PatientInsurance, *, by: User | None, passed: bool = True) -> PatientInsurance:
    coverage.verify(passed=passed)
    return coverage


@transaction.atomic
def write_claim(*, by: User | None, **fields: Any) -> InsuranceClaim:
    claim = InsuranceClaim(**fields)
    claim.full_clean()
    claim.save()
    return claim


@transaction.atomic
def change_claim(claim: InsuranceClaim, *, by: User | None, **changes: Any) -> InsuranceClaim:
    """Change a draft, or add a document to any claim; the sum follows the lines unless it is given."""
    claim.refresh_from_db(from_queryset=InsuranceClaim._base_manager.select_for_update(no_key=True))
    if set(changes) - DOCUMENTS and claim.status != InsuranceClaim.Status.DRAFT:
        raise DomainError("This claim has been submitted and stays as it is.")
    if set(changes) - DOCUMENTS and submitting.is_on_its_way(claim):
        raise DomainError("This claim waits to be sent. Withdraw it first.")
    if set(changes) - DOCUMENTS and claim.frequency == Frequency.VOID:
        raise DomainError("This takes a claim back and repeats it as it was; delete it to start anew.")
    if "patient_insurance" in changes:
        _refuse_moving(claim, changes["patient_insurance"])
    if "procedure_codes" in changes:
        changes = {"billed_amount": None, **changes}
    return save_changes(claim, changes)


def _refuse_moving(claim: InsuranceClaim, coverage: PatientInsurance) -> None:
    """Keep a claim that follows another one with its payer, or with its patient: it tells of the same services."""
    if claim.original and claim.original.patient_insurance_id != coverage.pk:
        raise DomainError(
            "A correction goes to the coverage of the claim it follows; bill another payer by a new claim."
        )
    if claim.secondary_to and claim.secondary_to.patient_insurance.patient_id != coverage.patient_id:
        raise DomainError("A claim to the next payer is about the same patient as the one before it.")


def submit(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Put a claim without errors in line for its payer; one that no partner takes is submitted at once."""
    return submitting.submit(claim, by=by)


@transaction.atomic
def mark_as_pending(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    claim.mark_as_pending()
    return claim


@transaction.atomic
def accept(claim: InsuranceClaim, *, by: User | None, reference: str = "") -> InsuranceClaim:
    claim.accept(reference)
    return claim


@transaction.atomic
def reject(claim: InsuranceClaim, *, by: User | None, reason: str) -> InsuranceClaim:
    claim.reject(reason)
    return claim


@transaction.atomic
def reopen(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    """Make a rejected claim a draft again, to correct it and submit it under its own number."""
    if claim.original_id:
        rows = InsuranceClaim._base_manager.select_for_update(no_key=True).filter(pk__in=[claim.pk, claim.original_id])
        original = {row.pk: row for row in rows.order_by("pk")}[claim.original_id]
        submitting.lock_patients([claim])
        correcting.refuse_second(original, but=claim)
        correcting.refuse_billed_anew(claim, original)
    claim.reopen()
    submitting.end_tries(claim, claim.denial_reason)
    return claim


@transaction.atomic
def mark_as_paid(
    claim: InsuranceClaim,
    *,
    by: User | None,
    amount: Decimal,
    reference: str = "",
    on: date | None = None,
    allowed: Decimal | None = None,
    patient_responsibility: Decimal | None = None,
    payer_claim_number: str = "",
) -> InsuranceClaim:
    """Record what the payer paid in all; the ledger takes the difference to what it holds, under the person's name."""
    claim.mark_as_paid(
        amount,
        reference,
        on,
        allowed=allowed,
        patient_responsibility=patient_responsibility,
        payer_claim_number=payer_claim_number,
    )
    ledger.enter(claim, by=by, paid=amount, patient=claim.patient_responsibility)
    return claim


@transaction.atomic
def deny(claim: InsuranceClaim, *, by: User | None, reason: str, payer_claim_number: str = "") -> InsuranceClaim:
    claim.deny(reason, payer_claim_number=payer_claim_number)
    ledger.enter(claim, by=by, paid=claim.paid_amount or ledger.NOTHING, patient=claim.patient_responsibility)
    return claim


@transaction.atomic
def note_payer_number(claim: InsuranceClaim, *, by: User | None, payer_claim_number: str) -> InsuranceClaim:
    """Note the payer's own number of a claim that it has taken in or judged without telling it; what is known stays."""
    claim.refresh_from_db(from_queryset=InsuranceClaim._base_manager.select_for_update(no_key=True))
    if claim.status not in correcting.JUDGED:
        raise DomainError("The payer has not taken this claim in yet; note its number with its answer.")
    if claim.insurance_reference_number:
        raise DomainError("The payer's number of this claim is known already.")
    rows = InsuranceClaim._base_manager.filter(pk=claim.pk)
    rows.update(insurance_reference_number=payer_claim_number, updated_at=timezone.now())
    claim.refresh_from_db()
    return claim


@transaction.atomic
def appeal(claim: InsuranceClaim, *, by: User | None) -> InsuranceClaim:
    claim.appeal()
    return claim
