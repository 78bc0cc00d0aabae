"""One kind of resource as we write it: its shape, and from that its columns, its dict and its line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from integrations.fhir.building import Row, build
from integrations.fhir.compiling import Line, compiled
from integrations.fhir.holes import Safe, Tree, columns_of
from integrations.fhir.terms import SUBSETTED

META = ("resourceType", "id", "meta")
GIVEN = ("base", "mrn_system")  # the FHIR base without a slash at its end; the system of our record numbers


# The root elements of our resources that have a choice of types (R4: `value[x]`).
CHOICES = (
    "asNeeded", "deceased", "effective", "medication", "multipleBirth", "occurred", "occurrence", "quantity",
    "reported", "value",
)  # fmt: skip
CHOICE = re.compile(rf"({'|'.join(CHOICES)})[A-Z][A-Za-z0-9]*")


def element_of(member: str) -> str:
    """Return the element of a member: "value" of "valueQuantity", "effective" of "_effectiveDateTime"."""
    name = member.removeprefix("_")
    found = CHOICE.fullmatch(name)
    return found[1] if found else name


@dataclass(frozen=True)
class Resource:
    """The shape of one resource type.

    tree: begins with `head(...)`. always: columns that are never NULL, beside those of the head.
    mandatory: root elements that stay whatever `_elements` asks for (those of cardinality 1.., and modifiers).
    """

    type: str
    tree: dict[str, Tree]
    always: frozenset[str] = field(default_factory=frozenset)
    mandatory: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns a query must bring, as text, in this order."""
        return tuple(dict.fromkeys(columns_of(self.tree)))

    def as_dict(self, row: Sequence[str | None], given: Mapping[str, str]) -> dict[str, Any]:
        """Return the resource as fhir.resources takes it; slow, for checks. Numbers are Decimal."""
        named: Row = dict(zip(self.columns, row, strict=True))
        built: dict[str, Any] = build(self.tree, named, given)
        return built

    def line(self, given: Mapping[str, str]) -> Line:
        """Return the function that writes a row as JSON, made once for each `given` (see GIVEN)."""
        return _line(self, tuple(sorted(given.items())))

    def only(self, elements: frozenset[str]) -> Resource:
        """Return this resource cut to some root elements and those it may not lack, tagged as SUBSETTED."""
        kept = set(map(element_of, (*META, *self.mandatory, *elements)))
        tree = {name: member for name, member in self.tree.items() if element_of(name) in kept}
        tree["meta"] = {**tree["meta"], "tag": [SUBSETTED]}
        return Resource(self.type, tree, self.always, self.mandatory)

    @cached_property
    def elements(self) -> frozenset[str]:
        """The root elements it may have, by their names in R4."""
        return frozenset(map(element_of, self.tree))

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(maxsize=512)
def _line(resource: Resource, given: tuple[tuple[str, str], ...]) -> Line:
    return compiled(resource.tree, resource.columns, resource.always | {"id", "version", "updated"}, dict(given))


def head(resource_type: str, *profiles: Tree) -> dict[str, Tree]:
    """Return how every resource begins; its columns are `id`, `version` and `updated`."""
    meta: dict[str, Tree] = {"versionId": Safe("version"), "lastUpdated": Safe("updated")}
    if profiles:
        meta["profile"] = list(profiles)
    return {"resourceType": resource_type, "id": Safe("id"), "meta": meta}
