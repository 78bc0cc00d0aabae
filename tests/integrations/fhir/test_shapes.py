"""Proves of every resource that the fast line, the dict and fhir.resources say the same, whatever stands in a row."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.fhir.building import ABSENT, build
from integrations.fhir.checking import faults
from integrations.fhir.compiling import compiled
from integrations.fhir.holes import If, Safe, Text, Tree, Unless
from integrations.fhir.ingress import checks
from integrations.fhir.resource import Resource
from integrations.fhir.resources.practitioner import PRACTITIONER
from integrations.fhir.terms import US_CORE
from tests.support.fhir_agreement import agreed
from tests.support.fhir_rows import (
    GIVEN,
    HOSTILE,
    UNESCAPED,
    Values,
    every_resource,
    literals,
    places,
    unescaped,
    values,
)

RESOURCES = [pytest.param(one, values(one), id=f"{one.type}-{n}") for n, one in enumerate(every_resource())]
BETWEEN_COLUMNS = ("app-4",)  # a reason for cancelling beside a status that has none
BLANK = "\u00a0\n \u2003"
CONTROLS = "\x01\u00a0\x0e"  # each of which is written as a space
MODIFIERS = {  # what R4 says changes the meaning of the rest, of what we tell; of other types their status
    "Patient": {"active", "deceasedDateTime", "link"},
    "MedicationRequest": {"status", "intent"},
    "ServiceRequest": {"status", "intent"},
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
each_resource = pytest.mark.parametrize(("resource", "known"), RESOURCES)


def sentinels(known: Values) -> list[list[str | None]]:
    """Return rows with all columns (in their several values), without what may be absent, and without each in turn."""
    turns = [known.row(pick) for pick in range(8)]
    return [*turns, known.row(0, -1), *(known.row(place, 1 << place) for place in range(len(known.columns)))]


def faults_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what R4 has against it, but for what is between columns that no query brings together."""
    found = [dict(one) for one in checks.issues(told)]
    return [one for one in found if not str(one.get("diagnostics")).startswith(BETWEEN_COLUMNS)]


@each_resource
def test_sentinel_rows_are_sound_and_the_line_says_what_the_dict_says(resource: Resource, known: Values) -> None:
    for row in sentinels(known):
        assert faults_of(agreed(resource, row)) == []


@each_resource
def test_hostile_text_changes_nothing_but_itself(resource: Resource, known: Values) -> None:
    for turn, text in enumerate((*HOSTILE, BLANK, CONTROLS)):
        assert faults_of(agreed(resource, known.row(turn, 0, text))) == []


@each_resource
def test_any_row_is_written_as_the_dict_says(resource: Resource, known: Values) -> None:
    @settings(max_examples=12, deadline=None, database=None, derandomize=True)
    @given(pick=st.integers(0, 50), absent=st.integers(0, 2 ** len(known.columns) - 1), text=TEXT)
    def check(pick: int, absent: int, text: str) -> None:
        assert faults_of(agreed(resource, known.row(pick, absent, text))) == []

    check()


@each_resource
def test_fhir_resources_gives_back_what_it_was_given(resource: Resource, known: Values) -> None:
    for row in (known.row(), known.row(1)):
        told = resource.as_dict(row, GIVEN)
        model = get_fhir_model_class(resource.type).model_validate(told)
        assert plain(model.model_dump()) == plain(told)


@each_resource
def test_every_code_is_in_the_required_value_set(resource: Resource, known: Values) -> None:
    wrong = [
        (place.path, code)
        for place in places(resource.tree, get_fhir_model_class(resource.type), resource.type)
        if place.codes
        for code in literals(place)
        if code not in place.codes
    ]
    assert wrong == []


@each_resource
def test_what_is_written_without_escaping_is_known_to_be_no_text_of_anybody(resource: Resource, known: Values) -> None:
    model = get_fhir_model_class(resource.type)
    found = {name for place in places(resource.tree, model, resource.type) for name in unescaped(place)}
    assert found <= UNESCAPED.get(resource.type, {}).keys()


@each_resource
def test_a_cut_resource_keeps_what_changes_the_meaning_of_the_rest(resource: Resource, known: Values) -> None:
    modifiers = MODIFIERS.get(resource.type, {"status"}) & set(resource.tree)
    assert modifiers <= set(resource.only(frozenset()).tree)


@each_resource
def test_a_cut_resource_is_still_sound(resource: Resource, known: Values) -> None:
    cut = resource.only(frozenset())
    assert set(cut.tree) >= {"resourceType", "id", "meta"}
    for pick in range(2):
        told = agreed(cut, [dict(zip(resource.columns, known.row(pick), strict=True))[name] for name in cut.columns])
        assert faults(told) == []  # rules between elements do not hold for a part of them
        assert told["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.parametrize(
    "tree",
    [
        {"x": If("a", None)},
        {"x": If("a", Unless("a", "never"))},
        {"x": If("a", {"y": If("a", None)}), "z": Text("b")},
        {"x": [If("a", None)], "z": Unless("b", "absent")},
    ],
)
def test_what_is_never_there_leaves_no_name_behind(tree: Tree) -> None:
    for row in (dict.fromkeys("ab", text) for text in ("A", None, BLANK, CONTROLS, "é", "!")):
        told = {name: member for name, member in {"z": build(tree, row, {})}.items() if member is not ABSENT}
        line = compiled({"z": tree}, ("a", "b"), (), {})(tuple(row.values()))
        assert json.loads(line or "{}") == told


def test_a_doctor_without_a_family_name_is_of_no_profile_that_wants_one() -> None:
    known = values(PRACTITIONER)
    named = dict(zip(known.columns, known.row(), strict=True))
    for family, profiles in (("Ng", [f"{US_CORE}practitioner"]), ("\x01", None), (None, None)):
        told = PRACTITIONER.as_dict([*{**named, "family": family}.values()], GIVEN)
        assert told["meta"].get("profile") == profiles


def test_a_text_of_white_space_alone_is_absent_with_all_that_stands_for_it() -> None:
    tree = {"id": Safe("id"), "x": If("a", {"system": "phone", "value": Text("a")}), "none": Unless("a", True)}
    for always in ((), ("id", "a")):
        line = compiled(tree, ("id", "a"), always, {})
        for blank in (BLANK, CONTROLS, "\uffff"):
            built = build(tree, {"id": "1", "a": blank}, {})
            assert json.loads(line(("1", blank))) == built == {"id": "1", "none": True}


def plain(value: Any) -> Any:
    """Return a value as both sides can say it: numbers as floats, moments as moments."""
    match value:
        case dict():
            return {name: plain(member) for name, member in value.items()}
        case list() | tuple():
            return [plain(member) for member in value]
        case Decimal():
            return float(value)
        case str() if len(value) > 18 and value[4] == value[7] == "-" and value[10] == "T":
            return datetime.fromisoformat(value)
        case _ if hasattr(value, "isoformat") and not isinstance(value, datetime):
            return value.isoformat()
    return value
