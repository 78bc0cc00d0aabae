"""Every source, by resource type; a type that is not here is one we do not have."""

from __future__ import annotations

from collections import defaultdict

from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.patient import PATIENTS

ALL: tuple[Source, ...] = (PATIENTS,)  # in the order exports and unfiltered searches take them


def _by_type() -> dict[str, tuple[Source, ...]]:
    found: dict[str, list[Source]] = defaultdict(list)
    for source in ALL:
        found[source.type].append(source)
    return {name: tuple(some) for name, some in found.items()}


SOURCES: dict[str, tuple[Source, ...]] = _by_type()
BY_NAME: dict[str, Source] = {source.name: source for source in ALL}
