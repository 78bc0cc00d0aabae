"""Makes rows for every source; a source without a maker fails, for nobody would have seen its SQL run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from backend.apps.interop.tests.fhir import clinical_makers, makers_of_papers, makers_of_people
from backend.apps.patients.models import Gender

# Name of a source: makers, each of a row of its model that is a resource (full ones, bare ones, one of each state).
MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    **makers_of_people.MAKERS,
    **makers_of_papers.MAKERS,
    **clinical_makers.MAKERS,
})  # fmt: skip

# Columns that stand as they are where R4 limits the codes, by source: what the database lets them be.
CODES: Mapping[str, Mapping[str, Collection[str]]] = MappingProxyType({
    "patient": {"gender": Gender.values},
    "observation-lab": {"comparator": ("<", "<=", ">", ">=")},  # all that the query's own pattern lets through
})  # fmt: skip
