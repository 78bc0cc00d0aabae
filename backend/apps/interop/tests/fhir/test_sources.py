"""Proves that rows as the clinic has them come out of every source as sound resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Q
from fhir.resources.R4B import get_fhir_model_class

from backend.apps.interop.fhir.source import Source, count_among, rows_among
from backend.apps.interop.fhir.sources import ALL, BY_NAME
from backend.apps.interop.tests.fhir.makers import CODES, MAKERS
from integrations.fhir.holes import Safe, Switch
from integrations.fhir.ingress import checks
from tests.support.fhir_agreement import agreed
from tests.support.fhir_rows import Place, literals, places

each_source = pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)


def resources(source: Source, row: Any) -> list[dict[str, Any]]:
    """Return the resources of a row, as dict and line agree on them."""
    found = rows_among(source, source.model._base_manager.filter(pk=row.pk))
    return [agreed(source.resource, values) for values in found]


def limited(source: Source) -> Iterator[Place]:
    """Return the places of a resource where a column says which of R4's codes it is."""
    for place in places(source.resource.tree, get_fhir_model_class(source.type), source.type):
        if place.codes and not literals(place):
            yield place


def test_every_source_has_a_maker() -> None:
    assert {source.name for source in ALL} == set(MAKERS)
    assert len(BY_NAME) == len(ALL)


@pytest.mark.django_db
@each_source
def test_rows_as_the_clinic_has_them_are_sound_resources_that_their_ids_and_conditions_find(source: Source) -> None:
    for make in MAKERS[source.name]:
        row = make()
        found = resources(source, row)
        assert found, make
        assert count_among(source, source.model._base_manager.filter(pk=row.pk)) == len(found)
        for told in found:
            assert checks.issues(told) == []
            assert told["resourceType"] == source.type
            sound_codes(source, told)
            assert found_by(source, told["id"]) == [row.pk]
    assert source.by_id("no such id") is None
    asked_whatever_they_hold_of(source)


def found_by(source: Source, fhir_id: str) -> list[Any]:
    """Return the keys of the rows that an id finds."""
    condition = source.by_id(fhir_id)
    return [] if condition is None else list(source.model._base_manager.filter(condition).values_list("pk", flat=True))


def asked_whatever_they_hold_of(source: Source) -> None:
    """Assert that conditions which hold of all rows or of none, which Django leaves out, are asked too."""
    rows = source.model._base_manager.all()
    everything = len(rows_among(source, rows))
    assert everything == count_among(source, rows) > 0
    for condition, found in ((~Q(pk__in=()), everything), (Q(pk__in=()), 0), (Q(pk__isnull=False), everything)):
        assert count_among(source, rows.filter(condition)) == len(rows_among(source, rows.filter(condition))) == found
    assert count_among(source, rows.filter(pk__in=rows.values("pk"))) == everything


@each_source
def test_codes_that_a_column_says_are_limited_by_the_model(source: Source) -> None:
    for place in limited(source):
        if not isinstance(place.part, Switch):
            assert isinstance(place.part, Safe), f"{place.path}: any text could stand here"
            assert set(CODES[source.name][place.part.column]) <= set(place.codes), place.path


def sound_codes(source: Source, told: dict[str, Any]) -> None:
    """Assert that the codes of the places that R4 limits are R4's, in the resource as it came out."""
    for path, codes in {place.path: place.codes for place in limited(source)}.items():
        for value in at(told, path.split(".")[1:]):
            assert value in codes, path


def at(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for member in value:
            yield from at(member, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], path[1:])
