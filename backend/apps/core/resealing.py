"""Seals rows anew, batch by batch, beside running workers; without it a key could never be given up.

Pass by pass over the rows that are not sealed as they should be: each batch is locked (a row that somebody holds is
left for a later pass, so nobody waits for anybody), opened, sealed and committed. A run that was ended goes on where
it was, because what is done is no longer looked for. `TRIGGERS_LET` is how the triggers that keep what was received
know us.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections, models, router, transaction

from backend.apps.core import keyring, sealed
from backend.apps.core.keyring import CannotOpen, UnknownKey
from backend.apps.core.sealed import SealedBytesField, SealedColumn

ROWS, BYTES = 500, 16 * 1024 * 1024  # of one batch at most; one row may be larger
PAUSE_S, PASSES = 0.2, 50  # between two passes over rows that others hold, and how many
TRIGGERS_LET = "SELECT set_config('carerelay.resealing', 'on', true)"

Opened = Callable[[SealedColumn, Any, Any], Any]  # (column, row, stored) -> the plain value
Tell = Callable[[int], None]


def _untold(_rows: int) -> None:
    """Tell nobody how far the work is."""


class Resealed(NamedTuple):
    """rows: sealed anew. closed: keys of rows that do not open. held: rows others held to the end."""

    rows: int = 0
    closed: tuple[Any, ...] = ()
    held: int = 0


class Seal(NamedTuple):
    """How many values of a column are sealed under one key; key_id "": they are not sealed."""

    model: type[models.Model]
    column: str
    key_id: str
    values: int


def sealed_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if sealed.columns(model)]


def status() -> Iterator[Seal]:
    """Yield for each sealed column how many values are under which key."""
    for model in sealed_models():
        for column in sealed.columns(model):
            quote = connections[router.db_for_read(model)].ops.quote_name
            name, mark = quote(column.column), _mark_of(column, quote(column.column))
            sql = f"SELECT {mark}, count(*) FROM {quote(model._meta.db_table)} WHERE length({name}) > 0 GROUP BY 1"  # noqa: S608  # ours
            with connections[router.db_for_read(model)].cursor() as cursor:
                cursor.execute(sql)
                for mark, count in cursor.fetchall():
                    yield Seal(model, column.name, _id_in(column, mark), count)


def stale(model: type[models.Model]) -> int:
    """Return how many rows hold a value that is not under the key that writes."""
    with connections[router.db_for_read(model)].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {model._meta.db_table} WHERE {_stale(model)}")  # noqa: S608  # ours
        return int(cursor.fetchone()[0])


def reindex(model: type[models.Model], tell: Tell = _untold) -> Resealed:
    """Write all blind indexes of a model under the first key for them, whatever they are under now."""
    rows, closed = _pass(model, _filled(model), SealedColumn.open, tell, skip=False)
    return Resealed(rows, tuple(sorted(closed)))


def rotate(model: type[models.Model], tell: Tell = _untold) -> Resealed:
    """Seal what is not under the first key anew, until nothing is left but what does not open."""
    return _passes(model, _stale(model), SealedColumn.open, tell)


def seal_all(model: type[models.Model], plain_of: Callable[[Any], Any] = lambda stored: stored) -> int:
    """Seal the columns of a model that were plain until now, as a migration does; it may be run again.

    plain_of: makes the plain value of what was stored.

    Raises:
        CannotOpen: some rows are sealed already, under a key that is not in the settings.
    """

    def opened(column: SealedColumn, row: Any, stored: Any) -> Any:
        try:
            return column.open(row, stored)
        except UnknownKey:
            raise
        except CannotOpen:
            return plain_of(stored)

    rows, closed = _pass(model, _filled(model), opened, _untold, skip=False)
    if closed:
        raise CannotOpen(
            f"{len(closed)} rows of {model._meta.label} are sealed under a key that is not in the settings"
        )
    return rows


def _passes(model: type[models.Model], where: str, opened: Opened, tell: Tell) -> Resealed:
    rows, closed, held = 0, set[Any](), 0
    for _ in range(PASSES):
        done, failed = _pass(model, where, opened, tell, skip=True)
        rows, closed = rows + done, closed | failed
        held = stale(model) - len(closed)
        if held <= 0:
            break
        time.sleep(PAUSE_S)
    return Resealed(rows, tuple(sorted(closed)), max(held, 0))


def _pass(model: type[models.Model], where: str, opened: Opened, tell: Tell, *, skip: bool) -> tuple[int, set[Any]]:
    """Seal the rows of which `where` holds once; return how many, and the keys of those that do not open."""
    rows, closed, last = 0, set[Any](), None
    while True:
        with transaction.atomic(using=router.db_for_write(model)):
            keys = _lock(model, where, last, skip=skip)
            if not keys:
                return rows, closed
            done, failed = _seal(model, keys, opened)
        rows, closed, last = rows + done, closed | failed, keys[-1]
        tell(done)


def _lock(model: type[models.Model], where: str, after: Any, *, skip: bool) -> list[Any]:
    """Lock the next rows in the order of their keys and return these, as many as one batch bears."""
    sizes = " + ".join(f"coalesce(octet_length({column.column}), 0)" for column in sealed.columns(model))
    beyond = "" if after is None else "AND id > %s"
    sql = f"""SELECT id, {sizes} FROM {model._meta.db_table} WHERE ({where}) {beyond} ORDER BY id LIMIT {ROWS}
              FOR NO KEY UPDATE {"SKIP LOCKED" if skip else ""}"""  # noqa: S608  # our own names only
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(TRIGGERS_LET)
        cursor.execute(sql, [] if after is None else [after])
        keys, room = list[Any](), BYTES
        for key, size in cursor.fetchall():
            if keys and size > room:
                break
            keys.append(key)
            room -= size
    return keys


def _seal(model: type[models.Model], keys: Sequence[Any], opened: Opened) -> tuple[int, set[Any]]:
    columns, table = sealed.columns(model), model._meta.db_table
    bound = ["id" if column.bound_to == "pk" else column.bound_to for column in columns]
    named = ", ".join(["id", *bound, *(str(column.column) for column in columns)])
    made, closed = list[tuple[Any, ...]](), set[Any]()
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(f"SELECT {named} FROM {table} WHERE id = ANY(%s)", [list(keys)])  # noqa: S608  # ours
        for key, *values in cursor.fetchall():
            places = list(zip(columns, values[: len(columns)], values[len(columns) :], strict=True))
            try:
                plain = [opened(column, row, stored) if stored else stored for column, row, stored in places]
            except CannotOpen:
                closed.add(key)
            else:
                made.append((key, *_anew(model, places, plain)))
        _write(cursor, model, made)
    return len(made), closed


def _anew(
    model: type[models.Model], places: Sequence[tuple[SealedColumn, Any, Any]], plain: Sequence[Any]
) -> list[Any]:
    """Return what the sealed columns and the blind indexes of a row are to hold."""
    stored = [column.seal(row, value) for (column, row, _), value in zip(places, plain, strict=True)]
    values = {column.name: value for (column, _, _), value in zip(places, plain, strict=True)}
    return [*stored, *(index.digest(values[index.of]) for index in sealed.indexes(model))]


def _write(cursor: Any, model: type[models.Model], made: Sequence[tuple[Any, ...]]) -> None:
    using, table = router.db_for_write(model), model._meta.db_table
    fields: list[models.Field[Any, Any]] = [*sealed.columns(model), *sealed.indexes(model)]
    types = [f"%s::{field.db_type(connections[using])}[]" for field in (model._meta.pk, *fields)]
    names = [f"to_{number}" for number, _ in enumerate(fields)]
    sets = ", ".join(f"{field.column} = made.{name}" for field, name in zip(fields, names, strict=True))
    sql = f"""UPDATE {table} SET {sets} FROM unnest({", ".join(types)}) AS made (key, {", ".join(names)})
              WHERE {table}.id = made.key"""  # noqa: S608  # our own names only
    if made:
        cursor.execute(sql, [list(values) for values in zip(*made, strict=True)])


def _filled(model: type[models.Model]) -> str:
    return " OR ".join(f"length({column.column}) > 0" for column in sealed.columns(model))


def _stale(model: type[models.Model]) -> str:
    """Return the condition for rows with a value that is not under the key that writes."""
    return " OR ".join(
        f"(length({column.column}) > 0 AND {_mark_of(column, column.column)} IS DISTINCT FROM {_written(column)})"
        for column in sealed.columns(model)
    )


def _mark_of(column: SealedColumn, name: str) -> str:
    """Return the SQL for the part of a stored value that says which key it is under."""
    if isinstance(column, SealedBytesField):
        return f"encode(substring({name} FROM 1 FOR {keyring.HEAD}), 'hex')"
    return f"substring({name} FROM '^v1:[a-z0-9]*:')"


def _written(column: SealedColumn) -> str:
    key = keyring.writing_id()
    if isinstance(column, SealedBytesField):
        return f"'{(keyring.MAGIC + key.encode().ljust(keyring.ID_BYTES, bytes(1))).hex()}'"
    return f"'v1:{key}:'"


def _id_in(column: SealedColumn, mark: str | None) -> str:
    """Return the id of the key in what `_mark_of` finds, "" where a value is not sealed."""
    if isinstance(column, SealedBytesField):
        head = bytes.fromhex(mark or "")
        return keyring.key_id(head) if head.startswith(keyring.MAGIC) else ""
    return (mark or "::").split(":")[1]
