"""Turns the shape of a resource into a function that writes it as JSON from a row of texts, with no object per element.

An f-string over the row's own texts writes a hundred times what validating and dumping a model does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Any

import orjson

from integrations.fhir.building import ABSENT, build
from integrations.fhir.holes import (
    BLANKS,
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
    solid_of,
)
from integrations.fhir.values import fragment, narrated, quoted

REMEMBERED = 16_384  # combinations of a `Derived`; a laboratory has some thousand codes, units and ranges

Line = Callable[[Sequence[str | None]], str]


def compiled(tree: Tree, columns: Sequence[str], always: Collection[str], given: Mapping[str, str]) -> Line:
    """Return a function from a row (a text or None for each of `columns`) to JSON; "" where all of it is absent.

    always: columns that are never NULL (free text of them may still be blank). given: the texts of `Given`.
    """
    return _Compiler(columns, always, given).function(tree)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of an f-string: `text` as it stands in it; `certain`: never absent, or "" when it is.

    guard: what must hold before `text` may be asked; where it does not, the part is absent.
    """

    text: str
    certain: bool
    guard: str = ""


class _Compiler:
    """Writes the statements of one function; parts that may be absent become variables that are "" then."""

    def __init__(self, columns: Sequence[str], always: Collection[str], given: Mapping[str, str]) -> None:
        self.columns, self.always, self.given = tuple(columns), set(always), given
        self.solid: set[str] = set()  # columns that hold no free text
        self.statements: list[str] = []
        self.names = count()
        self.scope: dict[str, Any] = {"_q": quoted, "_n": narrated, "_b": BLANKS, "_loads": orjson.loads}

    def function(self, tree: Tree) -> Line:
        self.solid = set(solid_of(tree))
        self.always &= self.solid  # a name that is never NULL may be blank
        whole = self._settled(self.piece(tree))
        unpacked = "".join(f"{_name(column)}, " for column in self.columns)
        body = [f"{unpacked.strip()} = row" if unpacked else "pass", *self.statements, f"return f'''{whole.text}'''"]
        source = "def line(row):\n" + "".join(f"    {statement}\n" for statement in body)
        exec(source, self.scope)  # noqa: S102  # nosec B102  # our own shapes; no value of a row is in the source
        line: Line = self.scope["line"]
        return line

    def piece(self, tree: Tree) -> _Piece:  # noqa: PLR0911  # one answer for each part
        match tree:
            case dict():
                return self._enclosed("{{", "}}", [self._member(name, member) for name, member in tree.items()])
            case list():
                return self._enclosed("[", "]", [self._element(member) for member in tree])
            case If(column, inner):
                return self._when(column, inner, there=True)
            case Unless(column, inner):
                return self._when(column, inner, there=False)
            case Join(parts):
                return self._joined(parts)
            case Derived():
                return self._maybe(self._derived(tree))
            case Each():
                each = self._each(tree)
                return self._maybe(f"f'''[{{{each}}}]''' if {each} else ''")
            case Switch(column, trees, default):
                return self._switch(column, trees, default)
            case Text(column) | Narrative(column):
                return self._hole(column, f"{{{'_q' if isinstance(tree, Text) else '_n'}({_name(column)})}}")
            case Safe(column):
                return self._hole(column, f'"{{{_name(column)}}}"')
            case Number(column) | Flag(column):
                return self._hole(column, f"{{{_name(column)}}}")
            case Given(name):
                return _Piece(_literal(self.given[name]), certain=True)
        return _Piece("", certain=False) if tree is None else _Piece(_literal(tree), certain=True)

    def _hole(self, column: str, text: str) -> _Piece:
        if column in self.always:
            return _Piece(text, certain=True)
        return _Piece(text, certain=False, guard=self._guard(column, there=True))

    def _settled(self, piece: _Piece) -> _Piece:
        """Return the piece so that it may be asked anywhere: as a variable that is "" where its guard does not hold."""
        return self._maybe(f"f'''{piece.text}''' if {piece.guard} else ''") if piece.guard else piece

    def _maybe(self, expression: str) -> _Piece:
        return _Piece(f"{{{self._variable(expression)}}}", certain=False)

    def _variable(self, expression: str) -> str:
        name = f"v{next(self.names)}"
        self.statements.append(f"{name} = {expression}")
        return name

    def _when(self, column: str, inner: Tree, *, there: bool) -> _Piece:
        if column in self.always:
            return self.piece(inner) if there else _Piece("", certain=False)
        before, self.statements, always = self.statements, [], self.always
        self.always = always | {column} if there else always - {column}
        piece, guard = self.piece(inner), self._guard(column, there=there)
        self.always = always
        if not piece.text:
            self.statements = before
            return piece
        if self.statements:
            piece = self._settled(piece)
        own, self.statements = self.statements, before
        if own:
            return self._block(guard, own, piece.text)
        return _Piece(piece.text, certain=False, guard=" and ".join(filter(None, (guard, piece.guard))))

    def _guard(self, column: str, *, there: bool) -> str:
        name = _name(column)
        if column in self.solid:
            return f"{name} is not None" if there else f"{name} is None"
        filled = (
            f"{name} and ({name} > '!' and {name}.isascii() or {name}.strip(_b))"  # `is_blank`, in a third of the time
        )
        return filled if there else f"not ({filled})"

    def _block(self, guard: str, statements: list[str], text: str) -> _Piece:
        """Return a part that is made by statements of its own, which are left out where the guard does not hold."""
        name = self._variable("''")
        inner = [*statements, f"{name} = f'''{text}'''"]
        self.statements += [f"if {guard}:", *(f"    {statement}" for statement in inner)]
        return _Piece(f"{{{name}}}", certain=False)

    def _member(self, name: str, member: Tree) -> _Piece:
        return self._after(f",{fragment(name)}:", member)

    def _element(self, member: Tree) -> _Piece:
        if isinstance(member, Each):
            each = self._each(member)
            return self._maybe(f"f''',{{{each}}}''' if {each} else ''")
        return self._after(",", member)

    def _after(self, begin: str, tree: Tree) -> _Piece:
        """Return a piece for a tree behind `begin` (JSON), of which nothing is left where the tree is absent."""
        if isinstance(tree, Switch):
            return self._switch(tree.column, tree.trees, tree.default, begin)
        if isinstance(tree, Derived):
            return self._maybe(self._derived(tree, begin))
        piece, inner = self.piece(tree), _escaped(begin)
        if piece.certain or piece.guard:
            return replace(piece, text=f"{inner}{piece.text}")
        name = piece.text.strip("{}")
        return self._maybe(f"f'''{inner}{piece.text}''' if {name} else ''") if name else piece

    def _enclosed(self, left: str, right: str, parts: list[_Piece]) -> _Piece:
        """Put the parts between brackets; each begins with a comma, of which the first one goes."""
        if len(parts) == 1 and (parts[0].certain or parts[0].guard):
            return replace(parts[0], text=left + parts[0].text[1:] + right)
        parts = [self._settled(part) for part in parts]
        if parts and parts[0].certain:
            return _Piece(left + parts[0].text[1:] + "".join(part.text for part in parts[1:]) + right, certain=True)
        inner = self._variable(f"f'''{''.join(part.text for part in parts)}'''[1:]")
        if any(part.certain for part in parts):
            return _Piece(f"{left}{{{inner}}}{right}", certain=True)
        return self._maybe(f"f'''{left}{{{inner}}}{right}''' if {inner} else ''")

    def _joined(self, parts: tuple[str | Safe | Given, ...]) -> _Piece:
        texts = [self._part(part) for part in parts]
        absent = [_name(part.column) for part in parts if isinstance(part, Safe) and part.column not in self.always]
        text = f'"{"".join(texts)}"'
        if not absent:
            return _Piece(text, certain=True)
        return _Piece(text, certain=False, guard=" and ".join(f"{name} is not None" for name in absent))

    def _part(self, part: str | Safe | Given) -> str:
        if isinstance(part, Safe):
            return f"{{{_name(part.column)}}}"
        return _literal(self.given[part.name] if isinstance(part, Given) else part)[1:-1]

    def _switch(self, column: str, trees: Mapping[str, Tree], default: Tree, begin: str = "") -> _Piece:
        table = {value: self._written(tree, begin) for value, tree in trees.items()}
        name = f"t{next(self.names)}"
        self.scope[name], self.scope[f"{name}_else"] = table, self._written(default, begin)
        found = f"{name}.get({_name(column)}, {name}_else)"
        return self._maybe(found if column in self.always else f"{found} if {_name(column)} is not None else ''")

    def _written(self, tree: Tree, begin: str) -> str:
        built = build(tree, {}, self.given)
        return "" if built is ABSENT else begin + fragment(built)

    def _derived(self, derived: Derived, begin: str = "") -> str:
        name = f"d{next(self.names)}"
        line, derive = compiled(derived.tree, derived.names, (), self.given), derived.derive
        self.scope[name] = lru_cache(REMEMBERED)(lambda *texts: begin + text if (text := line(derive(*texts))) else "")
        return f"{name}({', '.join(map(_name, derived.columns))})"

    def _each(self, each: Each) -> str:
        """Return the variable that holds the sub-rows as JSON with commas between them, "" where there are none."""
        name = f"f{next(self.names)}"
        self.scope[name] = compiled(each.tree, each.columns, each.always, self.given)
        column = _name(each.column)
        return self._variable(f"','.join(filter(None, map({name}, _loads({column})))) if {column} is not None else ''")


def _name(column: str) -> str:
    """Return the column as a name in the function; its own variables and functions begin otherwise."""
    if not column.isidentifier():
        raise ValueError("a column's name is a plain identifier")
    return f"c_{column}"


def _literal(value: Any) -> str:
    """Return a value as JSON that can stand in a triple-quoted f-string."""
    return _escaped(fragment(value))


def _escaped(json: str) -> str:
    text = json.replace("\\", "\\\\").replace("'", "\\'")
    return text.replace("{", "{{").replace("}", "}}")
