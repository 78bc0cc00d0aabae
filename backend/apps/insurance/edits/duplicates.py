"""Edits against billing twice: the second of two equal claims costs a denial and a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backend.apps.insurance.edits.rules import FIRST_TIME, Batch, Claim, On, Severity, edit, in_order

ERROR, WARNING = Severity.ERROR, Severity.WARNING
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
    return [claim for claim in batch.claims if claim.id in batch.duplicates]


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
    return _later_ones(batch, once_more=False)


@edit(
    "billed-once-more",
    WARNING,
    On.CLAIM,
    "lines",
    "Another claim bills these services with the same modifier; make sure that it is meant.",
    of_voids=False,
)
def billed_once_more(batch: Batch) -> Iterable[Claim]:
    before = [claim for claim in batch.claims if claim.id in batch.once_more] if batch.once_more else []
    return before + [one for one in _later_ones(batch, once_more=True) if one.id not in batch.once_more]


def _later_ones(batch: Batch, *, once_more: bool) -> list[Claim]:
    """Return of equal claims all but the first. once_more: equal by lines whose modifier says it, else by others."""
    patients = {patient for patient, *_ in batch.repeated}
    claims = [claim for claim in batch.claims if claim.patient in patients] if patients else []
    seen: dict[Key, list[Claim]] = {}
    again = []
    for claim in sorted(claims, key=lambda one: one.frequency == FIRST_TIME):
        keys = set(_keys(claim, once_more))
        others = [other for key in keys for other in seen.get(key, ())]
        if claim.frequency == FIRST_TIME and not all(_follows(claim, other) for other in others):
            again.append(claim)
        for key in keys:
            seen.setdefault(key, []).append(claim)
    return again


def _follows(claim: Claim, other: Claim) -> bool:
    """Return whether one of two claims goes to the payer that comes after the other's."""
    return claim.secondary_to == other.id or other.secondary_to == claim.id


def _keys(claim: Claim, once_more: bool) -> Iterator[Key]:
    """Yield what makes services the same to a payer, whichever coverage names it."""
    for line in claim.lines:
        if AGAIN.isdisjoint(line.modifiers.split(",")) != once_more:
            doctor = line.rendering or claim.rendering
            modifiers = in_order(line.modifiers)
            yield claim.patient, claim.payer, claim.sequence, doctor, line.from_on, line.code, modifiers
