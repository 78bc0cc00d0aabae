"""Makes what the clinic stores fit X12's elements; without it a name with a colon or an accent would break a file.

A form is a list of fields that stand together in a few segments. All values of a record are checked by one regular
expression, in one go; only what does not pass is looked at field by field.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

UNIT = "\x1f"  # between the values of a record; no text holds it
SEPARATORS = "*:^~|>`"  # never in data, whatever a partner's own are: files are re-written on their way
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))
TEXT, ID, TOKEN, MONEY = "text", "id", "token", "money"
NUMBER = r"\d{1,7}(?:\.\d{1,3})?"
DAY = r"\d{8}"
MOST_REMEMBERED = 20_000
GROUPS = {"last": "name", "first": "name", "birth": "birth", "sex": "sex"}  # of Either; the rest is an address
LETTERS = str.maketrans(
    {
        "Ø": "O", "Æ": "AE", "Œ": "OE", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "Ħ": "H", "Ŧ": "T", "ẞ": "SS",
        "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"',
        "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-",
    }
)  # fmt: skip


class NotWritable(ValueError):
    """A value does not fit its element. rule: the element and what it wants, not the value. row: an id."""

    def __init__(self, rule: str, row: str = "") -> None:
        super().__init__(f"{rule} (row {row})" if row else rule)
        self.rule = rule
        self.row = row


class Field(NamedTuple):
    """sort: TEXT is transliterated and cut to `most`; ID, and TOKEN without blanks, are refused if they do not fit.

    MONEY has two decimals at most. Any other sort is a pattern. instead, group: see Either.
    """

    name: str
    element: str
    sort: str
    most: int = 0
    needed: bool = False
    instead: str = ""
    group: str = ""


class Form:
    """Reads the values of a record as X12 will hold them, in the order of the fields.

    foreign: the partner's separators, which data must not hold.
    """

    def __init__(self, fields: Sequence[Field], *, foreign: str = "") -> None:
        alphabet = "".join(sign for sign in PRINTABLE if sign not in SEPARATORS + foreign and not sign.islower())
        patterns = [_pattern(field, re.escape(alphabet)) for field in fields]
        self.fields = fields
        self.alphabet = alphabet
        self.tests = [re.compile(pattern, re.ASCII).fullmatch for pattern in patterns]
        self.fits = re.compile(UNIT.join(patterns), re.ASCII).fullmatch
        self.names = [field.name for field in fields]
        self.kind: type | None = None
        self.values: Callable[[Any], tuple[str, ...]] = attrgetter(*self.names)

    def read(self, record: Any) -> list[str]:
        """Raises NotWritable."""
        if type(record) is not self.kind:
            self.learn(type(record))
        return self.fit(self.values(record), record)

    def fit(self, values: tuple[str, ...], record: Any = None) -> list[str]:
        """Raises NotWritable. values: in the order of the fields."""
        joined = UNIT.join(values).upper().strip(" ")
        if self.fits(joined) and " \x1f" not in joined and "\x1f " not in joined:
            return joined.split(UNIT)
        return [
            _mended(field, fits, value, self.alphabet, getattr(record, "id", ""))
            for field, fits, value in zip(self.fields, self.tests, values, strict=True)
        ]

    def learn(self, kind: type) -> None:
        """Take values by their place from now on, if these records are named tuples: twice as fast as by name."""
        self.kind, self.values = kind, _getter(kind, self.names)


class Either:
    """Reads records that say twice who somebody is, some groups of fields here and some there.

    A group is taken from `instead` as a whole unless every needed field of it is filled (if none is needed: every
    field), so that a name or an address is never put together from two.
    """

    def __init__(self, fields: Sequence[Field], *, foreign: str = "") -> None:
        groups: dict[str, list[Field]] = {}
        for field in fields:
            if field.group:
                groups.setdefault(field.group, []).append(field)
        decisive = {group: [one for one in members if one.needed] or members for group, members in groups.items()}
        self.groups = {group: [one.name for one in members] for group, members in decisive.items()}
        self.names = [name for names in self.groups.values() for name in names]
        self.fields, self.foreign = fields, foreign
        self.usual, self.others = Form(fields, foreign=foreign), Memo(self._other)
        self.kind: type | None = None
        self.said: Callable[[Any], tuple[str, ...]] = attrgetter(*self.names)

    def read(self, record: Any) -> list[str]:
        """Raises NotWritable."""
        if type(record) is not self.kind:
            self.kind, self.said = type(record), _getter(type(record), self.names)
        said = self.said(record)
        form: Form = self.others[tuple(map(bool, said))] if "" in said else self.usual
        return form.read(record)

    def _other(self, filled: tuple[bool, ...]) -> Form:
        empty = {name for name, is_filled in zip(self.names, filled, strict=True) if not is_filled}
        lacking = {group for group, names in self.groups.items() if empty.intersection(names)}
        fields = [one._replace(name=one.instead) if one.group in lacking else one for one in self.fields]
        return Form(fields, foreign=self.foreign)


class Memo(dict[Any, Any]):
    """What was made of a value before; forgets everything rather than grow without end."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: Any) -> Any:
        made = self.make(key)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[key] = made
        return made


def either(fields: Iterable[Field], prefix: str, instead: str) -> list[Field]:
    """Let Either take name, address, day of birth and sex from the attributes that begin with `instead`."""
    return [_with_other(field, field.name.removeprefix(prefix), instead) for field in fields]


def _with_other(field: Field, name: str, instead: str) -> Field:
    return field._replace(instead=f"{instead}{name}", group=GROUPS.get(name, "address"))


def plain(value: str, alphabet: str) -> str:
    """Return the text in capital ASCII letters: accents are dropped, what X12 cannot hold becomes a blank."""
    letters = unicodedata.normalize("NFKD", value.upper().translate(LETTERS))
    kept = (sign if sign in alphabet else " " for sign in letters if not unicodedata.combining(sign))
    return " ".join("".join(kept).split())


def cents(value: str, element: str) -> str:
    """Return an amount with two decimals.

    Raises:
        NotWritable: no amount, or a part of a cent.
    """
    try:
        amount = Decimal(value)
        rounded = amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        rounded = amount = Decimal("NaN")
    if not amount.is_finite():
        raise NotWritable(f"{element}: not an amount, {len(value)} characters")
    if rounded != amount:
        raise NotWritable(f"{element}: a part of a cent")
    return f"{rounded:f}"


def colons(codes: str) -> str:
    """Return codes that were joined by commas as the components that follow another."""
    return f":{codes.replace(',', ':')}" if codes else ""


def number(value: str) -> str:
    """Return a decimal number as X12 writes it: no trailing zeros, no exponent; "" stays ""."""
    return value.rstrip("0").rstrip(".") if "." in value else value


def _getter(kind: type, names: Sequence[str]) -> Callable[[Any], tuple[str, ...]]:
    places = getattr(kind, "_fields", None)
    return itemgetter(*map(places.index, names)) if places else attrgetter(*names)


def _mended(field: Field, fits: Callable[[str], object], value: str, alphabet: str, row: str) -> str:
    value = value.upper().strip()
    if fits(value):
        return value
    if field.sort == TEXT:
        value = plain(value, alphabet)[: field.most].rstrip()
    elif field.sort == MONEY:
        value = cents(value, field.element)
    if fits(value):
        return value
    raise NotWritable(f"{field.element}: {_problem(field, value)}", row)


def _pattern(field: Field, alphabet: str) -> str:
    if field.sort in {TEXT, ID, TOKEN}:
        signs = alphabet.replace("\\ ", "") if field.sort == TOKEN else alphabet
        return f"[{signs}]{{{1 if field.needed else 0},{field.most}}}"
    pattern = r"\d{1,10}\.\d\d" if field.sort == MONEY else field.sort
    return f"(?:{pattern})" if field.needed else f"(?:{pattern})?"


def _problem(field: Field, value: str) -> str:
    if not value:
        return "missing"
    if field.most and len(value) > field.most:
        return f"{len(value)} characters, {field.most} at most"
    return f"not as the element wants it, {len(value)} characters"
