"""Edits of permissions and of what a claim is to its payer: new, a replacement or taken back."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import FIRST_TIME, Batch, Claim, Line, On, Severity, edit

ERROR, WARNING = Severity.ERROR, Severity.WARNING
FREQUENCIES = frozenset({FIRST_TIME, "7", "8"})
INDICATORS = {
    "signature": frozenset("YN"),
    "assignment": frozenset("ABC"),
    "benefits": frozenset("YNW"),
    "release": frozenset("YI"),
}


@edit(
    "authorisation-missing",
    ERROR,
    On.CLAIM,
    "prior_authorization",
    "This plan wants a prior authorisation; enter its number.",
    of_voids=False,
)
def authorisation_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.of_plans(lambda plan: plan.needs_prior_authorization)
        if not claim.prior_authorization and not all(line.prior_authorization for line in claim.lines)
    ]


@edit(
    "line-text-not-writable",
    ERROR,
    On.LINE,
    "prior_authorization",
    "The authorisation number of a service holds a sign that no file can carry.",
)
def line_text_not_writable(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("prior_authorization", lambda one: not forms.is_writable(one))


@edit(
    "referral-missing",
    ERROR,
    On.CLAIM,
    "referring_provider",
    "This plan wants a referral; say which doctor referred.",
    of_voids=False,
)
def referral_missing(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.of_plans(lambda plan: plan.needs_referral) if not claim.referring]


@edit(
    "referral-number-missing",
    WARNING,
    On.CLAIM,
    "referral_number",
    "This plan wants a referral; enter its number if there is one.",
    of_voids=False,
)
def referral_number_missing(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.of_plans(lambda plan: plan.needs_referral) if not claim.referral_number]


@edit(
    "referral-without-doctor",
    ERROR,
    On.CLAIM,
    "referring_provider",
    "A referral number is given; say which doctor referred.",
)
def referral_without_doctor(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in batch.claims_with("referral_number", bool) if not claim.referring]


@edit("frequency-unknown", ERROR, On.CLAIM, "frequency", "A claim is new (1), a replacement (7) or taken back (8).")
def frequency_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("frequency", lambda one: one not in FREQUENCIES)


@edit(
    "original-reference-missing",
    ERROR,
    On.CLAIM,
    "original_reference",
    "The payer's number of the first claim is needed to correct it.",
)
def original_reference_missing(batch: Batch) -> Iterable[Claim]:
    return [claim for claim in _corrections(batch) if not claim.original_reference]


@edit(
    "original-reference-unexpected",
    ERROR,
    On.CLAIM,
    "original_reference",
    "A new claim names no earlier one; make a correction instead.",
)
def original_reference_unexpected(batch: Batch) -> Iterable[Claim]:
    claims = batch.claims_with("original_reference", bool)
    return [claim for claim in claims if claim.frequency == FIRST_TIME]


@edit(
    "corrections-not-taken",
    ERROR,
    On.CLAIM,
    "frequency",
    "This payer takes no corrected claims; ask it to reopen, or appeal.",
)
def corrections_not_taken(batch: Batch) -> Iterable[Claim]:
    payers = {payer.id for payer in batch.payers if not payer.takes_corrections}
    return [claim for claim in _corrections(batch) if claim.payer in payers]


def _corrections(batch: Batch) -> list[Claim]:
    return batch.claims_with("frequency", lambda one: one != FIRST_TIME)


@edit(
    "indicators-unknown",
    ERROR,
    On.CLAIM,
    "signature_on_file",
    "Say again: signature, assignment, benefits and release.",
)
def indicators_unknown(batch: Batch) -> Iterable[Claim]:
    if all(batch.of_claims.different(name) <= known for name, known in INDICATORS.items()):
        return ()
    return [
        claim for claim in batch.claims if any(getattr(claim, name) not in known for name, known in INDICATORS.items())
    ]
