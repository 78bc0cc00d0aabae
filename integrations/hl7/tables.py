"""Compiles hl7apy's reference tables into rules that check a message in microseconds; the library itself takes 100 ms.

Nothing is compiled before it is asked for, then once for each version and segment or structure. The library ships
message grammars, fields with cardinalities and types, components, and (from 2.3.1 on) tables of codes, but no lengths.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hl7apy import SUPPORTED_LIBRARIES, load_library

VERSIONS = frozenset(SUPPORTED_LIBRARIES)
USUAL_VERSION = "2.5.1"
ANY_SEGMENT = "anyHL7Segment"
CHECKED_ANYWAY = frozenset({"HL70078"})  # abnormal flags: user-defined by name, but every receiver relies on them
VALUE_TYPES = "HL70125"
WHOLE = 4  # name, reference, cardinality, kind: an entry of the tables has all of them, a few are damaged
PATTERN = re.compile(r"nnn|zzz|xxx|[ .]|\A\Z")  # an entry that stands for many codes makes its table open
MOST_NAMES = 4096  # remembered of each kind, more than all versions have; a sender may invent names
PRIVATE = frozenset({"PID", "NK1", "GT1", "IN1", "IN2", "IN3", "PD1", "MRG"})  # nothing of them is remembered


class Rule:
    """What a field, component or subcomponent may hold. Compared by identity, so that it can be a key.

    most: repetitions, -1 for any number. longest: characters, -1 for any. codes: of an HL7 table; None where any do.
    """

    __slots__ = ("codes", "data_type", "least", "longest", "most", "parts", "remembered", "table", "title")

    def __init__(self, ref: Sequence[Any], cardinality: tuple[int, int], version: str, *, remembered: bool) -> None:
        children, self.data_type, (title, table, self.longest) = ref[1], ref[2], ref[-3:]
        self.title = title or ""
        self.least, self.most = cardinality
        self.table = table or ""
        self.codes = _codes(version, self.table, self.data_type or "")
        self.remembered = remembered
        self.parts: tuple[Rule, ...] = tuple(
            Rule(child[1], child[2], version, remembered=remembered) for child in children or () if len(child) == WHOLE
        )


class Grammar(NamedTuple):
    """The order of segments in a message: from each place, which segment leads to which places.

    A place is one mention of a segment in the abstract syntax; place 0 is before the message.
    """

    names: tuple[str, ...]
    follow: tuple[tuple[int, ...], ...]
    last: frozenset[int]


@functools.lru_cache(maxsize=MOST_NAMES)
def fields(version: str, segment: str) -> tuple[Rule, ...] | None:
    """Return the rule of each field of a segment from 1 on; None when the version has no such segment."""
    found = load_library(version).SEGMENTS.get(segment)
    if found is None or len(found) < 2:
        return None
    children = [child for child in found[1] if len(child) == WHOLE and child[1]]
    remembered = segment not in PRIVATE
    return tuple(Rule(ref, times, version, remembered=remembered) for _, ref, times, _ in children)


@functools.lru_cache(maxsize=MOST_NAMES)
def value(version: str, data_type: str) -> Rule | None:
    """Return the rule of an OBX-5 of a type that OBX-2 names; None when the version has no such type."""
    library = load_library(version)
    children = library.DATATYPES_STRUCTS.get(data_type)
    if children is None and data_type not in library.get_base_datatypes():
        return None
    return Rule(("", children, data_type, "", None, -1), (0, -1), version, remembered=False)


@functools.lru_cache(maxsize=MOST_NAMES)
def grammar(version: str, structure: str) -> Grammar | None:
    """Return the order of segments of a message structure such as ORU_R01; None when the version has none."""
    found = load_library(version).MESSAGES.get(structure)
    return None if found is None else _Builder().built(found)


@functools.cache
def _codes(version: str, table: str, data_type: str) -> frozenset[str] | None:
    """Return the codes of a table that HL7 itself defines (type ID); None for user-defined, open and unknown ones."""
    if not table or (data_type != "ID" and table not in CHECKED_ANYWAY):
        return None
    found = getattr(load_library(version), "TABLES", {}).get(table)
    codes = frozenset(str(code) for code in found[1] if code != "null") if found else frozenset[str]()
    if table == VALUE_TYPES and codes:
        codes |= frozenset(load_library(version).DATATYPES_STRUCTS)  # the library's own list lacks CWE in 2.5.1
    return None if not codes or any(PATTERN.search(code) for code in codes) else codes


class _Piece(NamedTuple):
    """A part of the syntax: whether it may be absent, and the places it may begin and end with."""

    optional: bool
    first: tuple[int, ...]
    last: tuple[int, ...]


class _Builder:
    """Numbers the places of a grammar and finds which may follow which (Glushkov's construction)."""

    def __init__(self) -> None:
        self._names = [""]
        self._follow: list[set[int]] = [set()]

    def built(self, ref: Sequence[Any]) -> Grammar:
        whole = self._sequence(ref[1])
        self._join([0], whole.first)
        ends = {*whole.last, *([0] if whole.optional else [])}
        return Grammar(tuple(self._names), tuple(tuple(sorted(found)) for found in self._follow), frozenset(ends))

    def _element(self, name: str, ref: Sequence[Any], times: tuple[int, int], kind: str) -> _Piece:
        if kind == "GRP":
            piece = self._choice(ref[1]) if ref[0] == "choice" else self._sequence(ref[1])
        else:
            self._names.append(name)
            self._follow.append(set())
            place = len(self._names) - 1
            piece = _Piece(False, (place,), (place,))
        if times[1] != 1:
            self._join(piece.last, piece.first)
        return piece._replace(optional=piece.optional or times[0] == 0)

    def _sequence(self, children: Iterable[Any]) -> _Piece:
        whole = _Piece(True, (), ())
        for child in children:
            piece = self._element(*child)
            self._join(whole.last, piece.first)
            whole = _Piece(
                whole.optional and piece.optional,
                whole.first + piece.first if whole.optional else whole.first,
                whole.last + piece.last if piece.optional else piece.last,
            )
        return whole

    def _choice(self, children: Iterable[Any]) -> _Piece:
        pieces = [self._element(*child) for child in children]
        first = tuple(place for piece in pieces for place in piece.first)
        last = tuple(place for piece in pieces for place in piece.last)
        return _Piece(any(piece.optional for piece in pieces), first, last)

    def _join(self, before: Iterable[int], after: Iterable[int]) -> None:
        for place in before:
            self._follow[place].update(after)
