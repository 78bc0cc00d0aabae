"""From search parameters to the rows they name; searches and the type filters of exports ask here alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from backend.apps.interop.fhir.outcomes import BadSearch, Forbidden
from backend.apps.interop.fhir.search.kinds import Changed, Date, Id, Match, Param, ToldDate
from backend.apps.interop.fhir.search.parameters import PARAMETERS
from backend.apps.interop.fhir.search.references import Pointer, Refers, Shown
from backend.apps.interop.fhir.search.values import split, within_bounds
from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources import SOURCES

COMMON: Mapping[str, Param] = {"_id": Id(), "_lastUpdated": Changed()}
NAMING = frozenset({"_id", "active", "status"})  # who asks by these is shown what is no longer in use as well
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Found:
    """Rows of the source's model, and what must hold of the resources in them (SQL, see `source.rows_among`)."""

    rows: QuerySet[Any]
    also: str = "TRUE"
    values: tuple[Any, ...] = ()


def parameters(source: Source) -> Mapping[str, Param]:
    return {**COMMON, **PARAMETERS.get(source.name, {})}


@lru_cache(maxsize=256)
def of_type(resource_type: str) -> Mapping[str, Param]:
    """Return the parameters that one of the type's sources has."""
    return {name: param for source in SOURCES[resource_type] for name, param in parameters(source).items()}


@lru_cache(maxsize=1024)
def pointers(resource_type: str, name: str) -> tuple[Pointer, ...]:
    """Return the references of this name that the type's sources have and whose targets can be brought along."""
    found = (parameters(source).get(name) for source in SOURCES.get(resource_type, ()))
    return tuple(param for param in found if isinstance(param, Pointer) and param.element)


def known(resource_type: str, name: str) -> bool:
    return name.partition(":")[0] in of_type(resource_type)


@lru_cache(maxsize=512)
def as_seen(source: Source, role: str) -> Source:
    """Return the source with the columns that a role sees, so that nobody learns by a search what a read hides."""
    if role not in source.seen_as:
        return source
    columns = {**source.columns, **source.seen_as[role]}
    return replace(source, columns=columns, changed=source.changed_as.get(role, source.changed))


def find(source: Source, params: Params, user: Any = None) -> Found | None:
    """Return what the parameters (all of them must hold) name; None where they can name nothing here.

    user: who must be allowed to see it; None for all rows.

    Raises:
        BadSearch: a parameter that no source of this type has, a modifier or a value that cannot be used.
        Forbidden: a parameter of what the user's role does not see.
    """
    rows = source.model._base_manager.all() if user is None else source.visible(user)
    also: list[str] = []
    values: list[Any] = []
    for name, value in params:
        match = _match(source, name, value, user)
        if match is None:
            return None
        if match.rows:
            rows = rows.filter(match.rows)
        if match.sql:
            also.append(match.sql)
            values += match.values
    if source.listed and not {name.partition(":")[0] for name, _ in params} & NAMING:
        also.append(source.listed)
    return Found(rows, " AND ".join(also) or "TRUE", tuple(values))


def filtered(source: Source, params: Params, user: Any = None) -> QuerySet[Any] | None:
    """Return the rows that have a resource which the parameters name; see `find`."""
    within_bounds(params)
    found = find(source, params, user)
    if found is None or found.also == "TRUE":
        return None if found is None else found.rows
    sql = f"SELECT t.id FROM {source.tables} WHERE {source.live} AND {found.also}"  # noqa: S608  # our own names only
    return found.rows.filter(pk__in=RawSQL(sql, found.values))  # noqa: S611  # nosec B611  # our own names only


def _match(source: Source, name: str, value: str, user: Any) -> Match | None:
    plain, _, modifier = name.partition(":")
    param = parameters(source).get(plain)
    if param is None:
        _refuse_unknown(source.type, name)
        return None
    _may_see(source, plain, param, user)
    if modifier == "missing":
        role = getattr(user, "role", "")
        return _missing(param, as_seen(source, role), plain, value, role)
    if modifier and modifier not in param.modifiers and not isinstance(param, Pointer):
        raise BadSearch(f"{plain}: this modifier is not supported.", code="not-supported")
    values = split(value)
    if not values:
        raise BadSearch(f"{plain}: there is no value.")
    return param.match(as_seen(source, getattr(user, "role", "")), plain, values, modifier)


def _refuse_unknown(resource_type: str, name: str) -> None:
    if "." in name or name.startswith("_has"):
        raise BadSearch("Searches over other resources (chains, _has) are not supported.", code="not-supported")
    if not known(resource_type, name):
        raise BadSearch(cannot_be_searched(resource_type), code="not-supported")


def cannot_be_searched(resource_type: str) -> str:
    """Return a sentence that tells what it can be searched by; it repeats no name that was sent."""
    known = ", ".join(of_type(resource_type))
    return f"{resource_type} cannot be searched by one of the parameters. It can by {known}."


def _may_see(source: Source, name: str, param: Param, user: Any) -> None:
    seen = source.seen_by.get(getattr(user, "role", ""))
    needed = {param.sees, getattr(param, "column", ""), *getattr(param, "columns", ())} - {""}
    if seen is not None and not needed <= seen:
        raise Forbidden(f"Your role does not see what {name} searches by.")


def _missing(param: Param, source: Source, name: str, value: str, role: str) -> Match:
    told, path = _told_by(param), _path(param)
    if value not in {"true", "false"} or not (told or path):
        raise BadSearch(f"{name}: this modifier is not supported.", code="not-supported")
    if not told:
        absent = Q(**{f"{path}__isnull": True})
        return Match(absent if value == "true" else ~absent)
    seen = source.seen_by.get(role)
    columns = [source.columns[one] for one in told if seen is None or one in seen]  # the others it never tells
    sql = " AND ".join(f"({column}) IS NULL" for column in columns) or "TRUE"
    return Match(sql=f"{'' if value == 'true' else 'NOT '}({sql})")


def _told_by(param: Param) -> tuple[str, ...]:
    """Return the columns by which the resource tells it, where that is asked and not the row."""
    if param.told or not isinstance(param, Shown | Refers | ToldDate | Date):
        return param.told
    return () if isinstance(param, Date) and isinstance(param.path, str) else tuple(filter(None, (param.column,)))


def _path(param: Param) -> str:
    paths = getattr(param, "paths", None)
    path = next(iter(paths.values()), None) if isinstance(paths, Mapping) else getattr(param, "path", None)
    return path if isinstance(path, str) else ""
