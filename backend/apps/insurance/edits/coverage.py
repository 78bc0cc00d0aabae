"""Edits of the coverage: a payer that does not cover the day denies whatever else is right."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits.forms import words
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, edit, last_day

ERROR = Severity.ERROR
SEQUENCES = frozenset("PST")
MEDICARE = frozenset({"MA", "MB"})
# 837P, SBR09 (claim filing indicator).
FILING_CODES = words("11 12 13 14 15 16 17 AM BL CH CI DS FI HM LM MA MB MC OF TV VA WC ZZ")
# 837P, SBR05: why Medicare is not the first payer.
MEDICARE_SECONDARY = frozenset({"12", "13", "14", "15", "16", "41", "42", "43", "47"})


@edit(
    "coverage-deleted",
    ERROR,
    On.CLAIM,
    "coverage",
    "This coverage was taken away; choose the one that holds.",
    of_voids=False,
)
def coverage_deleted(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("coverage_is_deleted", bool)


@edit(
    "coverage-begins-later",
    ERROR,
    On.LINE,
    "service_date",
    "The coverage had not begun on this day; bill the one before.",
    of_voids=False,
)
def coverage_begins_later(batch: Batch) -> Iterable[Line]:
    first = min(batch.values("from_on"), default="")
    young = batch.claims_with("coverage_from", lambda day: day > first)
    return [line for claim in young for line in claim.lines if line.from_on < claim.coverage_from]


@edit(
    "coverage-ended",
    ERROR,
    On.LINE,
    "service_date",
    "The coverage had ended by this day; bill the one that followed.",
    of_voids=False,
)
def coverage_ended(batch: Batch) -> Iterable[Line]:
    ended = batch.claims_with("coverage_to", bool)
    return [line for claim in ended for line in claim.lines if last_day(line) > claim.coverage_to]


@edit("sequence-unknown", ERROR, On.CLAIM, "coverage.priority", "Say whether this payer is first, second or third.")
def sequence_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("sequence", lambda one: one not in SEQUENCES)


@edit("filing-code-unknown", ERROR, On.CLAIM, "plan.claim_filing_code", "Correct the plan's claim filing code.")
def filing_code_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("filing_code", lambda one: one not in FILING_CODES)


@edit(
    "medicare-secondary-missing", ERROR, On.CLAIM, "coverage.medicare_secondary_code", "Say why Medicare pays second."
)
def medicare_secondary_missing(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.claims_with("filing_code", lambda code: code in MEDICARE)
        if claim.sequence != "P" and not claim.medicare_secondary
    ]


@edit(
    "medicare-secondary-unknown",
    ERROR,
    On.CLAIM,
    "coverage.medicare_secondary_code",
    "Choose a known reason why Medicare pays second.",
)
def medicare_secondary_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("medicare_secondary", lambda one: one and one not in MEDICARE_SECONDARY)


@edit(
    "medicare-secondary-unexpected",
    ERROR,
    On.CLAIM,
    "coverage.medicare_secondary_code",
    "This reason is for Medicare as second payer only.",
)
def medicare_secondary_unexpected(batch: Batch) -> Iterable[Claim]:
    return [
        claim
        for claim in batch.claims_with("medicare_secondary", bool)
        if claim.sequence == "P" or claim.filing_code not in MEDICARE
    ]
