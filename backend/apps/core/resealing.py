"""Seals rows anew, batch by batch, beside running workers; without it a key could never be given up.

Pass by pass over the rows that are not sealed as they should be: each batch is locked (a row that somebody holds is
left for a later pass, so nobody waits for anybody), opened, sealed and committed. A run that was ended goes on where
it was, because what is done is no longer looked for. `TRIGGERS_LET` is how the triggers that keep what was received
know us, if we are who owns the tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, connections, models, router, transaction
from psycopg.errors import UniqueViolation

from backend.apps.core import keyring, sealed
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.sealed import SealedBytesField, SealedColumn

ROWS, BYTES = 500, 16 * 1024 * 1024  # of one batch at most; one row may be larger
NOT_SET = "which is not in CARERELAY_FIELD_KEYS"
PAUSE_S, PASSES = 0.2, 50  # between two passes over rows that others hold, and how many
TRIGGERS_LET = "SELECT set_config('carerelay.resealing', 'on', true)"
OWNS = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = %s::regclass"

Opened = Callable[[SealedColumn, Any, Any], Any]  # (column, row, stored) -> the plain value, None: it stays as it is
Tell = Callable[[int], None]


def _untold(_rows: int) -> None:
    """Tell nobody how far the work is."""


class Resealed(NamedTuple):
    """rows: sealed anew. closed: keys of rows with a value that does not open. held: rows others held to the end.

    clashing: keys of rows that stay as they are, for another row has the same value, and only one may.
    """

    rows: int = 0
    closed: tuple[Any, ...] = ()
    held: int = 0
    clashing: tuple[Any, ...] = ()


class Left(NamedTuple):
    """Keys of rows that stay as they are; see `Resealed`."""

    closed: set[Any]
    clashing: set[Any]


class Seal(NamedTuple):
    """How many values of a column are sealed under one key; key_id "": they are not sealed."""

    model: type[models.Model]
    column: str
    key_id: str
    values: int


def sealed_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if sealed.columns(model)]


def status(*models: type[models.Model]) -> Iterator[Seal]:
    """Yield for each sealed column, of all models if none is named, how many values are under which key."""
    for model in models or sealed_models():
        for column in sealed.columns(model):
            quote = connections[router.db_for_read(model)].ops.quote_name
            name, mark = quote(column.column), _mark_of(column, quote(column.column))
            sql = f"SELECT {mark}, count(*) FROM {quote(model._meta.db_table)} WHERE length({name}) > 0 GROUP BY 1"  # noqa: S608  # ours
            with connections[router.db_for_read(model)].cursor() as cursor:
                cursor.execute(sql)
                for key, count in cursor.fetchall():
                    yield Seal(model, column.name, key or "", count)


def stale(model: type[models.Model]) -> int:
    """Return how many rows hold a value that is not under the key that writes."""
    return _count(model, _stale(model))


def plain(model: type[models.Model]) -> int:
    """Return how many rows hold a value that nobody sealed."""
    return _count(model, _plain(model))


def may_seal(model: type[models.Model]) -> bool:
    """Whether we are who owns the table, whom alone the triggers let touch what stays as it is."""
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(OWNS, [model._meta.db_table])
        return bool(cursor.fetchone()[0])


def rotate(model: type[models.Model], tell: Tell = _untold) -> Resealed:
    """Seal what is not under the first key anew, until nothing is left but what does not open."""
    return _passes(model, _stale, SealedColumn.open, tell)


def mend(model: type[models.Model], tell: Tell = _untold) -> Resealed:
    """Seal what stayed plain in a column that is sealed; `closed` is what cannot be the plain value of its column."""
    return _passes(model, _plain, _as_it_stands, tell)


def seal_all(model: type[models.Model], plain_of: Callable[[Any], Any] | None = None, tell: Tell = _untold) -> int:
    """Seal the columns of a model that were plain until now, as a migration does; run again it goes on where it was.

    plain_of: makes the plain value of what was stored, if it was not the value itself. What is sealed stays as it is.

    Raises:
        CannotOpen: some values look sealed and do not open, or `plain_of` raised it; all others are sealed.
        IntegrityError: some rows have a value that only one may have; all others are sealed.
    """

    def opened(column: SealedColumn, row: Any, stored: Any) -> Any:
        if column.key_id(stored):
            return None
        return plain_of(stored) if plain_of else column.unsealed(stored)

    rows, (closed, clashing) = _pass(model, _plain(model), opened, tell, skip=False)
    known = {name for name, _ in settings.FIELD_KEYS}
    for seal in status(model):
        if seal.key_id and seal.key_id not in known:
            raise CannotOpen(f"{seal.values} values of {model._meta.label} are under the key {seal.key_id}, {NOT_SET}")
    if closed:
        raise CannotOpen(f"{len(closed)} rows of {model._meta.label} hold a value that does not open: {min(closed)}")
    if clashing:
        raise IntegrityError(
            f"{len(clashing)} rows of {model._meta.label} have a value another row has: {', '.join(map(str, clashing))}"
        )
    return rows


def check(model: type[models.Model], tell: Tell = _untold) -> Resealed:
    """Open all there is and change nothing; `closed` is what does not open."""
    columns, rows, closed = sealed.columns(model), 0, list[Any]()
    names = [name for column in columns for name in (column.bound_to, column.name)]
    for key, *values in model._base_manager.order_by("pk").values_list("pk", *names).iterator(chunk_size=ROWS):
        rows += 1
        tell(1)
        try:
            for row, value in zip(values[::2], values[1::2], strict=True):
                sealed.opened(value, row)
        except CannotOpen:
            closed.append(key)
    return Resealed(rows - len(closed), tuple(closed))


def _as_it_stands(column: SealedColumn, _row: Any, stored: Any) -> Any:
    if column.key_id(stored):
        return None
    if column.max_length is not None and len(stored) > column.max_length:
        raise CannotOpen("a value is too long to be what this column holds")
    return column.unsealed(stored)


def _passes(model: type[models.Model], which: Callable[[Any], str], opened: Opened, tell: Tell) -> Resealed:
    rows, held, left = 0, 0, Left(set(), set())
    for _ in range(PASSES):
        done, left = _pass(model, which(model), opened, tell, skip=True)
        rows, held = rows + done, _count(model, which(model)) - len(left.closed | left.clashing)
        if held <= 0:
            break
        time.sleep(PAUSE_S)
    return Resealed(rows, tuple(sorted(left.closed)), max(held, 0), tuple(sorted(left.clashing)))


def _pass(model: type[models.Model], where: str, opened: Opened, tell: Tell, *, skip: bool) -> tuple[int, Left]:
    """Seal the rows of which `where` holds once; return how many, and which stay as they are."""
    rows, left, last = 0, Left(set(), set()), None
    while True:
        with transaction.atomic(using=router.db_for_write(model)):
            keys = _lock(model, where, last, skip=skip)
            if not keys:
                return rows, left
            done, more = _seal(model, keys, opened)
        rows, left, last = rows + done, Left(left.closed | more.closed, left.clashing | more.clashing), keys[-1]
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


def _seal(model: type[models.Model], keys: Sequence[Any], opened: Opened) -> tuple[int, Left]:
    columns, indexes, table = sealed.columns(model), sealed.indexes(model), model._meta.db_table
    bound = ["id" if column.bound_to == "pk" else column.bound_to for column in columns]
    names = [*(column.column for column in columns), *(index.column for index in indexes)]
    named = ", ".join(["id", *bound, *map(str, names)])
    made, closed = list[tuple[Any, ...]](), set[Any]()
    with connections[router.db_for_write(model)].cursor() as cursor:
        cursor.execute(f"SELECT {named} FROM {table} WHERE id = ANY(%s)", [list(keys)])  # noqa: S608  # ours
        for key, *values in cursor.fetchall():
            rows, stored = values[: len(columns)], values[len(columns) :]
            anew, has_closed = _anew(columns, rows, stored, opened)
            if has_closed:
                closed.add(key)
            # The index of what was sealed is turned by `indexing`, which bears that two rows have one value.
            was_sealed = {column.name for column, value in zip(columns, stored, strict=False) if column.key_id(value)}
            digests = [
                kept if index.of not in anew or (kept and index.of in was_sealed) else index.digest(anew[index.of][1])
                for index, kept in zip(indexes, stored[len(columns) :], strict=True)
            ]
            texts = [anew.get(column.name, (kept,))[0] for column, kept in zip(columns, stored, strict=False)]
            if anew:
                made.append((key, *texts, *digests))
        clashing = _write(cursor, model, made)
    return len(made) - len(clashing), Left(closed, clashing)


def _anew(
    columns: Sequence[SealedColumn], rows: Sequence[Any], stored: Sequence[Any], opened: Opened
) -> tuple[dict[str, tuple[Any, Any]], bool]:
    """Return what to store and the plain value, by column, of what is to be sealed; and whether a value does not open.

    What does not open, what is empty and what is under the key that writes stays as it is.
    """
    anew, has_closed = dict[str, tuple[Any, Any]](), False
    for column, row, value in zip(columns, rows, stored, strict=False):
        if not value or column.key_id(value) == keyring.writing_id():
            continue
        try:
            plain = opened(column, row, value)
        except CannotOpen:
            has_closed = True
        else:
            if plain is not None:
                anew[column.name] = column.seal(row, plain), plain
    return anew, has_closed


def _write(cursor: Any, model: type[models.Model], made: Sequence[tuple[Any, ...]]) -> set[Any]:
    """Write the rows; return the keys of those whose value another row has, which cost no others theirs."""
    using, table = router.db_for_write(model), model._meta.db_table
    fields: list[models.Field[Any, Any]] = [*sealed.columns(model), *sealed.indexes(model)]
    types = [f"%s::{field.db_type(connections[using])}[]" for field in (model._meta.pk, *fields)]
    names = [f"to_{number}" for number, _ in enumerate(fields)]
    sets = ", ".join(f"{field.column} = made.{name}" for field, name in zip(fields, names, strict=True))
    sql = f"""UPDATE {table} SET {sets} FROM unnest({", ".join(types)}) AS made (key, {", ".join(names)})
              WHERE {table}.id = made.key"""  # noqa: S608  # our own names only
    clashing, batches = set[Any](), [made] if made else []
    while batches:
        batch = batches.pop()
        try:
            with transaction.atomic(using=using):
                cursor.execute(sql, [list(values) for values in zip(*batch, strict=True)])
        except IntegrityError as refused:
            if not isinstance(refused.__cause__, UniqueViolation):
                raise
            middle = len(batch) // 2
            batches += [batch[middle:], batch[:middle]] if middle else []
            clashing |= set() if middle else {batch[0][0]}
    return clashing


def _count(model: type[models.Model], where: str) -> int:
    with connections[router.db_for_read(model)].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {model._meta.db_table} WHERE {where}")  # noqa: S608  # ours
        return int(cursor.fetchone()[0])


def _stale(model: type[models.Model]) -> str:
    """Return the condition for rows with a value that is not under the key that writes."""
    return " OR ".join(
        f"(length({column.column}) > 0 AND {_mark_of(column, column.column)} IS DISTINCT FROM '{keyring.writing_id()}')"
        for column in sealed.columns(model)
    )


def _plain(model: type[models.Model]) -> str:
    """Return the condition for rows with a value that nobody sealed."""
    return " OR ".join(
        f"(length({column.column}) > 0 AND {_mark_of(column, column.column)} IS NULL)"
        for column in sealed.columns(model)
    )


def _mark_of(column: SealedColumn, name: str) -> str:
    """Return the SQL for the id of the key a stored value is under, NULL where it is not sealed."""
    if isinstance(column, SealedBytesField):
        head = f"substring({name} FROM 1 FOR {len(keyring.MAGIC)}) = '\\x{keyring.MAGIC.hex()}'"
        key = f"encode(substring({name} FROM {len(keyring.MAGIC) + 1} FOR {keyring.ID_BYTES}), 'escape')"
        return f"CASE WHEN {head} AND length({name}) > {keyring.OVERHEAD} THEN replace({key}, '\\000', '') END"
    head = f"left({name}, {sealed.SHOWN})"
    key, rest = f"split_part({head}, ':', 2)", f"split_part({head}, ':', 3)"
    return f"""CASE WHEN starts_with({name}, '{sealed.TEXT_MARK}') AND length({key}) BETWEEN 1 AND {keyring.ID_BYTES}
        AND length({rest}) > 37 AND length({head}) = length({key}) + length({rest}) + {len(sealed.TEXT_MARK) + 1}
        AND {key} COLLATE "C" !~ '[^a-z0-9]' AND {rest} COLLATE "C" !~ '[^A-Za-z0-9+/=]' THEN {key} END"""
