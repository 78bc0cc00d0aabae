"""Search parameters that name another resource."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from backend.apps.interop.fhir.outcomes import BadSearch
from backend.apps.interop.fhir.search.kinds import Match, Param, any_of
from backend.apps.interop.fhir.search.values import plain
from backend.apps.interop.fhir.source import Source


@dataclass(frozen=True, kw_only=True)
class Pointer(Param):
    """What references share. element: where it stands in the resource, "" where it cannot be brought along."""

    element: str = ""
    kind: ClassVar[str] = "reference"

    @property
    def targets(self) -> tuple[str, ...]:
        """The types it may refer to; each is a modifier too."""
        raise NotImplementedError

    def checked(self, name: str, modifier: str) -> None:
        if modifier and modifier not in self.targets:
            raise BadSearch(f"{name}: this modifier is not supported.", code="not-supported")


@dataclass(frozen=True)
class Reference(Pointer):
    """A reference: the type it names -> the path to the row of it.

    keys: for types whose id is not a UUID, from the id to the rows.
    """

    paths: Mapping[str, str]
    keys: Mapping[str, Callable[[str], Q | None]] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.paths, *(name for name in self.keys if name not in self.paths))

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        self.checked(name, modifier)
        found = [q for value in values for q in self._rows(name, plain(value), modifier)]
        return Match(any_of(found)) if found else None

    def _rows(self, name: str, value: str, only: str) -> list[Q]:
        """Return the conditions of one value: one for each type that a bare id may be of."""
        kind, fhir_id = split_reference(name, value)
        return [q for q in (self._to(one, fhir_id) for one in self._kinds(kind, only)) if q is not None]

    def _kinds(self, kind: str, only: str) -> list[str]:
        return [one for one in self.targets if one == (kind or only or one)]

    def _to(self, kind: str, fhir_id: str) -> Q | None:
        if kind in self.keys:
            return self.keys[kind](fhir_id)
        key = key_of(fhir_id)
        return None if key is None else Q(**{self.paths[kind]: key})


@dataclass(frozen=True)
class Shown(Reference):
    """A reference that only some resources of those rows tell. column: which of the resource's columns tells it."""

    column: str = ""

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        found = super().match(source, name, values, modifier)
        return found and Match(found.rows, f"{source.columns[self.column]} IS NOT NULL")


@dataclass(frozen=True)
class Listed(Reference):
    """References that only some resources of those rows tell. column: the list of them, as `Each` reads it."""

    column: str = ""

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        found = super().match(source, name, values, modifier)
        told = [split_reference(name, plain(value)) for value in values]
        wanted = [json.dumps([[f"{of}/{fhir_id}"]]) for kind, fhir_id in told for of in self._kinds(kind, modifier)]
        return found and Match(found.rows, f"({source.columns[self.column]})::jsonb @> ANY(%s::jsonb[])", (wanted,))


@dataclass(frozen=True)
class OfPatient(Pointer):
    """The patient a resource is about, by the source's own SQL."""

    element: str = "subject"

    @property
    def targets(self) -> tuple[str, ...]:
        return ("Patient",)

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        self.checked(name, modifier)
        told = (split_reference(name, plain(value)) for value in values)
        keys = [fhir_id for kind, fhir_id in told if kind in {"", "Patient"} and key_of(fhir_id)]
        if len(keys) == 1:  # of an array PostgreSQL does not know how many it holds when it plans for all values
            return Match(sql=f"{source.patient} = %s::uuid", values=(keys[0],))
        return Match(sql=f"{source.patient} = ANY(%s::uuid[])", values=(keys,)) if keys else None


@dataclass(frozen=True)
class Refers(Pointer):
    """A reference to one type as the resource tells it, by its column; see `Told`."""

    to: str
    column: str

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.to,)

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        self.checked(name, modifier)
        told = (split_reference(name, plain(value)) for value in values)
        ids = [fhir_id for kind, fhir_id in told if kind in {"", self.to}]
        return Match(sql=f"{source.columns[self.column]} = ANY(%s::text[])", values=(ids,)) if ids else None


def encounter_of(path: str, *, element: str = "encounter") -> Shown:
    """Return the parameter for the visit, which resources name when the patient came to it."""
    return Shown({"Encounter": path}, element=element, column="encounter")


def key_of(fhir_id: str) -> UUID | None:
    """Return the key that an id is; None for any other way to write one, for ids are compared letter by letter."""
    try:
        key = UUID(fhir_id)
    except ValueError:
        return None
    return key if str(key) == fhir_id else None


def split_reference(name: str, value: str) -> tuple[str, str]:
    """Return (type, id) of "Type/id", of our own absolute address, or ("", id) of a bare id.

    Raises:
        BadSearch: a reference to another server, or no reference.
    """
    ours = f"{settings.PUBLIC_BASE_URL}/fhir/R4/"
    kind, _, fhir_id = value.removeprefix(ours).rpartition("/")
    if "/" in kind or not fhir_id:
        raise BadSearch(f"{name}: not a reference such as Patient/<id>.")
    return kind, fhir_id
