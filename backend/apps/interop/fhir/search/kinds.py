"""The kinds of search parameters, each from its values to a condition; the tables of parameters are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db.models import F, Lookup, Q
from django.db.models.expressions import Combinable
from django.db.models.lookups import GreaterThanOrEqual, IsNull, LessThan

from backend.apps.interop.fhir.outcomes import BadSearch
from backend.apps.interop.fhir.search.values import Span, plain, span, token
from backend.apps.interop.fhir.source import Source

NOTHING = Q(pk__in=())


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
    to search by it. `match` returns None where nothing can match.
    """

    private: bool = False
    sees: str = ""
    kind: ClassVar[str] = ""
    modifiers: ClassVar[frozenset[str]] = frozenset()

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        raise NotImplementedError


def any_of(conditions: Iterable[Q]) -> Q:
    """Return a Q that holds where one of them does; nothing where there is none."""
    return reduce(or_, conditions, NOTHING)


# Tokens


@dataclass(frozen=True, kw_only=True)
class Token(Param):
    """What tokens share: `:not`, and values of the form system|code."""

    kind: ClassVar[str] = "token"
    modifiers: ClassVar[frozenset[str]] = frozenset({"not"})

    def one(self, system: str | None, code: str) -> Q | None:
        """Return the rows of one value; None where there can be none. A code "" asks for any of the system."""
        raise NotImplementedError

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        found = [one for one in (self.one(*token(value)) for value in values) if one is not None]
        if modifier == "not":
            return Match(~any_of(found)) if found else Match()
        return Match(any_of(found)) if found else None


@dataclass(frozen=True)
class Codes(Token):
    """A code that follows from a column: FHIR code -> the column's values. system: of the codes, "" for R4's own."""

    path: str
    codes: Mapping[str, Sequence[Any]]
    system: str = ""

    def one(self, system: str | None, code: str) -> Q | None:
        if system is not None and self.system and system != self.system:
            return None
        if not code:
            return Q(**{f"{self.path}__in": [value for some in self.codes.values() for value in some]})
        return Q(**{f"{self.path}__in": list(self.codes[code])}) if code in self.codes else None


@dataclass(frozen=True)
class Cases(Token):
    """A code that follows from conditions: FHIR code -> the rows that have it."""

    cases: Mapping[str, Q]
    system: str = ""

    def one(self, system: str | None, code: str) -> Q | None:
        if system is not None and self.system and system != self.system:
            return None
        return self.cases.get(code)


@dataclass(frozen=True)
class Fixed(Token):
    """Codes that every resource of the source has: system -> codes."""

    codes: Mapping[str, frozenset[str]]

    def one(self, system: str | None, code: str) -> Q | None:
        known = [self.codes.get(system, frozenset())] if system else self.codes.values()
        return Q(pk__isnull=False) if any(code in some or (not code and some) for some in known) else None


@dataclass(frozen=True, slots=True)
class At:
    """Where a code or identifier of a system stands. system None: under a name of the sender's that we cannot list."""

    path: str
    system: str | Callable[[], str] | None = None
    when: Q = field(default_factory=Q)

    def named(self) -> str | None:
        return self.system() if callable(self.system) else self.system


@dataclass(frozen=True)
class Coded(Token):
    """A code or an identifier that stands in one of some columns."""

    places: tuple[At, ...]

    def one(self, system: str | None, code: str) -> Q | None:
        places = [at for at in self.places if system is None or (at.named() or "") == system]
        if not places:
            return None
        return any_of((Q(**{at.path: code}) if code else ~Q(**{at.path: ""})) & at.when for at in places)


@dataclass(frozen=True)
class Parts(Token):
    """A code that tells the resources of one row apart: the part -> system and codes."""

    parts: Mapping[str, Mapping[str, frozenset[str]]]

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        wanted = [token(value) for value in values]
        found = [part for part, codes in self.parts.items() if any(_has(codes, *one) for one in wanted)]
        if not found and modifier != "not":
            return None
        negated = "NOT " if modifier == "not" else ""
        return Match(sql=f"{negated}({source.part}) = ANY(%s::text[])", values=(found,))


def _has(codes: Mapping[str, frozenset[str]], system: str | None, code: str) -> bool:
    return any(code in some for name, some in codes.items() if system is None or system == name)


def mrn_system() -> str:
    return str(settings.FHIR_MRN_SYSTEM)


# References


@dataclass(frozen=True)
class Reference(Param):
    """A reference: the type it names -> the path to the row of it. element: where it stands in the resource.

    keys: for types whose id is not a UUID, from the id to the rows.
    """

    paths: Mapping[str, str]
    element: str = ""
    keys: Mapping[str, Callable[[str], Q | None]] = field(default_factory=dict)
    kind: ClassVar[str] = "reference"

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.paths, *(name for name in self.keys if name not in self.paths))

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        if modifier and modifier not in self.targets:
            raise BadSearch(f"{name}: it never refers to what the modifier names.")
        found = [q for value in values for q in self._rows(name, plain(value), modifier)]
        return Match(any_of(found)) if found else None

    def _rows(self, name: str, value: str, only: str) -> list[Q]:
        """Return the conditions of one value: one for each type that a bare id may be of."""
        kind, fhir_id = split_reference(name, value)
        if kind and kind not in self.targets:
            return []
        kinds = [one for one in self.targets if one == (kind or only or one)]
        return [q for q in (self._to(one, fhir_id) for one in kinds) if q is not None]

    def _to(self, kind: str, fhir_id: str) -> Q | None:
        if kind in self.keys:
            return self.keys[kind](fhir_id)
        try:
            return Q(**{self.paths[kind]: UUID(fhir_id)})
        except ValueError:
            return None


def split_reference(name: str, value: str) -> tuple[str, str]:
    """Return (type, id) of "Type/id", of our own absolute address, or ("", id) of a bare id.

    Raises:
        BadSearch: a reference to another server, or no reference.
    """
    ours = f"{settings.PUBLIC_BASE_URL}/fhir/R4/"
    kind, _, fhir_id = value.removeprefix(ours).rpartition("/")
    if "/" in kind or not fhir_id:
        raise BadSearch(f"{name}: not a reference such as Patient/<id>.")
    return kind, fhir_id


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
        low, high = (wanted.first_day, wanted.day_after) if self.day else (wanted.low, wanted.high)
        start, end = expression(self.path), expression(self.end or self.path)
        ended = Q(GreaterThanOrEqual(end, low))
        match wanted.prefix:
            case "eq" | "ne":
                inside = Q(GreaterThanOrEqual(start, low)) & Q(LessThan(end, high))
                return inside if wanted.prefix == "eq" else ~inside
            case "lt":
                return Q(LessThan(start, low))
            case "le":
                return Q(LessThan(start, high))
            case "gt":
                return Q(GreaterThanOrEqual(end, high)) | self._open()
            case "ge":
                return ended | self._open()
            case "sa":
                return Q(GreaterThanOrEqual(start, high))
        return Q(LessThan(end, low))

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
