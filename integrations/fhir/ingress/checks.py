"""Says all that is wrong with a resource: shape, codes, references, invariants; fhir.resources sees a third of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.resource import Resource
from pydantic import BaseModel

from integrations.fhir.checking import faults
from integrations.fhir.ingress.as_text import elements_as_text
from integrations.fhir.ingress.element import Steps, expression
from integrations.fhir.ingress.invariants import RULES
from integrations.fhir.outcomes import Issue, issue

DEEPEST = 60  # steps from the root, places in lists among them
LARGEST = 20_000  # values in one resource, those within others counted too
MOST = 100  # issues in one answer
ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
REFERENCE = re.compile(
    r"(https?://[^\s]+/)?[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}(/_history/[A-Za-z0-9.\-]{1,64})?"
    r"|#[A-Za-z0-9.\-]{0,64}|urn:uuid:[0-9a-f-]{36}|urn:oid:[0-2](\.[0-9]+)+|https?://[^\s]+"
)
UNKNOWN = "R4 knows no such element here."
MISSHAPEN = MappingProxyType({
    "missing": ("required", "This element is required."),
    "extra_forbidden": ("structure", UNKNOWN),
})  # fmt: skip
ENCOUNTER_STATUSES = frozenset({
    "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error", "unknown",
})  # fmt: skip
# Where the library knows a part of the value set only, or nothing of it.
CODES: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType({
    ("Observation", "status"): frozenset({
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
    }),
    ("DiagnosticReport", "status"): frozenset({
        "registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled",
        "entered-in-error", "unknown",
    }),
    ("Encounter", "status"): ENCOUNTER_STATUSES,
    ("EncounterStatusHistory", "status"): ENCOUNTER_STATUSES,
    ("AuditEvent", "action"): frozenset("CRUDE"),
    ("AuditEvent", "outcome"): frozenset({"0", "4", "8", "12"}),
    ("AuditEventAgentNetwork", "type"): frozenset("12345"),
    ("Quantity", "comparator"): frozenset({"<", "<=", ">=", ">"}),
})  # fmt: skip


def issues(resource: dict[str, Any]) -> list[Issue]:
    """Return all that is wrong, naming elements and quoting no value; none when the resource is a right one of R4.

    Profiles, extensible code sets and rules between resources are not checked.
    """
    model = _model(resource.get("resourceType"))
    if model is None:
        return [issue("structure", "R4 knows no such resource type.", at=["resourceType"])]
    steps = (str(resource["resourceType"]),)
    if _is_outsized(resource):
        return [issue("too-costly", "This holds more values than are checked at once.", at=[expression(steps)])]
    found = list(islice(_bare(resource, steps, _contained(resource)), MOST))
    if len(found) == MOST or any(one["code"] == "too-costly" for one in found):
        return found
    as_text = list(islice(elements_as_text(model, resource, steps, _model), MOST))
    if as_text or any(one["diagnostics"] == UNKNOWN for one in found):  # the library would take a name of its own
        return [*as_text, *found][:MOST]
    shape = faults(resource)
    if shape:
        return [*(_misshapen(path, kind, steps) for path, kind in shape), *found][:MOST]
    return [*found, *islice(_ruled(model.model_validate(resource), resource, steps), MOST)][:MOST]


def _is_outsized(resource: dict[str, Any]) -> bool:
    """Return whether there are more values than LARGEST: the library takes a millisecond for some forty of them."""
    ahead: list[Any] = [resource]
    seen = 0
    while ahead and seen <= LARGEST:
        one = ahead.pop()
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        seen += len(inner)
        ahead.extend(inner if seen <= LARGEST else ())
    return seen > LARGEST


def _model(name: Any) -> type[Resource] | None:
    try:
        model = get_fhir_model_class(name) if isinstance(name, str) and name.isalpha() else None
    except (LookupError, ValueError):
        return None
    return model if model is not None and issubclass(model, Resource) else None


def _misshapen(path: str, kind: str, steps: Steps) -> Issue:
    code, sentence = MISSHAPEN.get(kind, ("value", "This is not of the form that R4 asks for."))
    inner = [int(step) if step.isdigit() else step for step in path.split(".") if step]
    return issue(code, sentence, at=[expression((*steps, *inner))])


def _contained(resource: dict[str, Any]) -> frozenset[str]:
    inner = resource.get("contained")
    return (
        frozenset(str(one.get("id")) for one in inner if isinstance(one, dict)) if isinstance(inner, list) else ID_LESS
    )


ID_LESS: frozenset[str] = frozenset()


def _bare(value: Any, steps: Steps, contained: frozenset[str]) -> Iterator[Issue]:
    """Find what is wrong with JSON as FHIR whatever the type: empty values, ids and references of no form."""
    if len(steps) > DEEPEST:
        yield issue("too-costly", "This is nested too deeply.", at=[expression(steps[:4])])
        return
    if (isinstance(value, str) and not value.strip()) or value in ([], {}):
        yield issue("value", "An element is not empty.", at=[expression(steps)])
    if isinstance(value, str) and CONTROLS.search(value):
        yield issue("value", "Text has no control characters but tabs and line ends.", at=[expression(steps)])
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from _bare(one, (*steps, place), contained) if one is not None else ()
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _of_whole(value, name, (*steps, name))
            yield from _member(name, one, (*steps, name), contained)


def _of_whole(whole: dict[str, Any], name: str, steps: Steps) -> Iterator[Issue]:
    """Find names that only the library takes, gaps in lists that nothing fills, and ids of no form."""
    value = whole[name]
    if "_" in name[1:]:
        yield issue("structure", UNKNOWN, at=[expression(steps)])
    if isinstance(value, list) and None in value:
        beside = whole.get(name[1:] if name.startswith("_") else f"_{name}")
        filled = [one is not None for one in beside] if isinstance(beside, list) else []
        if not all(one is not None or filled[place : place + 1] == [True] for place, one in enumerate(value)):
            yield issue(
                "structure", "A gap in a list is filled by what is said about the value.", at=[expression(steps)]
            )
    if name == "id" and isinstance(value, str) and value.strip():
        if "resourceType" in whole and not ID.fullmatch(value):
            yield issue("value", "An id has 1 to 64 letters, digits, dots and hyphens.", at=[expression(steps)])
        elif re.search(r"\s", value):
            yield issue("value", "An id has no spaces.", at=[expression(steps)])


def _member(name: str, value: Any, steps: Steps, contained: frozenset[str]) -> Iterator[Issue]:
    if value is None:
        yield issue("structure", "An element that says nothing is left out.", at=[expression(steps)])
    elif name.startswith("_") and not all(one is None or isinstance(one, dict) for one in _several(value)):
        yield issue("structure", "What is said about a value is an object.", at=[expression(steps)])
    elif name == "reference" and isinstance(value, str) and value.strip():
        if not REFERENCE.fullmatch(value):
            yield issue("value", "This is no reference: Type/id or a URL.", at=[expression(steps)])
        elif value.startswith("#") and value[1:] and value[1:] not in contained:
            yield issue("not-found", "Nothing of this name is contained.", at=[expression(steps)])
    yield from _bare(value, steps, contained)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _ruled(model: BaseModel, said: Any, steps: Steps) -> Iterator[Issue]:
    """Find codes outside their value sets and broken invariants, in this element and those within."""
    kind = type(model).__name__
    for rule in RULES.get(kind, ()):
        if not rule.holds(said):
            yield issue("invariant", f"{rule.key}: {rule.sentence}", at=[expression(steps)])
    for field, about in type(model).model_fields.items():
        name = about.alias or field
        if name in said and (value := getattr(model, field)) is not None:
            allowed = CODES.get((kind, name)) or _listed(about.json_schema_extra)
            yield from _values(value, said[name], (*steps, name), allowed)


def _values(value: Any, said: Any, steps: Steps, allowed: frozenset[str]) -> Iterator[Issue]:
    several: list[tuple[Steps, Any, Any]] = [(steps, value, said)]
    if isinstance(value, list):
        several = [((*steps, place), *pair) for place, pair in enumerate(zip(value, said, strict=True))]
    for where, one, told in several:
        if isinstance(one, BaseModel):
            yield from _ruled(one, told, where)
        elif one is not None and not _is_told_so(one, told):
            yield issue("value", "This is not of the form that R4 asks for.", at=[expression(where)])
        elif allowed and isinstance(one, str) and one not in allowed:
            yield issue("code-invalid", "R4 knows no such code here.", at=[expression(where)])


def _is_told_so(value: Any, said: Any) -> bool:
    """Return whether JSON says a value in its one form; the library takes a number for a date and "7" for a number."""
    if isinstance(value, bool):
        return isinstance(said, bool)
    if isinstance(value, int | float | Decimal):
        return isinstance(said, int | float | Decimal) and not isinstance(said, bool)
    return isinstance(said, str)


def _listed(about: Any) -> frozenset[str]:
    codes = about.get("enum_values") if isinstance(about, dict) else None
    return frozenset(codes) if codes and "+" not in codes else frozenset()
