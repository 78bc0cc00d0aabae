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
    """Of equal claims in one batch the first may go."""
    if not batch.repeated:
        return ()
    coverages = {coverage for coverage, *_ in batch.repeated}
    return _later_ones(claim for claim in batch.claims if claim.coverage in coverages)


def _later_ones(claims: Iterable[Claim]) -> list[Claim]:
    seen: set[Key] = set()
    again = []
    for claim in claims:
        mine = set(_keys(claim)) if claim.frequency == FIRST_TIME and claim.coverage else set()
        if not seen.isdisjoint(mine):
            again.append(claim)
        seen |= mine
    return again


def _keys(claim: Claim) -> Iterator[Key]:
    for line in claim.lines:
        if AGAIN.isdisjoint(line.modifiers.split(",")):
            doctor = line.rendering or claim.rendering
            yield claim.coverage, doctor, line.from_on, line.code, line.modifiers
