"""Says what may stand in the columns of any FHIR resource, by the elements they fill; else each had its own tests."""

from __future__ import annotations

import importlib
import json
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from integrations.fhir import resources
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
)
from integrations.fhir.resource import Resource
from integrations.fhir.values import folded

GIVEN = {"base": "https://clinic.example.org/fhir/R4", "mrn_system": "urn:oid:2.16.840.1.113883.19.5"}
HOSTILE = (
    "Øystein O'Neil-Łuczak",
    'quote " backslash \\ and \\n',
    "line\nfeed\ttab\rreturn",
    "U+2028 \u2028 U+2029 \u2029 NBSP \u00a0 end",
    "astral 🩺 \U0001f9ec",
    "controls \x00 \x01 \x0b \x1f \x7f \x85 end",
    "{braces} {{doubled}} {v1} '''fences''' \"\"\"",
    "%s %(name)s $1 </script><b>&amp;",
)
SAMPLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Observation": {
        "ucum": ("mg/dL", "mmol/L"),
        "value": ("4.1000000000", "100.0000000000", "-3.0000000000", "5"),
        "sent": ("4.10", "1e2", "-3", "5.000", "about 7"),
        "comparator": ("<", "<=", ">", ">="),
        "range": ("3.5-5.1", "3.50 - 5.10 mg/dL", "< 200", ">=40", "5-3", "negative", "0.5 to 1"),
        "codes": (
            "2823-3\x1floinc\x1fPotassium\x1f2823-3\x1fK\x1fLN\x1fKALI\x1fKalium\x1fL\x1f0-1",
            "\x1f\x1f\x1fKALI\x1f\x1f\x1f\x1f\x1f\x1f",
        ),
    },
    "Patient": {"races": ('["2106-3"]', '["2028-9", "2106-3"]', '["UNK"]'), "birth_sex": ("F", "M", "UNK")},
    "Specimen": {"type_system": ("HL70487", "SCT", "L")},
}
"""Resource type: column: values, where those of the element will not do; sub-columns of `Each` by their names."""


def as_code(text: str) -> str:
    """Return a text as a code of somebody else's system comes: with any character in it, but R4's white space."""
    return folded(text) or text


def as_procedure(text: str) -> str:
    """Return a text as the code of a claim's line: it is never blank."""
    return folded(text) or "99213"


TAKEN: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    **dict.fromkeys(("Claim", "ExplanationOfBenefit"), dict.fromkeys(("cpt", "hcpcs"), as_procedure)),
    "Observation": {"codes": lambda text: "\x1f".join([*[text] * 9, "0-1"])},
}
"""Resource type: column: how it holds a text that somebody wrote, where that is not the text itself."""

DECIDED: Mapping[str, frozenset[str]] = {
    "DiagnosticReport": frozenset({"feed"}),
    "Observation": frozenset({"value"}),
    "Patient": frozenset({"races"}),
    "ServiceRequest": frozenset({"feed"}),
    "Specimen": frozenset({"type_system"}),
}
"""Resource type: columns that a `Derived` reads and that hold no text of anybody's: ids, numbers, names of codes."""

UNESCAPED: Mapping[str, Mapping[str, str]] = {
    "AuditEvent": {"actor": "a UUID", "entity": "a type and a UUID, put together by the query"},
    "Claim": {"number": "a number of our own"},
    "DiagnosticReport": {"loinc": "LOINC_CODE", "snomed": "SNOMED_CODE", "of": "a UUID"},
    "DocumentReference": {"kind": "one of a few media types of the query", "binary": "a UUID"},
    "ExplanationOfBenefit": {"number": "a number of our own"},
    "Medication": {"ndc": "a CHECK: digits and hyphens"},
    "MedicationRequest": {"number": "a number of our own"},
    "Observation": {
        "loinc": "LOINC_CODE",
        "snomed": "SNOMED_CODE",
        "of": "a UUID",
        "ucum": "KNOWN_UNITS",
        "limit_ucum": "KNOWN_UNITS",
    },
    "Patient": {
        "birth_sex": "a CHECK: three codes",
        "country": "a CHECK: two letters",
        "mrn": "a CHECK: letters, digits and . _ / -",
    },
    "Practitioner": {"npi": "a CHECK: ten digits"},
    "PractitionerRole": {"code": "NUCC's form, by the query"},
    "Provenance": {"target": "a type and an id, put together by the query"},
    "ServiceRequest": {
        "diagnosis": "a CHECK: ICD-10-CM's form",
        "loinc": "LOINC_CODE",
        "snomed": "SNOMED_CODE",
        "of": "a UUID",
    },
}
"""Resource type: column that is written as it stands where any text might: what keeps it from being any text."""

PROCEDURES = [[["cpt"], ["hcpcs"]]]
CHOICES: Mapping[str, Sequence[Sequence[Sequence[str]]]] = {
    "Claim": PROCEDURES,
    "ExplanationOfBenefit": PROCEDURES,
    "Observation": [[["value", "sent", "comparator"], ["coded_value"], ["text_value"], ["absent"]]],
}
"""Resource type: choices: alternatives: columns. A row has the columns of one alternative of each choice only."""

CHOSEN: Mapping[str, frozenset[str]] = dict.fromkeys(("Claim", "ExplanationOfBenefit"), frozenset({"cpt", "hcpcs"}))
"""Resource type: columns that are never NULL where they are chosen."""

MORE: Mapping[str, Sequence[str]] = {
    "Observation.status": ("corrected", "cancelled", "entered-in-error", "unknown"),
    "DiagnosticReport.status": ("amended", "corrected", "appended", "cancelled", "entered-in-error", "unknown"),
    "Encounter.status": ("entered-in-error", "unknown"),
    "AuditEvent.action": ("C", "R", "U", "D", "E"),
    "AuditEvent.outcome": ("0", "4", "8", "12"),
    "Quantity.comparator": ("<", "<=", ">=", ">"),
}
"""Codes of R4's required value sets that fhir.resources leaves out after a plus sign, or of which it has none."""

KINDS: Mapping[str, Sequence[str]] = {
    "Date": ("2026-02-28", "1931-12-01"),
    "DateTime": ("2026-02-28T09:30:00.123Z", "2024-02-29"),
    "Instant": ("2026-02-28T09:30:00.123Z", "2026-10-25T00:00:00.000Z"),
    "Time": ("09:30:00",),
    "Id": ("01980a5e-7f1b-7c2d-8e3f-000000000001", "a" * 64),
    "Code": ("abc", "X-1.2"),
    "Uri": ("urn:ietf:rfc:3986",),
    "Url": ("https://clinic.example.org/x",),
    "Canonical": ("http://hl7.org/fhir/x",),
    "Oid": ("urn:oid:1.2.3",),
    "Decimal": ("1.50", "100.00", "0.000001", "-3", "12345678901234567.89"),
    "Integer": ("3", "-1"),
    "PositiveInt": ("1", "30"),
    "UnsignedInt": ("0", "11"),
    "Base64Binary": ("aGVsbG8=",),
    "bool": ("true", "false"),
    "Xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">a &amp; b</div>',),
}
UUIDS = ("01980a5e-7f1b-7c2d-8e3f-000000000001", "01980a5e-7f1b-7c2d-8e3f-000000000002")
FREE = {"String", "Markdown"}
OPEN = {*FREE, "Code", "Uri", "Url", "Canonical", "Xhtml"}
HOLES = Text | Safe | Narrative | Number | Flag | Join | Given | If | Unless | Switch | Each | Derived


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a tree at an element: `kind` is the name of a primitive type, "" where the element is complex.

    codes: what R4 lets stand there, where it is limited. nested: within an `Each`.
    """

    path: str
    part: Tree
    kind: str
    codes: tuple[str, ...]


def every_resource() -> list[Resource]:
    """Return every resource that a module of `integrations.fhir.resources` holds, by its own name."""
    found: dict[int, Resource] = {}
    for module in pkgutil.iter_modules(resources.__path__):
        held = vars(importlib.import_module(f"{resources.__name__}.{module.name}")).values()
        found |= {id(one): one for one in held if isinstance(one, Resource)}
    return list(found.values())


def places(tree: Tree, model: Any, path: str) -> Iterator[Place]:
    """Return every hole, condition and literal of a tree that stands for an element of `model`, and what R4 says of it.

    Raises:
        LookupError: a member that the R4 model does not know.
    """
    kind, codes = _kind(model)
    match tree:
        case If(_, inner) | Unless(_, inner):
            yield Place(path, tree, "", ())
            yield from places(inner, model, path)
        case Switch(_, trees, default):
            yield Place(path, tree, kind, codes)
            for inner in (*trees.values(), default):
                yield from places(inner, model, path)
        case Each(_, _, inner):
            yield Place(path, tree, "", ())
            yield from places(inner, model, path)
        case Derived(_, _, _, inner):
            yield Place(path, tree, "String", ())
            yield from places(inner, model, path)
        case list():
            for inner in tree:
                yield from places(inner, model, path)
        case dict():
            for name, inner in tree.items():
                if name != "resourceType":
                    yield from places(inner, _element(model, name, path), f"{path}.{name}")
        case _ if tree is not None:
            yield Place(path, tree, kind, codes)


@dataclass(frozen=True, slots=True)
class Values:
    """What may stand in the columns of a row. `columns` in order; `of` without those of `Each`, which are in `rows`.

    free: columns that hold what somebody wrote, and how they hold a text.
    """

    columns: tuple[str, ...]
    of: dict[str, Sequence[str]]
    free: dict[str, Callable[[str], str]]
    always: frozenset[str]
    rows: dict[str, Values]
    choices: Sequence[Sequence[Sequence[str]]] = ()

    def row(self, pick: int = 0, absent: int = 0, text: str | None = None) -> list[str | None]:
        """Return a row: `pick` turns to other values, bit n of `absent` drops column n, `text` is each free text."""
        out = {name for some in self.choices for n, one in enumerate(some) if n != pick % len(some) for name in one}
        out |= {name for place, name in enumerate(self.columns) if absent >> place & 1 and name not in self.always}
        return [
            None if name in out else self._value(name, pick + place, absent, text)
            for place, name in enumerate(self.columns)
        ]

    def _value(self, name: str, pick: int, absent: int, text: str | None) -> str:
        if (inner := self.rows.get(name)) is not None:
            return json.dumps([inner.row(pick + n, absent >> n, text) for n in range(1 + pick % 3)])
        if (take := self.free.get(name)) is not None and text is not None:
            return take(text)
        found = self.of[name]
        return found[pick % len(found)]


def values(resource: Resource) -> Values:
    """Return what may stand in the columns of a resource."""
    found = list(places(resource.tree, get_fhir_model_class(resource.type), resource.type))
    return _values(resource, found, resource.columns, resource.always | {"id", "version", "updated"})


def _values(resource: Resource, found: list[Place], columns: Sequence[str], always: frozenset[str]) -> Values:
    eaches = {place.part.column: place.part for place in found if isinstance(place.part, Each)}
    samples = SAMPLES.get(resource.type, {})
    told = {name: samples.get(name) or _told(name, found) for name in columns if name not in eaches}
    return Values(
        columns=tuple(columns),
        of={name: some or HOSTILE for name, some in told.items()},
        free={name: take for name in told if (take := _taken(resource.type, name, found)) is not None},
        always=always | CHOSEN.get(resource.type, frozenset()),
        rows={
            name: _values(resource, found, each.columns, each.always)
            for name, each in eaches.items()
            if name in columns
        },
        choices=CHOICES.get(resource.type, ()),
    )


def _taken(resource_type: str, column: str, found: list[Place]) -> Callable[[str], str] | None:
    """Return how a column holds a text that somebody wrote; None where none gets there."""
    here = [place for place in found if column in _columns(place.part) and not isinstance(place.part, If | Unless)]
    if not here or column in DECIDED.get(resource_type, ()):
        return None
    if not all(isinstance(place.part, Text | Narrative | Derived) for place in here):
        return None
    coded = any(place.kind == "Code" for place in here)
    return TAKEN.get(resource_type, {}).get(column) or (as_code if coded else str)


def _told(column: str, found: list[Place]) -> Sequence[str]:
    """Return values for a column by the strictest of its places; none where any text may stand there."""
    here = [place for place in found if column in _columns(place.part)]
    for place in here:
        if isinstance(place.part, Switch):
            return (*place.part.trees, *(("another",) if place.part.default is not None else ()))
    holes = [place for place in here if not isinstance(place.part, If | Unless)]
    if not holes:
        return ("told",)
    if any(isinstance(place.part, Join) for place in holes):
        return UUIDS
    if any(place.path.endswith(".reference") for place in holes):
        return tuple(f"Patient/{one}" for one in UUIDS)
    if any(place.path.endswith(".end") for place in holes):
        return ("2026-12-31T09:30:00.123Z",) if {place.kind for place in holes} == {"Instant"} else ("2026-12-31",)
    strict = [place.codes or KINDS[place.kind] for place in holes if not _free(place)]
    if strict:
        return strict[0]
    return ("A-1", "2026.1") if any(isinstance(place.part, Safe) for place in holes) else ()


def _free(place: Place) -> bool:
    return place.kind in FREE or isinstance(place.part, Narrative)


def _columns(part: Tree) -> tuple[str, ...]:
    match part:
        case (
            Narrative(column)
            | Text(column)
            | Safe(column)
            | Number(column)
            | Flag(column)
            | If(column)
            | Unless(column)
            | Switch(column)
        ):
            return (column,)
        case Derived(columns):
            return columns
        case Join(parts):
            return tuple(one.column for one in parts if isinstance(one, Safe))
    return ()


def unescaped(place: Place) -> tuple[str, ...]:
    """Return the columns that are written as they stand where R4 takes any text or code; ids of resources are known."""
    if place.codes or place.kind not in OPEN or not isinstance(place.part, Safe | Join):
        return ()
    if isinstance(place.part, Join) and place.path.endswith(".reference"):
        return ()
    return tuple(name for name in _columns(place.part) if name != "id")


def literals(place: Place) -> tuple[Any, ...]:
    """Return what a place says whatever the row; nothing where a column says it."""
    return () if isinstance(place.part, HOLES) else (place.part,)


def _element(model: Any, name: str, path: str) -> Any:
    """Return the field of a model as (its type without None and list, its codes)."""
    owner = model if hasattr(model, "model_fields") else _class(model[0])
    for field_name, field in owner.model_fields.items():
        if name in (field_name, field.alias):
            told = tuple((field.json_schema_extra or {}).get("enum_values") or ())
            more = MORE[f"{owner.__name__}.{name}"] if told[-1:] == ("+",) else MORE.get(f"{owner.__name__}.{name}", ())
            return _bare(field.annotation), (*(code for code in told if code != "+"), *more)
    raise LookupError(f"{path}: R4 has no {name}")


def _bare(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Annotated:
        return annotation
    inner = [one for one in typing.get_args(annotation) if one is not type(None)]
    return _bare(inner[0]) if inner else annotation


def _class(of: Any) -> Any:
    return get_fhir_model_class(of._model_klass.rpartition(".")[2])


def _kind(model: Any) -> tuple[str, tuple[str, ...]]:
    """Return the name of the primitive and the codes R4 allows there; "" for what is complex."""
    if not isinstance(model, tuple):
        return "", ()
    of, codes = model
    if typing.get_origin(of) is typing.Annotated:
        return type(of.__metadata__[0]).__name__, codes
    return ("bool", ()) if of is bool else ("", ())
