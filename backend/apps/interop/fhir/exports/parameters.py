"""Reads the parameters of a kick-off and says which it cannot honour; without it the workers would meet bad ones.

Source: Bulk Data Access 2.0.0 and 3.0.0, "Bulk Data Kick-off Request".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from backend.apps.interop.fhir.exports.asked import LATEST, RELEVANT, Asked, Parameters, fault_of
from backend.apps.interop.fhir.exports.selection import goes_with_members
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.search.asked import is_element
from backend.apps.interop.models import ExportLevel
from integrations.fhir.outcomes import Issue, issue

FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
ELEMENT = re.compile(r"(?:([A-Z][A-Za-z]*)\.)?([a-z][A-Za-z]*)")
NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]*\?)")  # a comma inside of a query belongs to its value
OFFSET = re.compile(r"(?<=[\d.])\+(?=\d\d:\d\d)")  # of a time stamp: a "+" and no space
TYPE = re.compile(r"[A-Za-z]{1,60}")
ASIDE = frozenset({"_format", "_pretty"})  # about the answer, and handled there
RESULTS = frozenset({
    "_include", "_revinclude", "_sort", "_count", "_summary", "_elements", "_total", "_contained", "_containedType",
    "_format", "_type", "_since",
})  # fmt: skip
GROUP, NOTHING_LEFT = "Group", "Nothing is left of the types that were asked for."
MOST_FILTERS, MOST_PATIENTS = 100, 10_000
Judge = Callable[[str, Parameters], str]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On which terms a kick-off is read.

    known: the types we have. granted: those the asker may have, None for all. posted: parameters came in a body.
    judge: returns what is wrong with a search of a type, "" when it can be made.
    """

    known: frozenset[str]
    granted: frozenset[str] | None
    level: ExportLevel
    posted: bool
    lenient: bool
    now: datetime
    judge: Judge


@dataclass
class Reading:
    """A kick-off while it is read: what was understood so far and what was not.

    `drop` is for what may be left out with Prefer: handling=lenient. What would then give away more than was asked
    for, or other data than was meant, is `refuse`d always.
    """

    terms: Terms
    asked: dict[str, Any] = field(default_factory=dict)
    dropped: list[Issue] = field(default_factory=list)
    refused: list[Issue] = field(default_factory=list)

    def drop(self, name: str, sentence: str, code: str = "not-supported") -> None:
        if self.terms.lenient:
            self.dropped.append(issue(code, f"{sentence} It was left out.", severity="warning", at=[name]))
        else:
            self.refuse(name, sentence, code)

    def refuse(self, name: str, sentence: str, code: str = "invalid") -> None:
        self.refused.append(issue(code, sentence, at=[name]))


def read(pairs: Iterable[tuple[str, str]], terms: Terms) -> tuple[Asked, list[Issue]]:
    """Return what was asked, and an issue for each parameter that was left out (with handling=lenient only).

    Raises:
        Refusal: with all issues, when something cannot be honoured.
    """
    told: dict[str, list[str]] = defaultdict(list)
    for name, value in pairs:
        if name not in ASIDE:
            told[name].append(value)
    reading = Reading(terms)
    for name in sorted(told, key=lambda name: name != "_type"):  # the others are judged by the types
        reader = READERS.get(name)
        if reader is None:
            reading.drop(_shown(name), "This parameter is not known here.")
        else:
            reader(reading, name, told[name])
    _without_groups(reading)
    _together(reading)
    if reading.refused:
        raise Refusal("The export cannot begin.", issues=reading.refused)
    return Asked(**reading.asked), reading.dropped


def pairs_of(body: Any) -> Parameters:
    """Return the parameters of a Parameters resource as (name, text).

    Raises:
        Refusal: it is none, or one of its parameters has no plain value.
    """
    parameters = body.get("parameter", []) if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or body.get("resourceType") != "Parameters" or not isinstance(parameters, list):
        raise Refusal("The body must be a Parameters resource.", at=["Parameters"])
    return [_pair(place, one) for place, one in enumerate(parameters)]


def _pair(place: int, one: Any) -> tuple[str, str]:
    at = f"Parameters.parameter[{place}]"
    values = [value for name, value in one.items() if name.startswith("value")] if isinstance(one, Mapping) else []
    if len(values) != 1 or not isinstance(one.get("name"), str):
        raise Refusal("Each parameter has a name and one value.", at=[at])
    value = values[0].get("reference") if isinstance(values[0], Mapping) else values[0]
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise Refusal("The value must be a text, a Boolean or a reference.", at=[at])
    return one["name"], value


def _listed(values: list[str]) -> list[str]:
    """Return the items of comma lists, each once: a repeated parameter is one list."""
    return list(dict.fromkeys(item.strip() for value in values for item in value.split(",") if item.strip()))


def _shown(name: str) -> str:
    return name if TYPE.fullmatch(name.lstrip("_")) else "a parameter"


def _one(reading: Reading, name: str, values: list[str]) -> str | None:
    if len(values) == 1:
        return values[0].strip()
    reading.refuse(name, "This may be given once.")
    return None


def _format(reading: Reading, name: str, values: list[str]) -> None:
    text = _one(reading, name, values)
    if text is not None and text.split(";")[0].strip().lower().replace(" ", "+") not in FORMATS:
        reading.refuse(name, "Files are written as application/fhir+ndjson only.", "not-supported")


def _instant(reading: Reading, name: str, values: list[str]) -> None:
    text = _one(reading, name, values)
    if text is None:
        return
    text = text.replace(" ", "+")  # a plus sign that was not escaped in a URL
    try:
        moment = datetime.fromisoformat(text) if INSTANT.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        reading.refuse(name, "This must be an instant such as 2026-01-31T08:00:00Z.")
    elif fault := fault_of(moment, now=reading.terms.now if name == "_since" else None):
        reading.refuse(name, fault)
    else:
        reading.asked[name.lstrip("_")] = moment


def _types(reading: Reading, name: str, values: list[str]) -> None:
    kept = []
    for one in _listed(values):
        shown = one if TYPE.fullmatch(one) else "A type"
        if one not in reading.terms.known:
            reading.drop(name, f"{shown} is not a resource type we export.")
        elif not _granted(reading, one):
            reading.drop(name, f"The access token does not cover {shown}.", "forbidden")
        else:
            kept.append(one)
    if kept:
        reading.asked["types"] = tuple(kept)
    elif not reading.refused:  # without types it would be an export of everything
        reading.refuse(name, NOTHING_LEFT)


def _without_groups(reading: Reading) -> None:
    """Take Group out of the types where it would name patients of whom nothing else is told."""
    types, patients = reading.asked.get("types", ()), reading.asked.get("patients", ())
    if GROUP not in types or goes_with_members(reading.terms.level, patients):
        return
    reading.drop(
        "_type", "A Group names all its members: it goes with an export of everything, or of that whole group."
    )
    reading.asked["types"] = tuple(name for name in types if name != GROUP)
    if not reading.asked["types"] and not reading.refused:
        reading.refuse("_type", NOTHING_LEFT)


def _granted(reading: Reading, resource_type: str) -> bool:
    return reading.terms.granted is None or resource_type in reading.terms.granted


def _filters(reading: Reading, name: str, values: list[str]) -> None:
    told = [one for value in values for one in NEXT_FILTER.split(value) if one.strip()]
    if len(told) > MOST_FILTERS:
        reading.refuse(name, f"There may be {MOST_FILTERS} filters at most.", "too-costly")
        return
    found = [_filter(reading, name, one) for one in told]
    kept = tuple(dict.fromkeys(each for each in found if each))
    reading.asked["type_filters"] = kept
    filtered = {one.strip().partition("?")[0] for one in told} & reading.terms.known
    whole = {one for one in filtered - {of for of, _ in kept} if _wanted(reading, one)}
    if whole and not reading.refused:  # without filters all of a type would go
        reading.refuse(name, f"Nothing is left of the filters of {', '.join(sorted(whole))}.")


def _wanted(reading: Reading, resource_type: str) -> bool:
    types = reading.asked.get("types")
    return not types or resource_type in types


def _filter(reading: Reading, name: str, text: str) -> tuple[str, str] | None:
    """Return (type, query), or None for a filter that was left out."""
    resource_type, _, query = text.strip().partition("?")
    params = parse_qsl(OFFSET.sub("%2B", query), keep_blank_values=True)
    wrong = _wrong(reading, resource_type, params)
    if wrong:
        reading.drop(name, wrong)
        return None
    return resource_type, urlencode(params)


def _wrong(reading: Reading, resource_type: str, params: Parameters) -> str:
    """Return why a filter cannot be used, "" when it can."""
    if resource_type not in reading.terms.known:
        return "A filter is for a resource type we do not export."
    if not _wanted(reading, resource_type):
        return f"{resource_type} is filtered but not among the types that are asked for."
    if any(key.split(":")[0] in RESULTS for key, _ in params):
        return f"A filter of {resource_type} has a parameter that is about the result."
    wrong = reading.terms.judge(resource_type, params) if params else "it has no parameters."
    return f"A filter of {resource_type} cannot be used: {wrong}" if wrong else ""


def _elements(reading: Reading, name: str, values: list[str]) -> None:
    kept = []
    for one in _listed(values):
        found = ELEMENT.fullmatch(one)
        if found is None:
            reading.drop(name, "An element is named as birthDate or Patient.birthDate: only root elements.", "invalid")
        elif found[1] and found[1] not in reading.terms.known:
            reading.drop(name, "An element is of a resource type we do not export.")
        elif not any(is_element(of, found[2]) for of in ([found[1]] if found[1] else reading.terms.known)):
            reading.drop(name, "An element is none that the resources we export have.")
        else:
            kept.append(one)
    reading.asked["elements"] = tuple(kept)
    if reading.refused:
        return
    if not kept:  # without elements it would be all of them
        reading.refuse(name, "Nothing is left of the elements that were asked for.")
    elif whole := _uncut(reading, set(map(_of, _listed(values))), set(map(_of, kept))):
        reading.refuse(name, f"Nothing is left of the elements of {', '.join(whole)}.")


def _of(element: str) -> str:
    """Return the type whose element it is, "" for one of all types; what it says beyond that may be wrong."""
    first = element.partition(".")[0]
    return first if first[:1].isupper() else ""


def _uncut(reading: Reading, told: set[str], kept: set[str]) -> list[str]:
    """Return the types of which elements were named, and none is left: they would go whole."""
    named = reading.terms.known if "" in told else told & reading.terms.known
    goes = (one for one in named if _wanted(reading, one) and _granted(reading, one))
    return sorted(one for one in goes if not {"", one} & kept)


def _patients(reading: Reading, name: str, values: list[str]) -> None:
    """Take references to patients; that they are there is the caller's to find out."""
    if reading.terms.level == ExportLevel.SYSTEM or not reading.terms.posted:
        reading.refuse(name, "Patients are named in a POST to Patient/$export or Group/[id]/$export.")
        return
    ids = [one.rpartition("Patient/")[2] for one in _listed(values)]
    if len(ids) > MOST_PATIENTS:
        reading.refuse(name, f"Name at most {MOST_PATIENTS:,} patients; else use a Group.", "too-costly")
    elif not ids or not all(map(_is_id, ids)):
        reading.refuse(name, "A patient is named as Patient/[id], and this one is not known.", "not-found")
    else:
        reading.asked["patients"] = tuple(dict.fromkeys(ids))


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _associated(reading: Reading, name: str, values: list[str]) -> None:
    kept = []
    for one in _listed(values):
        if one not in {LATEST, RELEVANT}:
            reading.drop(name, f"We know {LATEST} and {RELEVANT} only.")
        elif not _granted(reading, "Provenance"):
            reading.drop(name, "The access token does not cover Provenance.", "forbidden")
        else:
            kept.append(one)
    reading.asked["associated"] = tuple(kept)


def _organized(reading: Reading, name: str, values: list[str]) -> None:
    if _listed(values) == ["Patient"]:
        reading.asked["organize_by"] = "Patient"
    else:
        reading.drop(name, "Files are organized by Patient, or else by resource type.")


def _partial(reading: Reading, name: str, values: list[str]) -> None:
    text = _one(reading, name, values)
    if text in {"true", "false"}:
        reading.asked["allow_partial"] = text == "true"
    elif text is not None:
        reading.drop(name, "This is true or false.", "invalid")


def _together(reading: Reading) -> None:
    """Refuse what is right by itself but not beside the rest."""
    since, until = reading.asked.get("since"), reading.asked.get("until")
    if since and until and until <= since:
        reading.refuse("_until", "Nothing can have changed until then: _since is later.")


READERS: Mapping[str, Callable[[Reading, str, list[str]], None]] = {
    "_outputFormat": _format,
    "_since": _instant,
    "_until": _instant,
    "_type": _types,
    "_typeFilter": _filters,
    "_elements": _elements,
    "patient": _patients,
    "includeAssociatedData": _associated,
    "organizeOutputBy": _organized,
    "allowPartialManifests": _partial,
}
