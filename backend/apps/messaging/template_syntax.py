"""Reads a clinic's own text and fills it; a template engine in its place would let a text run code (SSTI)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from backend.apps.core.exceptions import DomainError

TOKEN = re.compile(r"\{([a-z][a-z_]{0,30})\}|([\[\]{}])|[^\[\]{}]+")


class Unwritable(DomainError):
    """A text cannot be read, or needs what this message does not have."""

    code = "unwritable"


class Piece(NamedTuple):
    """Plain text, or the place of a variable; group: the number of the [ ] around it, 0 for none."""

    text: str
    variable: str = ""
    group: int = 0


class Filled(NamedTuple):
    """A run of the finished text; variable: which one it came from, empty for the template's own words."""

    text: str
    variable: str = ""


@functools.lru_cache(256)
def parse(template: str) -> tuple[Piece, ...]:
    """Return the pieces of a text: {name} is a variable, and what stands in [ ] is left out when one in it is empty.

    Raises:
        Unwritable: a bracket without its partner, [ ] inside of [ ], or [ ] without a variable.
    """
    pieces = tuple(_pieces(template))
    named = {piece.group for piece in pieces if piece.variable}
    if {piece.group for piece in pieces} - named - {0}:
        raise Unwritable("A part in [ ] needs a variable: it is left out when that is empty.")
    return pieces


def _pieces(template: str) -> Iterator[Piece]:
    group, opened = 0, False
    for token in TOKEN.finditer(template):
        text, variable, bracket = token[0], token[1] or "", token[2]
        if bracket in ("{", "}"):
            raise Unwritable(f"A {bracket} has no partner, or holds no name as {{clinic}} does.")
        if (bracket == "[" and opened) or (bracket == "]" and not opened):
            raise Unwritable(f"A {bracket} has no partner; [ ] cannot stand inside of [ ].")
        if bracket:
            opened, group = not opened, group + (bracket == "[")
            if opened:
                yield Piece("", group=group)
            continue
        yield Piece(text, variable, group if opened else 0)
    if opened:
        raise Unwritable("A [ has no partner.")


def variables(pieces: Iterable[Piece]) -> set[str]:
    return {piece.variable for piece in pieces if piece.variable}


def required(pieces: Iterable[Piece]) -> set[str]:
    """Return the variables that are said in any case: those outside of [ ]."""
    return {piece.variable for piece in pieces if piece.variable and not piece.group}


def fill(pieces: Iterable[Piece], values: Mapping[str, str]) -> list[Filled]:
    """Put each value in once; what a value holds is never read as a template.

    Raises:
        Unwritable: a variable outside of [ ] has no value.
    """
    pieces = tuple(pieces)
    empty = {piece.group for piece in pieces if piece.variable and not values.get(piece.variable)}
    if 0 in empty:
        missing = sorted(name for name in required(pieces) if not values.get(name))
        raise Unwritable(f"The text needs {{{missing[0]}}}, and this message has none.")
    return [
        Filled(values[piece.variable] if piece.variable else piece.text, piece.variable)
        for piece in pieces
        if piece.group not in empty
    ]
