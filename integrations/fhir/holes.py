"""The parts a resource's shape is written with: one tree says what the dict, the line and the query look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# White space and what `values.fit` or a narrative writes as a space.
BLANKS = "".join(chr(n) for n in range(0x3001) if n < ord(" ") or chr(n).isspace()) + "\ufffe\uffff"

Tree = Any  # dict, list, str, bool, int, or one of the parts below


@dataclass(frozen=True, slots=True)
class Text:
    """Free text of a column, escaped. Absent where the column is NULL or blank (see `is_blank`)."""

    column: str


@dataclass(frozen=True, slots=True)
class Safe:
    """Text of a column that never needs escaping: a UUID, a date, an instant, a code that a CHECK limits."""

    column: str


@dataclass(frozen=True, slots=True)
class Narrative:
    """Free text of a column as the XHTML of a `Narrative.div`: every character stands for itself, lines stay lines."""

    column: str


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal or integer, digit by digit as the database holds it: 1.50 stays 1.50."""

    column: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean column, as PostgreSQL writes it: "true" or "false"."""

    column: str


@dataclass(frozen=True, slots=True)
class Given:
    """A text that is known when the writer is made and the same for every row: the base address, a naming system."""

    name: str


@dataclass(frozen=True, slots=True)
class Join:
    """Strings in a row, as one string: texts that need no escaping, `Safe` and `Given`. Absent where one of them is."""

    parts: tuple[str | Safe | Given, ...]


def join(*parts: str | Safe | Given) -> Join:
    return Join(parts)


@dataclass(frozen=True, slots=True)
class If:
    """`tree` where `column` is neither NULL nor blank."""

    column: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Unless:
    """`tree` where `column` is NULL or blank."""

    column: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Switch:
    """The tree that belongs to the column's value; `default` for any other value, absent where the column is NULL.

    The trees hold no columns: they are written once, as for a code table.
    """

    column: str
    trees: Mapping[str, Tree]
    default: Tree = None


@dataclass(frozen=True, slots=True)
class Each:
    """One `tree` for each of the sub-rows in `column`; stands for a list, or within one.

    The column is JSON text: an array of arrays, each of the texts (or null) of `columns`. Absent where it is NULL.
    """

    column: str
    columns: tuple[str, ...]
    tree: Tree
    always: frozenset[str] = field(default_factory=frozenset)  # sub-columns that are never NULL


@dataclass(frozen=True, slots=True)
class Derived:
    """`tree` over texts that a function makes of a few columns whose values repeat, as codes and units do.

    `derive` takes the columns' texts (or None) and returns the texts of `names`; it must depend on nothing else. The
    writer calls it once for each combination it meets.
    """

    columns: tuple[str, ...]
    derive: Callable[..., tuple[str | None, ...]]
    names: tuple[str, ...]
    tree: Tree


def is_blank(value: str | None) -> bool:
    """Return whether a text has nothing in it that a FHIR string may be: white space is none, nor what becomes it."""
    return not value or not value.strip(BLANKS)


def solid_of(tree: Tree) -> Iterator[str]:
    """Return the columns of a tree that are never blank, as they hold no free text; perhaps repeatedly."""
    match tree:
        case Safe(column) | Number(column) | Flag(column) | Switch(column) | Each(column):
            yield column
        case Join(parts):
            yield from (part.column for part in parts if isinstance(part, Safe))
        case If(_, inner) | Unless(_, inner):
            yield from solid_of(inner)
        case dict():
            for member in tree.values():
                yield from solid_of(member)
        case list():
            for member in tree:
                yield from solid_of(member)


def columns_of(tree: Tree) -> Iterator[str]:
    """Return the columns a tree needs, in the order they first appear, perhaps repeatedly."""
    match tree:
        case Text(column) | Safe(column) | Narrative(column) | Number(column) | Flag(column):
            yield column
        case Switch(column) | Each(column):
            yield column
        case Join(parts):
            yield from (part.column for part in parts if isinstance(part, Safe))
        case If(column, inner) | Unless(column, inner):
            yield column
            yield from columns_of(inner)
        case Derived(columns):
            yield from columns
        case dict():
            for member in tree.values():
                yield from columns_of(member)
        case list():
            for member in tree:
                yield from columns_of(member)
