"""Edits of who may bill: a doctor with a licence on the day, excluded by no registry; else payers take money back."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.credentials import covered
from backend.apps.insurance.edits.rules import Batch, Line, On, Provider, Severity, edit, is_day, last_day

ERROR = Severity.ERROR


@edit(
    "rendering-not-entitled",
    ERROR,
    On.LINE,
    "rendering",
    "The doctor had no valid licence on this day; enter it, or name who gave the service.",
    of_voids=False,
)
def rendering_not_entitled(batch: Batch) -> Iterable[Line]:
    wrong = batch.once(_not_entitled)
    return [line for claim, line in batch.pairs if _service(claim.rendering, line) in wrong] if wrong else []


@edit(
    "rendering-excluded",
    ERROR,
    On.LINE,
    "rendering",
    "The doctor was excluded from public programmes on this day (LEIE); do not bill this service.",
    of_voids=False,
)
def rendering_excluded(batch: Batch) -> Iterable[Line]:
    since = {one.id: one.excluded_from for one in batch.providers if one.excluded_from}
    if not since:
        return ()
    gave = ((line.rendering or claim.rendering, line) for claim, line in batch.pairs)
    return [line for who, line in gave if who in since and last_day(line) >= since[who]]


def _not_entitled(batch: Batch) -> set[tuple[str, str, str]]:
    """Return the different (doctor, first day, last day) of lines on which the doctor had no licence."""
    doctors = {one.id: one for one in batch.providers if one.entitled is not None}
    if not doctors:
        return set()
    given = {_service(claim.rendering, line) for claim, line in batch.pairs}
    return {one for one in given if one[0] in doctors and not _is_entitled(doctors[one[0]], one[1:])}


def _service(usual: str, line: Line) -> tuple[str, str, str]:
    return line.rendering or usual, line.from_on, last_day(line)


def _is_entitled(doctor: Provider, days: Iterable[str]) -> bool:
    spans = doctor.entitled
    return spans is None or all(covered.is_covered(spans, day) for day in days if is_day(day))
