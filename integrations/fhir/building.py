"""Builds a resource as a dict, for fhir.resources to judge and for tests to compare the fast line with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from integrations.fhir.holes import (
    Derived,
    Each,
    Flag,
    Given,
    If,
    Join,
    Narrative,
    Number,
    Safe,
    Switch,
    Text,
    Tree,
    Unless,
    is_blank,
)
from integrations.fhir.values import fit, narrative

ABSENT = object()
Row = Mapping[str, str | None]


def build(tree: Tree, row: Row, given: Mapping[str, str]) -> Any:  # noqa: PLR0911  # one answer for each part
    """Return the tree with the row's values, or ABSENT. Numbers are Decimal, so that their digits stay."""
    match tree:
        case dict():
            return _members(tree, row, given)
        case list():
            return _elements(tree, row, given)
        case If(column, inner):
            return ABSENT if is_blank(row[column]) else build(inner, row, given)
        case Unless(column, inner):
            return build(inner, row, given) if is_blank(row[column]) else ABSENT
        case Join(parts):
            return _joined(parts, row, given)
        case Derived(columns, derive, names, inner):
            texts = derive(*(row[column] for column in columns))
            return build(inner, dict(zip(names, texts, strict=True)), given)
        case Given(name):
            return given[name]
        case Narrative(column):
            return narrative(text) if (text := row[column]) and not is_blank(text) else ABSENT
        case Text(column) | Safe(column) | Number(column) | Flag(column) | Switch(column) | Each(column):
            return ABSENT if (value := row[column]) is None else _filled(tree, value, given)
    return ABSENT if tree is None else tree


def _filled(hole: Tree, value: str, given: Mapping[str, str]) -> Any:
    match hole:
        case Text():
            return ABSENT if is_blank(value) else fit(value)
        case Number():
            return Decimal(value)
        case Flag():
            return value == "true"
        case Switch(_, trees, default):
            return build(trees.get(value, default), {}, given)
        case Each(_, columns, inner):
            rows = (dict(zip(columns, values, strict=True)) for values in json.loads(value))
            return _present([build(inner, row, given) for row in rows])
    return value


def _members(tree: dict[str, Tree], row: Row, given: Mapping[str, str]) -> Any:
    built = {name: build(member, row, given) for name, member in tree.items()}
    return {name: member for name, member in built.items() if member is not ABSENT} or ABSENT


def _elements(tree: list[Tree], row: Row, given: Mapping[str, str]) -> Any:
    found: list[Any] = []
    for member in tree:
        built = build(member, row, given)
        found += built if isinstance(member, Each) and built is not ABSENT else [built]
    return _present(found)


def _present(members: list[Any]) -> Any:
    return [member for member in members if member is not ABSENT] or ABSENT


def _joined(parts: tuple[str | Safe | Given, ...], row: Row, given: Mapping[str, str]) -> Any:
    texts = [part if isinstance(part, str) else build(part, row, given) for part in parts]
    return ABSENT if ABSENT in texts else "".join(texts)
