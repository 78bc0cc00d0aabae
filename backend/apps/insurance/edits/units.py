"""Edits of units by the day, as CMS counts them; without them a line too many would look like two good ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, days_later, edit, is_day, last_day
from backend.apps.insurance.models.code_sets import CodeSetKind

ERROR, WARNING = Severity.ERROR, Severity.WARNING
MUE = CodeSetKind.MUE
MINUTES = "MJ"
BY_LINE, ABSOLUTE = "1", "2"  # CMS, MUE adjudication indicator; 3 is by the day too, but a payer may be persuaded
BOUND = frozenset({"medicare", "medicaid"})  # kinds of plans that have to keep to the list of CMS
BOUND_CODES = frozenset({"MA", "MB", "MC"})  # and SBR09 of theirs
MOST_DAYS = 366
Over = tuple[Claim, Line, str]


@edit(
    "units-too-many",
    ERROR,
    On.LINE,
    "units",
    "More units than Medicare and Medicaid ever take for a day; check, or split by day.",
    of_voids=False,
)
def units_too_many(batch: Batch) -> Iterable[Line]:
    return [line for claim, line, how in batch.once(over) if how == ABSOLUTE and _is_bound(batch, claim)]


@edit(
    "units-unusual",
    WARNING,
    On.LINE,
    "units",
    "More units than are usual for a day; check, or have the reason at hand.",
    of_voids=False,
)
def units_unusual(batch: Batch) -> Iterable[Line]:
    return [line for claim, line, how in batch.once(over) if how != ABSOLUTE or not _is_bound(batch, claim)]


def _is_bound(batch: Batch, claim: Claim) -> bool:
    plan = batch.parts.plans.get(claim.plan)
    return claim.filing_code in BOUND_CODES or (plan is not None and plan.kind in BOUND)


def over(batch: Batch) -> list[Over]:
    """Return the lines with more units on one of their days than the list has, and how it is meant; see BY_LINE.

    Only claims are walked through that have such a line, or one service on several lines.
    """
    capped = batch.codes.told(MUE, batch.values("code"), "most_units") if batch.codes.has(MUE) else set()
    high = {service for service in batch.services if service[0] in capped and _is_high(batch, *service)}
    if not high and not (capped and batch.repeating):
        return []
    found: list[Over] = []
    for claim in batch.claims:
        if claim.id in batch.repeating or any((line.code, line.units, line.from_on) in high for line in claim.lines):
            found += [(claim, line, how) for line, how in _of_claim(batch, claim)]
    return found


def _is_high(batch: Batch, code: str, units: str, day: str) -> bool:
    most = batch.codes.fact(MUE, code, day, "most_units")
    return most is not None and forms.is_positive(units) and float(units) > most


def _of_claim(batch: Batch, claim: Claim) -> Iterator[tuple[Line, str]]:
    counted = [
        (line, _days(line)) for line in claim.lines if line.unit_basis != MINUTES and forms.is_positive(line.units)
    ]
    by_day: Counter[tuple[str, str]] = Counter()
    for line, days in counted:
        for day in days:
            by_day[line.code, day] += float(line.units) / len(days)  # type: ignore[assignment]  # parts of units count
    for line, days in counted:
        for day in days:
            most = batch.codes.fact(MUE, line.code, day, "most_units")
            how = batch.codes.fact(MUE, line.code, day, "indicator") or ""
            units = float(line.units) / len(days) if how == BY_LINE else by_day[line.code, day]
            if most is not None and round(units, 3) > most:
                yield line, how
                break


def _days(line: Line) -> list[str]:
    """Return each day of a line, that of the first where the last is none."""
    days = [line.from_on]
    while is_day(days[-1]) and days[-1] < last_day(line) and len(days) < MOST_DAYS:
        days.append(days_later(days[-1], 1))
    return days
