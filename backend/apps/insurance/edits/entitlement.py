"""Edits of who may bill: a doctor with a licence on the day, excluded by no registry; else payers take money back."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.credentials import covered
from backend.apps.insurance.edits.rules import Batch, Line, On, Severity, edit, is_day, last_day

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
    doctors = _partly_entitled(batch)
    services = _services(batch) if doctors else []
    wrong = {one for one in set(services) if one[0] in doctors and not _is_entitled(doctors[one[0]], one[1:])}
    return [line for one, line in zip(services, batch.lines, strict=True) if one in wrong] if wrong else []


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


def _partly_entitled(batch: Batch) -> dict[str, covered.Spans]:
    """Return the days of those doctors who had no licence on some day between the first and the last of the batch."""
    days = batch.values("from_on") | batch.values("to_on")
    first, last = min(days - {""}, default=""), max(days, default="")
    partly = {one.id: one.entitled for one in batch.providers if one.entitled is not None}
    return {key: spans for key, spans in partly.items() if not covered.is_covered_from(spans, first, last)}


def _services(batch: Batch) -> list[tuple[str, str, str]]:
    """Return of each line who gave it, its first day, and its last where that is another."""
    of_claims, of_lines = batch.of_claims, batch.of_lines
    usual = [who for who, lines in zip(of_claims["rendering"], of_claims["lines"], strict=True) for _ in lines]
    if any(of_lines.different("rendering")):
        usual = [own or who for own, who in zip(of_lines["rendering"], usual, strict=True)]
    return list(zip(usual, of_lines["from_on"], of_lines["to_on"], strict=True))


def _is_entitled(spans: covered.Spans, days: Iterable[str]) -> bool:
    return all(covered.is_covered(spans, day) for day in days if is_day(day))
