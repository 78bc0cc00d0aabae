"""Edits of the patient and the holder of the policy: payers look for a member by name, birth date, sex and number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from backend.apps.insurance import member_patterns
from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import SELF, Batch, Claim, On, Severity, edit, is_day
from backend.apps.insurance.facts import UNREADABLE

ERROR = Severity.ERROR
SEXES = frozenset("MFU")
# 837P, PAT01: spouse, child, employee, unknown, organ donor, cadaver donor, life partner, other.
RELATIONSHIPS = frozenset({SELF, "01", "19", "20", "21", "39", "40", "53", "G8"})
MOST_MEMBER_ID = 80  # NM109
SHORTEST_MEMBER_ID = 2
MOST_REFERENCE = 50  # REF02, SBR03
NOT_WRITABLE = "holds a sign that no file can carry"
REFERENCES = ("group_number", "prior_authorization", "referral_number", "original_reference")


@edit(
    "member-id-missing", ERROR, On.CLAIM, "subscriber.member_id", "Enter the member's number from the insurance card."
)
def member_id_missing(batch: Batch) -> Iterable[Claim]:
    return batch.claims_without("member_id")


@edit(
    "member-id-unreadable",
    ERROR,
    On.CLAIM,
    "subscriber.member_id",
    "The member's number does not open; whoever runs this was told. Enter it anew, or wait.",
)
def member_id_unreadable(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("member_id", lambda one: one == UNREADABLE)


def _is_told(text: str) -> bool:
    return text not in ("", UNREADABLE)


@edit("member-id-length", ERROR, On.CLAIM, "subscriber.member_id", "A member's number has 2 to 80 characters.")
def member_id_length(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with(
        "member_id", lambda one: _is_told(one) and not SHORTEST_MEMBER_ID <= len(one) <= MOST_MEMBER_ID
    )


@edit(
    "member-id-not-writable",
    ERROR,
    On.CLAIM,
    "subscriber.member_id",
    f"The member's number {NOT_WRITABLE}; compare the card.",
)
def member_id_not_writable(batch: Batch) -> Iterable[Claim]:
    return () if _are_writable(batch, "member_id") else batch.claims_with("member_id", _is_not_writable_number)


def _are_writable(batch: Batch, *names: str) -> bool:
    """Whether a file can hold all values of these attributes; all are looked at in one go."""
    return forms.is_writable("".join(value for name in names for value in batch.of_claims.different(name)))


def _is_not_writable(text: str) -> bool:
    return not forms.is_writable(text)


def _is_not_writable_number(text: str) -> bool:
    return _is_told(text) and _is_not_writable(text)


@edit(
    "member-id-form",
    ERROR,
    On.CLAIM,
    "subscriber.member_id",
    "This payer's member numbers look different; compare the card.",
)
def member_id_form(batch: Batch) -> Iterable[Claim]:
    patterns = {payer.id: payer.member_id_pattern for payer in batch.payers if payer.member_id_pattern}
    if not patterns:
        return ()
    return [
        claim
        for claim in batch.claims
        if claim.payer in patterns and _is_told(claim.member_id) and not _fits(patterns[claim.payer], claim.member_id)
    ]


@edit("medicare-number", ERROR, On.CLAIM, "subscriber.member_id", "This is no Medicare number (MBI); compare the card.")
def medicare_number(batch: Batch) -> Iterable[Claim]:
    claims = batch.of_plans(lambda plan: plan.kind == "medicare")
    return [
        claim
        for claim in claims
        if claim.filing_code == "MB"
        and _is_told(claim.member_id)
        and not forms.MBI.fullmatch(forms.medicare_number(claim.member_id))
    ]


def _fits(pattern: str, member_id: str) -> bool:
    try:
        return bool(member_patterns.compiled(pattern).fullmatch(member_id[:MOST_MEMBER_ID]))
    except ValueError:
        return True  # nobody's claims wait for a pattern that a person mistyped


@edit("relationship-unknown", ERROR, On.CLAIM, "patient.relationship", "Say what the patient is to the policy holder.")
def relationship_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("relationship", lambda one: one not in RELATIONSHIPS)


@edit("holder-name", ERROR, On.CLAIM, "subscriber.name", "Enter first and last name of the policy holder.")
def holder_name(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.dependents if not (claim.holder_last and claim.holder_first)]


@edit("patient-name", ERROR, On.CLAIM, "patient.name", "Enter first and last name of the patient.")
def patient_name(batch: Batch) -> Iterable[Claim]:
    of_claims = batch.of_claims
    halves = set(zip(of_claims["holder_last"], of_claims["holder_first"], strict=True))
    if _all(batch, bool, "last", "first") and all(first or not last for last, first in halves):
        return ()
    return [claim for claim in batch.claims if not all(name(claim))]


@edit("patient-birth", ERROR, On.CLAIM, "patient.date_of_birth", "Enter the patient's date of birth.")
def patient_birth(batch: Batch) -> Iterable[Claim]:
    if _all(batch, is_day, "birth"):
        return ()
    born = [claim for claim in batch.dependents if not is_day(claim.patient_birth)]
    return born + [claim for claim in batch.selves if not is_day(claim.holder_birth or claim.patient_birth)]


@edit("patient-birth-future", ERROR, On.CLAIM, "patient.date_of_birth", "The patient's date of birth is in the future.")
def patient_birth_future(batch: Batch) -> Iterable[Claim]:
    today = batch.today
    if _all(batch, lambda day: day <= today, "birth"):
        return ()
    wrong = [claim for claim in batch.dependents if claim.patient_birth > today]
    return wrong + [claim for claim in batch.selves if (claim.holder_birth or claim.patient_birth) > today]


def _all(batch: Batch, is_good: Callable[[str], Any], *names: str) -> bool:
    """Return whether all patients' values of `names` are good, and all those of holders that are there."""
    values = batch.of_claims.different
    return all(
        all(map(is_good, values(f"patient_{name}"))) and all(map(is_good, values(f"holder_{name}") - {""}))
        for name in names
    )


def name(claim: Claim) -> tuple[str, str]:
    """Return last and first name of the patient as they are written: of one record, never of two."""
    if claim.relationship == SELF and claim.holder_last:
        return claim.holder_last, claim.holder_first
    return claim.patient_last, claim.patient_first


def address(claim: Claim) -> tuple[str, str, str, str]:
    """Return street, city, state and postal code of the patient as they are written: of a holder if all are there."""
    own = claim.holder_line1, claim.holder_city, claim.holder_state, claim.holder_postal_code
    if claim.relationship == SELF and all(own):
        return own
    return claim.patient_line1, claim.patient_city, claim.patient_state, claim.patient_postal_code


def birth(claim: Claim) -> str:
    """Return the patient's day of birth: of a holder what the coverage says, else what the record says."""
    return (claim.relationship == SELF and claim.holder_birth) or claim.patient_birth


def sex(claim: Claim) -> str:
    return (claim.relationship == SELF and claim.holder_sex) or claim.patient_sex


@edit("patient-sex", ERROR, On.CLAIM, "patient.sex", "Enter the patient's sex as the insurer has it: F, M or U.")
def patient_sex(batch: Batch) -> Iterable[Claim]:
    if _all(batch, SEXES.__contains__, "sex"):
        return ()
    wrong = [claim for claim in batch.dependents if claim.patient_sex not in SEXES]
    return wrong + [claim for claim in batch.selves if (claim.holder_sex or claim.patient_sex) not in SEXES]


@edit("patient-address", ERROR, On.CLAIM, "patient.address", "Enter street and city of the patient.")
def patient_address(batch: Batch) -> Iterable[Claim]:
    if _all(batch, bool, "line1", "city"):
        return ()
    return [claim for claim in batch.claims if not all(address(claim)[:2])]


@edit("patient-state", ERROR, On.CLAIM, "patient.state", "Choose the state of the patient's address.")
def patient_state(batch: Batch) -> Iterable[Claim]:
    if _all(batch, forms.STATES.__contains__, "state"):
        return ()
    return [claim for claim in batch.claims if address(claim)[2] not in forms.STATES]


@edit("patient-zip", ERROR, On.CLAIM, "patient.postal_code", "The patient's postal code has five or nine digits.")
def patient_zip(batch: Batch) -> Iterable[Claim]:
    if _all(batch, forms.is_zip, "postal_code"):
        return ()
    return [claim for claim in batch.claims if not forms.is_zip(address(claim)[3])]


@edit(
    "reference-length",
    ERROR,
    On.CLAIM,
    "references",
    "A group, authorisation or referral number has at most 50 characters.",
)
def reference_length(batch: Batch) -> Iterable[Claim]:
    values = batch.of_claims.different
    if not any(len(value) > MOST_REFERENCE for name in REFERENCES for value in values(name)):
        return ()
    return [claim for claim in batch.claims if any(len(getattr(claim, name)) > MOST_REFERENCE for name in REFERENCES)]


@edit(
    "text-not-writable",
    ERROR,
    On.CLAIM,
    "references",
    f"A group, authorisation, referral or record number {NOT_WRITABLE}.",
)
def text_not_writable(batch: Batch) -> Iterable[Claim]:
    names = (*REFERENCES, "record_number")
    if _are_writable(batch, *names):
        return ()
    return [claim for claim in batch.claims if any(_is_not_writable(getattr(claim, name)) for name in names)]
