"""Edits against billing twice: the second of two equal claims costs a denial and a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.apps.insurance.edits.rules import FIRST_TIME, Batch, Claim, On, Severity, edit

ERROR = Severity.ERROR
AGAIN = frozenset({"76", "77", "91", "59", "XE", "XP", "XS", "XU"})  # modifiers that say: once more, and meant
Key = tuple[str, ...]


@edit(
    "billed-before",
    ERROR,
    On.CLAIM,
    "lines",
    "These services were billed to this payer already; correct that claim instead.",
    of_voids=False,
)
def billed_before(batch: Batch) -> Iterable[Claim]:
    if not batch.duplicates:
        return ()
    return [claim for claim in batch.claims if claim.id in batch.duplicates and claim.frequency == FIRST_TIME]


@edit(
    "billed-beside",
    ERROR,
    On.CLAIM,
    "lines",
    "Another claim going out now bills the same services; keep one of them.",
    of_voids=False,
)
def billed_beside(batch: Batch) -> Iterable[Claim]:
    """Of equal claims in one batch the first may go, and a correction before it."""
    if not batch.repeated:
        return ()
    patients = {patient for patient, *_ in batch.repeated}
    return _later_ones([claim for claim in batch.claims if claim.patient in patients])


def _later_ones(claims: list[Claim]) -> list[Claim]:
    seen: dict[Key, list[Claim]] = {}
    again = []
    for claim in sorted(claims, key=lambda one: one.frequency == FIRST_TIME):
        keys = set(_keys(claim))
        others = [other for key in keys for other in seen.get(key, ())]
        if claim.frequency == FIRST_TIME and not all(_follows(claim, other) for other in others):
            again.append(claim)
        for key in keys:
            seen.setdefault(key, []).append(claim)
    return again


def _follows(claim: Claim, other: Claim) -> bool:
    """Return whether one of two claims goes to the payer that comes after the other's."""
    return claim.secondary_to == other.id or other.secondary_to == claim.id


def _keys(claim: Claim) -> Iterator[Key]:
    """Yield what makes services the same to a payer, whichever coverage names it."""
    for line in claim.lines:
        if AGAIN.isdisjoint(line.modifiers.split(",")):
            doctor = line.rendering or claim.rendering
            yield claim.patient, claim.payer, claim.sequence, doctor, line.from_on, line.code, line.modifiers
