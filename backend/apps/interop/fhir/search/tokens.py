"""Search parameters of the form system|code: codes, identifiers and yes or no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Model, Q

from backend.apps.core.sealed import same
from backend.apps.interop.fhir.search.kinds import Match, Param, any_of
from backend.apps.interop.fhir.search.values import token
from backend.apps.interop.fhir.source import Source, by_uuid


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
        if system is not None and system != self.system:
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
        if system is not None and system != self.system:
            return None
        return self.cases.get(code)


@dataclass(frozen=True)
class Fixed(Token):
    """Codes that every resource of the source has: system -> codes."""

    codes: Mapping[str, frozenset[str]]

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        has = any(self._has(*token(value)) for value in values)
        return Match() if has != (modifier == "not") else None

    def _has(self, system: str | None, code: str) -> bool:
        known = self.codes.values() if system is None else [self.codes.get(system, frozenset())]
        return any(code in some or (not code and some) for some in known)


@dataclass(frozen=True, slots=True)
class At:
    """Where a code or identifier of a system stands. system None: under a name of the sender's that we cannot list.

    sealed_in: the model, where `path` is the blind index of a sealed column.
    """

    path: str
    system: str | Callable[[], str] | None = None
    when: Q = field(default_factory=Q)
    sealed_in: type[Model] | None = None

    def named(self) -> str | None:
        return self.system() if callable(self.system) else self.system

    def has(self, code: str) -> Q:
        """Return the rows that have this code here; of "" those that have any."""
        if self.sealed_in is not None:
            return same(self.sealed_in, self.path, code) if code else Q(**{f"{self.path}__isnull": False})
        return Q(**({self.path: code} if code else {f"{self.path}__gt": ""}))


@dataclass(frozen=True)
class Coded(Token):
    """A code or an identifier that stands in one of some columns."""

    places: tuple[At, ...]

    def one(self, system: str | None, code: str) -> Q | None:
        places = [at for at in self.places if system is None or (at.named() or "") == system]
        if not places:
            return None
        return any_of(at.when & at.has(code) for at in places)


@dataclass(frozen=True)
class OwnUuid(Token):
    """An identifier that is the resource's own id, as urn:uuid:<id>."""

    def one(self, system: str | None, code: str) -> Q | None:
        scheme, _, text = code.rpartition(":")
        if system not in {None, "urn:ietf:rfc:3986"} or scheme != "urn:uuid":
            return None
        return by_uuid(text)


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


@dataclass(frozen=True)
class Told(Token):
    """A code or an identifier as the resource tells it: its column -> the system, "" for R4's own codes.

    codes: from FHIR's code to the column's values, where they differ. always: codes that every resource has as well, by
    system. Not by an index: for what is few, or narrowed by other parameters.
    """

    columns: Mapping[str, str | Callable[[], str]]
    codes: Mapping[str, Sequence[str]] | None = None
    always: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        wanted = [token(value) for value in values]
        if any(_has(self.always, *one) for one in wanted):
            return None if modifier == "not" else Match()
        told = [
            one
            for column, system in self.columns.items()
            if (one := self._of(source.columns[column], system() if callable(system) else system, wanted))
        ]
        if not told:
            return Match() if modifier == "not" else None
        sql = " OR ".join(one for one, _ in told)
        negated = "NOT COALESCE" if modifier == "not" else "COALESCE"
        return Match(sql=f"{negated}(({sql}), FALSE)", values=tuple(codes for _, codes in told))

    def _of(self, told: str, system: str, wanted: Sequence[tuple[str | None, str]]) -> tuple[str, list[str]] | None:
        """Return SQL and codes for one column; a token without a code asks for any of the system."""
        codes = [code for said, code in wanted if said is None or said == system]
        if not codes:
            return None
        if "" in codes:
            return f"({told} IS NOT NULL OR {told} = ANY(%s::text[]))", codes
        known = codes if self.codes is None else [value for code in codes for value in self.codes.get(code, ())]
        return (f"{told} = ANY(%s::text[])", known) if known else None


def _has(codes: Mapping[str, frozenset[str]], system: str | None, code: str) -> bool:
    return any(code in some for name, some in codes.items() if system is None or system == name)


def reverse(codes: Mapping[Any, str]) -> dict[str, list[Any]]:
    """Return, for each of FHIR's codes, the values that are told by it."""
    found: dict[str, list[Any]] = {}
    for value, code in codes.items():
        found.setdefault(code, []).append(value)
    return found


def within(path: str) -> Callable[[], str]:
    """Return a system of our own below the FHIR base, as "NamingSystem/claim"."""
    return lambda: f"{settings.PUBLIC_BASE_URL}/fhir/R4/{path}"


def mrn_system() -> str:
    return str(settings.FHIR_MRN_SYSTEM)
