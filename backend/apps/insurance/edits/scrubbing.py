"""Holds claims against all edits at once; without it a clearinghouse would find what we could have known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backend.apps.insurance.edits import (
    authorisations,
    coverage,
    dates,
    diagnoses,
    duplicates,
    entitlement,
    money,
    parties,
    people,
    places,
    procedures,
    secondary,
    timely_filing,
    units,
)
from backend.apps.insurance.edits.rules import VOID, Batch, Claim, Context, Finding, On, Rule, Severity

THEMES = (
    parties,
    people,
    coverage,
    diagnoses,
    procedures,
    units,
    places,
    dates,
    money,
    authorisations,
    secondary,
    duplicates,
    timely_filing,
    entitlement,
)
REGISTRY: tuple[Rule, ...] = tuple(rule for theme in THEMES for rule in vars(theme).values() if isinstance(rule, Rule))
OF_VOIDS = tuple(rule for rule in REGISTRY if rule.of_voids)
OF_A_CLAIM = {On.BILLING: "billing", On.PAYER: "payer", On.FACILITY: "facility"}
ROLES = ("rendering", "referring")


def scrub(claims: Sequence[Claim], context: Context) -> dict[str, list[Finding]]:
    """Return the findings by claim id, of claims that have any; a good batch costs a few comparisons for each rule."""
    voids = [claim for claim in claims if claim.frequency == VOID]
    if not voids:
        return _found(REGISTRY, claims, context)
    others = [claim for claim in claims if claim.frequency != VOID]
    return _found(REGISTRY, others, context) | _found(OF_VOIDS, voids, context)


def _found(rules: Iterable[Rule], claims: Sequence[Claim], context: Context) -> dict[str, list[Finding]]:
    batch = Batch(claims, context)
    found: dict[str, list[Finding]] = {}
    for rule in rules:
        subjects = list(rule.find(batch))
        for claim, path in _placed(rule, subjects, claims) if subjects else ():
            found.setdefault(claim, []).append(Finding(rule.id, rule.severity, path, rule.message))
    return found


def is_clean(findings: Iterable[Finding]) -> bool:
    """Return whether nothing keeps the claim here; warnings do not."""
    return all(finding.severity != Severity.ERROR for finding in findings)


def _placed(rule: Rule, subjects: list[Any], claims: Sequence[Claim]) -> Iterator[tuple[str, str]]:
    """Yield (claim id, path) for each subject at fault, of parts for each claim that names the part."""
    match rule.on:
        case On.CLAIM:
            yield from ((claim.id, rule.path) for claim in subjects)
        case On.LINE:
            yield from _inside(subjects, claims, "lines", "number", rule)
        case On.OTHER:
            yield from _inside(subjects, claims, "other_payers", "sequence", rule)
        case On.PROVIDER:
            yield from _in_roles({provider.id for provider in subjects}, claims, rule)
        case _:
            name, ids = OF_A_CLAIM[rule.on], {part.id for part in subjects}
            yield from ((claim.id, f"{name}.{rule.path}") for claim in claims if getattr(claim, name) in ids)


def _inside(subjects: list[Any], claims: Sequence[Claim], name: str, key: str, rule: Rule) -> Iterator[tuple[str, str]]:
    faulty = {id(subject) for subject in subjects}
    for claim in claims:
        for one in getattr(claim, name):
            if id(one) in faulty:
                yield claim.id, f"{name}[{getattr(one, key)}].{rule.path}"


def _in_roles(ids: set[str], claims: Sequence[Claim], rule: Rule) -> Iterator[tuple[str, str]]:
    for claim in claims:
        for role in ROLES:
            if getattr(claim, role) in ids:
                yield claim.id, f"{role}.{rule.path}"
        for line in claim.lines:
            if line.rendering in ids:
                yield claim.id, f"lines[{line.number}].rendering.{rule.path}"
