"""Edits of the place of service: it decides what is paid, and telehealth has to say that it was."""

from __future__ import annotations

from collections.abc import Iterable

from backend.apps.insurance.edits import forms
from backend.apps.insurance.edits.rules import Batch, Claim, Line, On, Severity, edit
from backend.apps.insurance.models.code_sets import CodeSetKind

ERROR, WARNING = Severity.ERROR, Severity.WARNING
AT_A_DISTANCE = frozenset({"02", "10"})
BY_WIRE = frozenset({"95", "93", "GT", "GQ", "FQ"})  # modifiers of telehealth, by sight or sound
INPATIENT = frozenset({"21", "51", "61"})


@edit("place-unknown", ERROR, On.CLAIM, "place_of_service", "Choose the place of service from the list of CMS.")
def place_unknown(batch: Batch) -> Iterable[Claim]:
    return batch.claims_with("place_of_service", lambda place: not _is_place(batch, place))


@edit("line-place-unknown", ERROR, On.LINE, "place_of_service", "Choose the place of service from the list of CMS.")
def line_place_unknown(batch: Batch) -> Iterable[Line]:
    return batch.lines_with("place_of_service", lambda place: place and not _is_place(batch, place))


def _is_place(batch: Batch, place: str) -> bool:
    """The clinic's own list decides where there is one, else that of CMS as it was when this was written."""
    if batch.codes.on(CodeSetKind.PLACE, batch.today) is None:
        return place in forms.PLACES
    return batch.codes.is_valid(CodeSetKind.PLACE, place, batch.today)


@edit(
    "telehealth-modifier",
    WARNING,
    On.LINE,
    "modifiers",
    "Telehealth usually needs modifier 95, 93, GT or GQ.",
    of_voids=False,
)
def telehealth_modifier(batch: Batch) -> Iterable[Line]:
    if AT_A_DISTANCE.isdisjoint(batch.values("place_of_service") | batch.of_claims.different("place_of_service")):
        return ()
    wires = _wires(batch)
    return [
        line
        for claim, line in batch.pairs
        if (line.place_of_service or claim.place_of_service) in AT_A_DISTANCE and line.modifiers not in wires
    ]


@edit(
    "telehealth-place",
    WARNING,
    On.LINE,
    "place_of_service",
    "A telehealth modifier stands beside a place that is not 02 or 10.",
    of_voids=False,
)
def telehealth_place(batch: Batch) -> Iterable[Line]:
    wires = _wires(batch)
    if not wires:
        return ()
    return [
        line
        for claim, line in batch.pairs
        if line.modifiers in wires and (line.place_of_service or claim.place_of_service) not in AT_A_DISTANCE
    ]


def _wires(batch: Batch) -> set[str]:
    """Return the lists of modifiers in the batch that say telehealth."""
    return {text for text in batch.values("modifiers") if not BY_WIRE.isdisjoint(text.split(","))}


@edit("admission-missing", ERROR, On.CLAIM, "admission_on", "Enter the day of admission of a patient in hospital.")
def admission_missing(batch: Batch) -> Iterable[Claim]:
    claims = batch.claims_with("place_of_service", lambda place: place in INPATIENT)
    return [claim for claim in claims if not claim.admission_on]
