"""The kinds of search parameters, each from its values to a condition; the tables of parameters are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.db.models import F, Lookup, Q, TextField
from django.db.models.expressions import Combinable
from django.db.models.lookups import GreaterThanOrEqual, IsNull, LessThan

from backend.apps.interop.fhir.search.values import Span, day_from, day_of, plain, span
from backend.apps.interop.fhir.source import Source

NOTHING = Q(pk__in=())
LOOKUPS = frozenset(TextField().get_lookups())


@dataclass(frozen=True, slots=True)
class Match:
    """What must hold: `rows` of the model, and `sql` (with the source's own tables, and `values`) of the resource."""

    rows: Q = field(default_factory=Q)
    sql: str = ""
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Param:
    """One search parameter of one source.

    private: its values may name a person, so that no link shows them. sees: the resource's column that a role must see
    to search by it. told: the resource's columns of which one is there where this is, for `:missing`, where no one path
    of the rows says it. `match` returns None where nothing can match.
    """

    private: bool = False
    sees: str = ""
    told: tuple[str, ...] = ()
    kind: ClassVar[str] = ""
    modifiers: ClassVar[frozenset[str]] = frozenset()

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        raise NotImplementedError


def any_of(conditions: Iterable[Q]) -> Q:
    """Return a Q that holds where one of them does; nothing where there is none.

    Those that differ in the value of their last lookup alone become one IN: of many alternatives no index is thought.
    """
    alike: dict[str, list[Q]] = {}
    for one in conditions:
        alike.setdefault(_alike(one), []).append(one)
    return reduce(or_, map(_one_of, alike.values()), NOTHING)


def _alike(condition: Q) -> str:
    """Return what is the same for all conditions that may become one."""
    last = condition.children[-1] if condition.children else None
    plain_and = condition.connector == Q.AND and not condition.negated
    if not (plain_and and isinstance(last, tuple)) or last[0].rpartition("__")[2] in LOOKUPS:
        return f"only {id(condition)}"
    return f"{condition.children[:-1]!r} {last[0]}"


def _one_of(alike: list[Q]) -> Q:
    if len(alike) == 1:
        return alike[0]
    lasts: list[Any] = [one.children[-1] for one in alike]
    return Q(*alike[0].children[:-1], (f"{lasts[0][0]}__in", [value for _, value in lasts]))


# Dates


@dataclass(frozen=True)
class Date(Param):
    """A moment or, with `day`, a day. end: where the element is a period, its end (NULL: it has not ended).

    column: the resource's column to sort by, "" where it cannot be.
    """

    path: str | Combinable
    day: bool = False
    end: str | Combinable = ""
    column: str = ""
    kind: ClassVar[str] = "date"

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        return Match(any_of(self._within(span(name, plain(value))) for value in values))

    def _within(self, wanted: Span) -> Q:
        """Return what holds of the rows; a day is compared as the stretch from its midnight to the next."""
        start, end = expression(self.path), expression(self.end or self.path)
        low, high = wanted.low, wanted.high
        match wanted.prefix:
            case "eq" | "ne":
                inside = Q(GreaterThanOrEqual(start, self._first(low))) & Q(LessThan(end, self._in(high)))
                return inside if wanted.prefix == "eq" else ~inside
            case "lt":
                return Q(LessThan(start, self._first(low)))
            case "le":
                return Q(LessThan(start, self._first(high)))
            case "gt":
                return Q(GreaterThanOrEqual(end, self._in(high))) | self._open()
            case "ge":
                return Q(GreaterThanOrEqual(end, self._in(low))) | self._open()
            case "sa":
                return Q(GreaterThanOrEqual(start, self._first(high)))
        return Q(LessThan(end, self._in(low)))

    def _in(self, moment: datetime) -> date | datetime:
        return day_of(moment) if self.day else moment

    def _first(self, moment: datetime) -> date | datetime:
        return day_from(moment) if self.day else moment

    def _open(self) -> Q:
        """Return the rows whose period has begun and not ended."""
        if not self.end:
            return NOTHING
        return Q(_null(self.end, yes=True)) & Q(_null(self.path, yes=False))


def _null(path: str | Combinable, *, yes: bool) -> Lookup[bool]:
    return IsNull(expression(path), yes)


def expression(path: str | Combinable) -> Any:
    return F(path) if isinstance(path, str) else path


@dataclass(frozen=True)
class ToldDate(Param):
    """A moment as the resource tells it, by its column; end: the column of a period's end. See `tokens.Told`."""

    column: str
    end: str = ""
    kind: ClassVar[str] = "date"

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        start, end = (f"({source.columns[one]})::timestamptz" for one in (self.column, self.end or self.column))
        told = [_told(start, end, span(name, plain(value))) for value in values]
        sql = " OR ".join(one for one, _ in told)
        return Match(sql=f"COALESCE({sql}, FALSE)", values=tuple(moment for _, moments in told for moment in moments))


def _told(start: str, end: str, wanted: Span) -> tuple[str, tuple[Any, ...]]:
    low, high = wanted.low, wanted.high
    last = end if start == end else f"COALESCE({end}, 'infinity')"
    match wanted.prefix:
        case "eq":
            return f"({start} >= %s AND {end} < %s)", (low, high)
        case "ne":
            return f"NOT ({start} >= %s AND {last} < %s)", (low, high)
        case "lt":
            return f"{start} < %s", (low,)
        case "le":
            return f"{start} < %s", (high,)
        case "sa":
            return f"{start} >= %s", (high,)
        case "eb":
            return f"{end} < %s", (low,)
    return f"({start} IS NOT NULL AND {last} >= %s)", (high if wanted.prefix == "gt" else low,)


@dataclass(frozen=True)
class Changed(Param):
    """`_lastUpdated`: when the resource last changed, by the source's own SQL."""

    kind: ClassVar[str] = "date"

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        told = [_changed(source.changed, span(name, plain(value))) for value in values]
        sql = " OR ".join(one for one, _ in told)
        return Match(sql=f"({sql})", values=tuple(moment for _, moments in told for moment in moments))


def _changed(changed: str, wanted: Span) -> tuple[str, tuple[Any, ...]]:
    low, high = wanted.low, wanted.high
    match wanted.prefix:
        case "eq":
            return f"({changed} >= %s AND {changed} < %s)", (low, high)
        case "ne":
            return f"({changed} < %s OR {changed} >= %s)", (low, high)
        case "ge":
            return f"{changed} >= %s", (low,)
        case "gt" | "sa":
            return f"{changed} >= %s", (high,)
        case "le":
            return f"{changed} < %s", (high,)
    return f"{changed} < %s", (low,)


# Texts


@dataclass(frozen=True)
class String(Param):
    """Text in one of some columns: it begins so, whatever the case; `:exact` is it; `:contains` has it somewhere."""

    paths: tuple[str, ...]
    kind: ClassVar[str] = "string"
    modifiers: ClassVar[frozenset[str]] = frozenset({"exact", "contains"})

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        lookup = {"": "istartswith", "exact": "exact", "contains": "icontains"}[modifier]
        return Match(any_of(Q(**{f"{path}__{lookup}": plain(value)}) for value in values for path in self.paths))


@dataclass(frozen=True)
class Id(Param):
    """`_id`: by what the source says its ids are."""

    kind: ClassVar[str] = "token"

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        ids = [plain(value) for value in values]
        found = [q for q in map(source.by_id, ids) if q is not None]
        if not found:
            return None
        if not source.part:
            return Match(any_of(found))
        return Match(any_of(found), f"{source.columns['id']} = ANY(%s::text[])", (ids,))
