"""Whether a code fits the patient's sex and age, as the clinic's code lists say; shared by diagnoses and procedures."""

from __future__ import annotations

from backend.apps.insurance.edits.people import birth, sex
from backend.apps.insurance.edits.rules import Batch, Claim

YEAR = 10_000  # between two days written as YYYYMMDD


def conflicts_with_sex(batch: Batch, claim: Claim, kind: str, code: str, day: str) -> bool:
    wanted = batch.codes.fact(kind, code, day, "sex")
    return bool(wanted) and sex(claim) in {"F", "M"} - {wanted}


def conflicts_with_age(batch: Batch, claim: Claim, kind: str, code: str, day: str) -> bool:
    years = age(birth(claim), day)
    youngest = batch.codes.fact(kind, code, day, "age_from")
    oldest = batch.codes.fact(kind, code, day, "age_to")
    if years is None:
        return False
    return (youngest is not None and years < youngest) or (oldest is not None and years > oldest)


def age(born: str, day: str) -> int | None:
    """Return whole years between two days (YYYYMMDD), None where one is not known."""
    return (int(day) - int(born)) // YEAR if born.isdigit() and day.isdigit() else None
