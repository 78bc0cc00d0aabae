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
    "The doctor had no valid licence on this day; have one verified, or name who gave the service.",
    of_voids=False,
)
def rendering_not_entitled(batch: Batch) -> Iterable[Line]:
    doctors = _partly_entitled(batch)
    if not doctors:
        return ()
    days = (batch.of_lines["from_on"], batch.of_lines["to_on"])
    services = list(zip(_gave(batch), *days, strict=True))
    wrong = {one for one in set(services) if one[0] in doctors and not _is_entitled(doctors[one[0]], one[1:])}
    return [line for one, line in zip(services, batch.lines, strict=True) if one in wrong] if wrong else ()


@edit(
    "rendering-excluded",
    ERROR,
    On.LINE,
    "rendering",
    "The doctor was excluded from public programmes on this day (LEIE); do not bill this service.",
    of_voids=False,
)
def rendering_excluded(batch: Batch) -> Iterable[Line]:
    since = {one.id: one.excluded_from for one in _doctors(batch) if one.excluded_from}
    if not since:
        return ()
    gave = zip(_gave(batch), batch.lines, strict=True)
    return [line for who, line in gave if who in since and last_day(line) >= since[who]]


def _doctors(batch: Batch) -> list[Provider]:
    """Return who may have given a service: those the claims name, and who bills in person."""
    providers = batch.parts.providers
    return [*batch.providers, *(providers[one.doctor] for one in batch.billing if one.doctor in providers)]


def _partly_entitled(batch: Batch) -> dict[str, covered.Spans]:
    """Return the days of those doctors who had no licence on some day between the first and the last of the batch."""
    days = batch.values("from_on") | batch.values("to_on")
    first, last = min(days - {""}, default=""), max(days, default="")
    partly = {one.id: one.entitled for one in _doctors(batch) if one.entitled is not None}
    return {key: spans for key, spans in partly.items() if not covered.is_covered_from(spans, first, last)}


def _gave(batch: Batch) -> list[str]:
    """Return of each line who gave it: whom it names, else whom its claim or the visit names, else who bills."""
    of_claims, own = batch.of_claims, batch.of_lines["rendering"]
    usual, in_person = of_claims["rendering"], {one.id: one.doctor for one in batch.billing}
    billed = [who or in_person.get(biller, "") for who, biller in zip(usual, of_claims["billing"], strict=True)]
    of_lines = [who for who, lines in zip(billed, of_claims["lines"], strict=True) for _ in lines]
    return [who or other for who, other in zip(own, of_lines, strict=True)]


def _is_entitled(spans: covered.Spans, days: Iterable[str]) -> bool:
    known = [day for day in days if is_day(day)]
    return not known or covered.is_covered_throughout(spans, min(known), max(known))
