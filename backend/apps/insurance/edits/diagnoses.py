"""Edits of the diagnoses: form, order, validity on the day, and what the patient's sex and age rule out."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.ages import conflicts_with_age, conflicts_with_sex
from backend.apps.insurance.edits.rules import Batch, Claim, On, Severity, edit, first_day
from backend.apps.insurance.models.code_sets import CodeSetKind

ERROR, WARNING = Severity.ERROR, Severity.WARNING
MOST = 12
ICD = CodeSetKind.ICD10CM


@edit("diagnosis-missing", ERROR, On.CLAIM, "diagnoses", "Enter at least one diagnosis.")
def diagnosis_missing(batch: Batch) -> Iterable[Claim]:
    return batch.claims_without("diagnoses")


@edit("diagnosis-form", ERROR, On.CLAIM, "diagnoses", "Write each diagnosis as an ICD-10-CM code, as E11.9.")
def diagnosis_form(batch: Batch) -> Iterable[Claim]:
    """A list that holds a code knows its form better."""
    wrong = {code for code in batch.diagnoses if not (forms.is_diagnosis(code) or batch.codes.holds(ICD, code))}
    return _with(batch, wrong)


@edit("diagnosis-too-many", ERROR, On.CLAIM, "diagnoses", "A claim carries at most twelve diagnoses; split it.")
def diagnosis_too_many(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("diagnoses", lambda codes: codes.count(",") >= MOST)


@edit("diagnosis-twice", ERROR, On.CLAIM, "diagnoses", "A diagnosis stands in the list twice; take one away.")
def diagnosis_twice(batch: Batch) -> Iterable[Claim]:
    return [claim for claim, codes in batch.diagnosed if len(set(codes)) < len(codes)]


@edit(
    "external-cause-first",
    ERROR,
    On.CLAIM,
    "diagnoses",
    "A cause of injury (V to Y) cannot come first; put the injury first.",
    of_voids=False,
)
def external_cause_first(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("diagnoses", lambda codes: codes[:1] in forms.EXTERNAL_CAUSE)


@edit(
    "diagnosis-not-valid",
    ERROR,
    On.CLAIM,
    "diagnoses",
    "A diagnosis was not a valid code on the day of service; code it anew.",
    of_voids=False,
)
def diagnosis_not_valid(batch: Batch) -> Iterable[Claim]:
    if not batch.codes.has(ICD):
        return ()
    lists = set(zip(batch.of_claims["diagnoses"], batch.first_days, strict=True))
    asked = {(code, day) for codes, day in lists if codes for code in codes.split(",")}
    several = () if batch.first_days is batch.of_claims["service_on"] else batch.claims
    asked |= {pair for claim in several if len({line.from_on for line in claim.lines}) > 1 for pair in _made_on(claim)}
    wrong = {key for key in asked if not batch.codes.is_valid(ICD, *key)}
    return [claim for claim in (batch.claims if wrong else ()) if not wrong.isdisjoint(_made_on(claim))]


def _made_on(claim: Claim) -> list[tuple[str, str]]:
    """Return each diagnosis with the days of the lines that point to it; where none does, with the claim's first."""
    found = []
    for place, code in enumerate(claim.diagnoses.split(",") if claim.diagnoses else (), start=1):
        days = {line.from_on for line in claim.lines if str(place) in line.pointers.split(",")}
        found += [(code, day) for day in sorted(days) or [first_day(claim)]]
    return found


@edit(
    "diagnosis-sex",
    WARNING,  # a diagnosis cannot say, as KX does of a service, that it is meant
    On.CLAIM,
    "diagnoses",
    "A diagnosis does not fit the patient's sex; check both.",
    of_voids=False,
)
def diagnosis_sex(batch: Batch) -> Iterable[Claim]:
    told = batch.codes.told(ICD, batch.diagnoses, "sex")
    return [
        claim
        for claim, codes in (batch.diagnosed if told else ())
        if not told.isdisjoint(codes)
        and any(conflicts_with_sex(batch, claim, ICD, code, day) for code, day in _made_on(claim) if code in told)
    ]


@edit(
    "diagnosis-age",
    ERROR,
    On.CLAIM,
    "diagnoses",
    "A diagnosis does not fit the patient's age; check it and the birth date.",
    of_voids=False,
)
def diagnosis_age(batch: Batch) -> Iterable[Claim]:
    told = batch.codes.told(ICD, batch.diagnoses, "age_from", "age_to")
    return [
        claim
        for claim, codes in (batch.diagnosed if told else ())
        if not told.isdisjoint(codes)
        and any(conflicts_with_age(batch, claim, ICD, code, day) for code, day in _made_on(claim) if code in told)
    ]


def _with(batch: Batch, wrong: set[str]) -> list[Claim]:
    return [claim for claim, codes in batch.diagnosed if not wrong.isdisjoint(codes)] if wrong else []
