"""What a bulk export was asked for, as the web side understood it and the workers read it; else each would parse."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl

NDJSON = "application/fhir+ndjson"
LATEST, RELEVANT = "LatestProvenanceResources", "RelevantProvenanceResources"
YEARS = range(1900, 3000)  # that can be asked for: others have no moment in every zone
AHEAD = timedelta(minutes=1)  # clocks may differ by so much before a moment counts as the future
Parameters = list[tuple[str, str]]


def fault_of(moment: datetime, *, now: datetime | None = None) -> str:
    """Return why nobody can ask what changed after, or until, a moment; "" when they can. now: it has to be past."""
    try:
        year = moment.astimezone(UTC).year
    except OverflowError:
        year = 0
    if year not in YEARS:
        return f"This must be a moment of the years {YEARS[0]} to {YEARS[-1]}."
    ahead = now is not None and moment > now + AHEAD
    return "This moment is in the future: nothing can have changed since." if ahead else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one kick-off. Everything is valid and known to us by the time this is made.

    types: empty for all. since (exclusive), until (inclusive): when a resource last changed.
    type_filters: (type, query) as ("Observation", "category=laboratory&date=ge2024"); several of a type: any of them.
    elements: "element" for all types or "Type.element". patients: ids of the only patients wanted; empty for all.
    associated: LATEST or RELEVANT, as asked; without LATEST all Provenance goes with what is exported.
    organize_by: "" or "Patient". separate_status: the status is told in X-Export-Status, with a plain 200.
    """

    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    type_filters: tuple[tuple[str, str], ...] = ()
    elements: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    associated: tuple[str, ...] = ()
    organize_by: str = ""
    allow_partial: bool = False
    separate_status: bool = False
    output_format: str = NDJSON

    def to_json(self) -> dict[str, Any]:
        """Return what differs from an export of everything, as `ExportJob.parameters` keeps it."""
        told = {name: value for name, value in asdict(self).items() if value != getattr(NOTHING_ASKED, name)}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        known = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        for name, value in known.items():
            if name in {"since", "until"} and value:
                known[name] = datetime.fromisoformat(value)
            elif isinstance(value, list):
                known[name] = tuple(tuple(each) if isinstance(each, list) else each for each in value)
        return cls(**known)

    def wants(self, resource_type: str) -> bool:
        """Return whether a type is among those asked for; associated Provenance is asked for by naming it there."""
        return (
            not self.types or resource_type in self.types or (resource_type == "Provenance" and bool(self.associated))
        )

    def elements_of(self, resource_type: str) -> frozenset[str]:
        """Return the root elements to which this type is cut; empty: it stays whole."""
        told = (each.rpartition(".") for each in self.elements)
        return frozenset(element for of, _, element in told if of in {"", resource_type})

    def filters_of(self, resource_type: str) -> list[Parameters]:
        """Return the searches any of which a resource must fit; empty: all fit."""
        queries = (query for of, query in self.type_filters if of == resource_type)
        return [parse_qsl(query, keep_blank_values=True) for query in queries]

    @property
    def latest_provenance_only(self) -> bool:
        """Whether LATEST was asked for, and not also RELEVANT: of conflicting values the one that gives more holds."""
        return LATEST in self.associated and RELEVANT not in self.associated


NOTHING_ASKED = Asked()
