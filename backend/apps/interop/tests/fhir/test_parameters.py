"""Proves of every search parameter of every source that its SQL runs and that it finds what the resource says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from backend.apps.interop.fhir.door import given
from backend.apps.interop.fhir.search import pages
from backend.apps.interop.fhir.search.includes import references
from backend.apps.interop.fhir.search.kinds import Date
from backend.apps.interop.fhir.search.parameters import PARAMETERS
from backend.apps.interop.fhir.search.query import COMMON, Found, filtered, find, parameters
from backend.apps.interop.fhir.search.references import Pointer
from backend.apps.interop.fhir.source import Source, count_among
from backend.apps.interop.fhir.sources import ALL, BY_NAME
from backend.apps.interop.tests.fhir.makers import MAKERS
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
VALUES = {"token": ("a-code", "urn:none|", "http://loinc.org|1-8,x"), "string": (r"a\,b",), "reference": ("Patient/1",)}
VALUES |= {"date": ("2024", "ne2024-05", "gt2024-05-06", "le2024-05-06T10:00:00Z", "sa2024", "eb2024-01-01T10:00")}


def test_every_source_says_what_it_is_searched_by() -> None:
    assert set(PARAMETERS) == set(BY_NAME)


def number(source: Source, params: list[tuple[str, str]]) -> int:
    """Return how many resources the parameters find."""
    found = find(source, params)
    return count_among(source, found.rows, also=found.also, values=found.values) if found else 0


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)
def test_each_parameter_runs_with_any_value_and_finds_what_the_resource_says(source: Source) -> None:
    for turn in range(6):
        number(source, list(anything(source, turn)))
    row, user = MAKERS[source.name][0](), make_user(role="admin")
    hits = pages.some(source, Found(source.visible(user)), user, 20)
    hit = next(one for one in hits if str(row.pk) in {one.place.key, one.id})
    body = json.loads(source.resource.line(given())(hit.row[:-3]))
    searches = [("_id", body["id"]), *said(source, body, hit.row)]
    for search in searches:
        assert number(source, [search, ("_id", body["id"])]) == 1, search
    rows = filtered(source, searches, user)
    assert rows is not None
    assert list(rows.values_list("pk", flat=True).distinct()) == [row.pk]


def anything(source: Source, turn: int) -> Iterator[tuple[str, str]]:
    """Yield a search by all parameters at once: PostgreSQL reads and plans each, whatever it finds."""
    for name, param in parameters(source).items():
        modifiers = ("", *sorted(param.modifiers))
        values = VALUES[param.kind]
        pair = f"{name}:{modifiers[turn % len(modifiers)]}".rstrip(":"), values[turn % len(values)]
        if find(source, [pair]) is not None:
            yield pair


def said(source: Source, body: dict[str, Any], row: tuple[str | None, ...]) -> Iterator[tuple[str, str]]:
    """Yield searches that must find this resource, for it says so itself."""
    columns = dict(zip(source.resource.columns, row, strict=False))
    yield "_lastUpdated", body["meta"]["lastUpdated"]
    for name, param in parameters(source).items():
        if isinstance(param, Pointer) and param.element:
            kinds = [one for one in references(body, param.element) if one.partition("/")[0] in param.targets]
            yield from ((name, one) for one in kinds[:1])
        elif isinstance(param, Date) and param.column and columns[param.column]:
            yield name, str(columns[param.column])
        elif name in {"type", "category", "code", "specialty", "status", "gender", "intent", "use", "identifier"}:
            yield from ((name, value) for value in tokens(body.get(name)))


def tokens(value: Any) -> Iterator[str]:
    """Yield what a code, a concept, an identifier or a list of them is searched by."""
    if isinstance(value, str):
        yield value
    for one in value if isinstance(value, list) else [value]:
        codings = one.get("coding", [one]) if isinstance(one, dict) else ()
        for coding in codings:
            code = coding.get("code", coding.get("value"))
            if code:
                yield f"{coding['system']}|{code}" if "system" in coding else code


def test_common_parameters_are_there_for_all() -> None:
    assert set(COMMON) == {"_id", "_lastUpdated"}
