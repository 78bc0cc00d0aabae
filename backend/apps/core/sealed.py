"""Columns that only we can read, and columns to find them by; without this a copy of the database would tell all.

    class Coverage(ClinicModel):
        member_id = SealedTextField(max_length=80)
        member_id_index = BlindIndex("member_id", normal="code")      # an index of its own in Meta.indexes

    row.member_id                                                     # plain, opened when it is first asked for
    Coverage.objects.filter(same(Coverage, "member_id_index", text))  # equality only
    Coverage.objects.values_list("pk", "member_id")                   # `Sealed` objects: found.open(pk)
    Coverage.objects.filter(pk=pk).update(**written(Coverage, pk, member_id=text))

`save`, `create`, `bulk_create`, `copy_in` and `update_each` seal and keep the index. `update` and `bulk_update` of
plain text raise `CannotSeal`, as does every lookup but "is it empty". A value is bound to table, column and row
(`bound_to`: another unique column that never changes): in another place it raises `CannotOpen`. An empty value stays
empty.

SQL of our own: `column(Coverage, "member_id").seal(pk, text)` makes what is stored, `.open(pk, stored)` reads it, and
`digests(Coverage, "member_id_index", text)` is what to compare the index with (`= ANY(%s::bytea[])`). A table or a
column that is renamed has to be sealed anew.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q, Value
from django.db.models.query_utils import DeferredAttribute
from django.forms import TextInput

from backend.apps.core import keyring, seals
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.normal import NORMAL

__all__ = (
    "NORMAL", "BlindIndex", "CannotOpen", "CannotSeal", "Sealed", "SealedBytesField", "SealedField", "SealedJSONField",
    "SealedTextField",
)  # fmt: skip

TEXT_MARK = "v1:"
# How the first 64 characters of sealed text look, and of nothing somebody typed; `resealing` asks the same in SQL.
SHOWN, SHAPE = 64, re.compile(f"{TEXT_MARK}([a-z0-9]{{1,8}}):[A-Za-z0-9+/=]{{38,}}")
SHORT = 255  # characters up to which a form shows one line
LOOKUPS = frozenset({"exact", "in", "isnull"})  # of these only with empty values


class CannotSeal(TypeError):
    """Plain text would reach a sealed column, or be compared with one."""


class Sealed:
    """A value as the database has it, of which we do not know yet which row it is of."""

    __slots__ = ("content", "field")

    def __init__(self, field: SealedColumn, content: Any) -> None:
        self.field, self.content = field, content

    def open(self, row: Any) -> Any:
        """Return the plain value. row: the key of its row, or what else the column is `bound_to`."""
        return self.field.open(row, self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and (self.field, self.content) == (other.field, other.content)

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return "<sealed>"


class _Opening(DeferredAttribute):
    """Opens a value when it is first asked for, and remembers how it was sealed: unchanged it is not sealed again."""

    field: SealedColumn

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            return self.field.opened(instance, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SealedColumn(models.Field if TYPE_CHECKING else object):  # type: ignore[type-arg,misc]
    """What sealed text and sealed bytes share; see the module."""

    descriptor_class: Any = _Opening
    empty: ClassVar[Any]
    plain_field: ClassVar[type[models.Field[Any, Any]]]

    def __init__(self, *args: Any, bound_to: str = "pk", **options: Any) -> None:
        self.bound_to = bound_to
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        if self.bound_to != "pk":
            options["bound_to"] = self.bound_to
        return name, path, args, options

    @cached_property
    def place(self) -> bytes:
        return f"{self.model._meta.db_table}.{self.column}.".encode()

    def seal(self, row: Any, plain: Any) -> Any:
        """Return what is stored for a plain value in this row."""
        if plain is None or plain == self.empty:
            return plain
        return self.pack(keyring.seal(self.to_bytes(plain), self._bound(row)))

    def open(self, row: Any, stored: Any) -> Any:
        """Return the plain value of what is stored in this row.

        Raises:
            CannotOpen: it was changed or moved, or its key is not known.
        """
        if stored is None or stored == self.empty:
            return stored
        try:
            return self.of_bytes(keyring.unseal(self.unpack(stored), self._bound(row)))
        except CannotOpen as closed:
            told = row if self.bound_to == "pk" else ""
            raise closed.at(f"{self.model._meta.label}.{self.name}", told, self.key_id(stored)) from None

    def opened(self, instance: Any, value: Sealed) -> Any:
        row = self._row_of(instance)
        plain = value.open(row)
        self._remember(instance, row, plain, value.content)
        instance.__dict__[self.attname] = plain
        return plain

    def stored_of(self, instance: Any, value: Any, *, add: bool) -> Any:
        """Return what is stored for `value` in this row: as it was while it is unchanged."""
        row = self._row_of(instance)
        if isinstance(value, Sealed):
            if add:
                value.open(row)  # a copy of another row is not that row
            return self.get_prep_value(value)
        of_row, plain, kept = instance.__dict__.get("_sealed_as", {}).get(self.attname, (None, None, None))
        if kept is not None and not add and (of_row, plain) == (row, value):
            return kept
        stored = self.seal(row, value)
        if stored:
            self._remember(instance, row, value, stored)
        return stored

    def key_id(self, stored: Any) -> str:
        """Return the id of the key a stored value is under, "" where it is not sealed."""
        looks_sealed = len(stored) > keyring.OVERHEAD and bytes(stored[: len(keyring.MAGIC)]) == keyring.MAGIC
        return keyring.key_id(bytes(stored[: keyring.HEAD])) if looks_sealed else ""

    def unsealed(self, stored: Any) -> Any:
        """Return the plain value of what stands here as it was before the column was sealed."""
        return stored

    def to_bytes(self, plain: Any) -> bytes:
        return bytes(plain)

    def of_bytes(self, plain: bytes) -> Any:
        return plain

    def pack(self, sealed: bytes) -> Any:
        """Return sealed bytes as the column stores them."""
        return sealed

    def unpack(self, stored: Any) -> bytes:
        return bytes(stored)

    def pre_save(self, instance: Any, add: bool) -> Any:
        if self.attname not in instance.__dict__:
            getattr(instance, self.attname)  # it was deferred
        stored = self.stored_of(instance, instance.__dict__[self.attname], add=add)
        return Sealed(self, stored) if stored else stored

    def sealed(self, row: Any, plain: Any) -> Any:
        """Return what `update()` of this one row takes for a plain value."""
        stored = self.seal(row, plain)
        return Sealed(self, stored) if stored else stored

    def stand_in(self, instance: Any) -> Value:
        """Return what stands for this row's value where constraints are asked in advance: as long, and no secret."""
        length = len(getattr(instance, self.attname) or "")
        return Value((length and self.pack(bytes(length + keyring.OVERHEAD))) or self.empty, self.plain_field())

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return Sealed(self, value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            if value.field.place != self.place:
                raise CannotSeal("a sealed value of another column")
            return value.content
        if value is None or value == self.empty:
            return value
        raise CannotSeal(f"{self.model._meta.label}.{self.name} is sealed: use save(), or `written` with update()")

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name in LOOKUPS else None

    def get_transform(self, lookup_name: str) -> Any:
        return None

    def _remember(self, instance: Any, row: Any, plain: Any, stored: Any) -> None:
        known = instance.__dict__.get("_sealed_as", {})
        instance.__dict__["_sealed_as"] = {**known, self.attname: (row, plain, stored)}  # a copy keeps its own

    def _bound(self, row: Any) -> bytes:
        """Return what a value is authenticated with; a UUID may come as its 16 bytes."""
        if isinstance(row, str) and self.bound_to == "pk":
            row = self.model._meta.pk.to_python(row)
        if isinstance(row, UUID):
            return self.place + row.bytes
        return self.place + (row if isinstance(row, bytes) else str(row).encode())

    def _row_of(self, instance: Any) -> Any:
        row = getattr(instance, self.bound_to)
        if row is None or row == "":
            raise CannotSeal(f"{self.model._meta.label}.{self.name} is bound to {self.bound_to}, which is not set")
        return row


class SealedTextField(SealedColumn, models.TextField):  # type: ignore[type-arg]
    """Text that is encrypted in the database. It can be neither searched nor sorted by."""

    empty, plain_field = "", models.TextField

    @cached_property
    def validators(self) -> list[Any]:
        longest = [] if self.max_length is None else [MaxLengthValidator(self.max_length)]
        return [*super().validators, *longest]

    def key_id(self, stored: Any) -> str:
        found = SHAPE.fullmatch(stored[:SHOWN])
        return found[1] if found else ""

    def to_bytes(self, plain: Any) -> bytes:
        return str(plain).encode()

    def of_bytes(self, plain: bytes) -> str:
        return plain.decode()

    def pack(self, sealed: bytes) -> str:
        name = keyring.key_id(sealed)
        return f"{TEXT_MARK}{name}:{b64encode(sealed[keyring.HEAD :]).decode()}"

    def unpack(self, stored: Any) -> bytes:
        mark, _, rest = stored.partition(":")
        name, _, told = rest.partition(":")
        try:
            if f"{mark}:" == TEXT_MARK and len(name) <= keyring.ID_BYTES:
                head = keyring.MAGIC + name.encode("ascii").ljust(keyring.ID_BYTES, b"\0")
                return head + b64decode(told, validate=True)
        except ValueError:
            pass
        raise CannotOpen("a value that should be sealed is not") from None

    def formfield(self, **options: Any) -> Any:
        short = {"widget": TextInput} if self.max_length is not None and self.max_length <= SHORT else {}
        return super().formfield(**{**short, **options})


class SealedJSONField(SealedTextField):
    """A JSON value that is encrypted in the database, an empty one too; SQL sees nothing of it."""

    _pyi_private_set_type: Any  # for mypy: it is no text to those who use it
    _pyi_private_get_type: Any

    def to_bytes(self, plain: Any) -> bytes:
        return json.dumps(plain, separators=(",", ":")).encode()

    def of_bytes(self, plain: bytes) -> Any:
        return json.loads(plain)

    def unsealed(self, stored: Any) -> Any:
        try:
            return json.loads(stored)
        except ValueError:
            raise CannotOpen("a value that should be sealed is not, and is no JSON") from None

    def _remember(self, instance: Any, row: Any, plain: Any, stored: Any) -> None:
        super()._remember(instance, row, self.of_bytes(self.to_bytes(plain)), stored)  # it may be changed in place


class SealedBytesField(SealedColumn, models.BinaryField):  # type: ignore[type-arg]
    """Bytes that are encrypted in the database; each value is `keyring.OVERHEAD` longer there."""

    empty, plain_field = b"", models.BinaryField


class BlindIndex(models.BinaryField):  # type: ignore[type-arg]
    """What a sealed column is found by: 16 bytes of HMAC-SHA256 over its normalised value; NULL for an empty one.

    normal: a name in NORMAL. domain: columns that share one can be compared with each other; else each is on its own.
    """

    def __init__(self, of: str = "", *, normal: str = "exact", domain: str = "", **options: Any) -> None:
        self.of, self.normal, self.domain = of, normal, domain
        super().__init__(**{"null": True, "editable": False, **options})

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        told = {"of": self.of, "normal": self.normal} | ({"domain": self.domain} if self.domain else {})
        return name, path, args, {**options, **told, "editable": self.editable}

    @cached_property
    def place(self) -> bytes:
        return (self.domain or f"{self.model._meta.db_table}.{self.column}").encode()

    def digest(self, plain: Any) -> bytes | None:
        """Return what is stored for a plain value."""
        text = NORMAL[self.normal](str(plain or ""))
        return keyring.digest(self.place, text) if text else None

    def digests(self, plain: Any) -> list[bytes]:
        """Return what may be stored for a plain value, under each key; nothing for an empty value."""
        text = NORMAL[self.normal](str(plain or ""))
        return keyring.digests(self.place, text) if text else []

    def pre_save(self, instance: Any, add: bool) -> Any:
        try:
            digest = self.digest(getattr(instance, self.of))
        except CannotOpen:  # written as it is, then, and so is this
            if add:
                raise
            return getattr(instance, self.attname)
        setattr(instance, self.attname, digest)
        return digest


def opened(value: Any, row: Any) -> Any:
    """Return the plain value of what `values_list` gives; an empty one is not sealed."""
    return value.open(row) if isinstance(value, Sealed) else value


def column(model: type[models.Model], name: str) -> SealedColumn:
    found = model._meta.get_field(name)
    if not isinstance(found, SealedColumn):
        raise TypeError(f"{model._meta.label}.{name} is no sealed column")
    return found


def columns(model: type[models.Model]) -> list[SealedColumn]:
    """Return the sealed columns of a model."""
    return [field for field in model._meta.concrete_fields if isinstance(field, SealedColumn)]


def indexes(model: type[models.Model]) -> list[BlindIndex]:
    return [field for field in model._meta.concrete_fields if isinstance(field, BlindIndex)]


def with_indexes(model: type[models.Model], names: Collection[str]) -> set[str]:
    """Return the names of fields to write together: a sealed column is not written without its blind index."""
    return {*names, *(index.name for index in indexes(model) if index.of in names)}


def digests(model: type[models.Model], name: str, plain: str) -> list[bytes]:
    """Return what the blind index `name` may hold for a plain value: one digest for each key."""
    found = model._meta.get_field(name)
    if not isinstance(found, BlindIndex):
        raise TypeError(f"{model._meta.label}.{name} is no blind index")
    return found.digests(plain)


def same(model: type[models.Model], name: str, plain: str, *, path: str = "") -> Q:
    """Return the rows whose blind index `name` is that of a plain value. path: to the model, as "patient__"."""
    return with_one_of(model, name, [plain], path=path)


def with_one_of(model: type[models.Model], name: str, plain: Iterable[str], *, path: str = "") -> Q:
    """Return the rows whose blind index `name` is that of one of some plain values."""
    return Q(**{f"{path}{name}__in": [digest for one in plain for digest in digests(model, name, one)]})


def written(model: type[models.Model], row: Any, **plain: Any) -> dict[str, Any]:
    """Return what `update()` of this one row takes: sealed values with their blind indexes."""
    sealed = {name: column(model, name).sealed(row, value) for name, value in plain.items()}
    return sealed | {index.name: index.digest(plain[index.of]) for index in indexes(model) if index.of in plain}


class SealedField(models.TextField):  # type: ignore[type-arg]
    """Text under the secret key, as it was sealed first; only migrations of then still name it."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return value if value is None else seals.unseal(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else seals.seal(str(value))
