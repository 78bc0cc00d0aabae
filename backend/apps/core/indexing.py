"""Fills the blind indexes of rows, and writes them under another key; without it nobody would find what is sealed.

While a key is turned values are found under all keys of the settings, so that nobody misses a row in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db import IntegrityError, connections, models, router, transaction

from backend.apps.core import keyring, resealing, sealed
from backend.apps.core.bulk import write_each
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.sealed import BlindIndex, SealedColumn

ROWS = 1000  # of one batch
PAUSE_S, PASSES = 0.2, 50  # between two passes over rows that others hold, and how many
LOOKED_AT = 200  # rows of one index, to tell whether its keys are all there

Tell = Callable[[int], None]
Digests = dict[Any, list[bytes | None]]  # by the key of the row, in the order of the model's indexes


def untold(_rows: int) -> None:
    """Tell nobody how far the work is."""


class Reindexed(NamedTuple):
    """rows: written. clashing: rows whose value another row has too. held: rows others held to the end.

    closed: rows that do not open.
    """

    rows: int = 0
    clashing: tuple[Any, ...] = ()
    closed: tuple[Any, ...] = ()
    held: tuple[Any, ...] = ()


class Lost(NamedTuple):
    """An index of which no key of the settings finds some rows. name: "patients.Patient.phone_index".

    rows: of those looked at, which are not found. looked_at: how many those were.
    """

    name: str
    rows: int
    looked_at: int

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.rows} of {self.looked_at} rows looked at are found by no key of CARERELAY_INDEX_KEYS, "
            "so that opt-outs may be missed. Put the key that was taken out back, or stop sending; then "
            "`keys rotate --indexes`."
        )


def lost() -> Iterator[Lost]:
    """Yield the indexes of which some rows are not found, by a sample: digests are even, so neighbours are any rows."""
    for model in resealing.sealed_models():
        for index in sealed.indexes(model):
            some = _some(model, index)
            rows = sum(not _is_found(index, *row) for row in some)
            if rows:
                yield Lost(f"{model._meta.label}.{index.name}", rows, len(some))


def _some(model: type[models.Model], index: BlindIndex) -> list[tuple[Any, Any, bytes]]:
    """Return of some rows what their value is bound to, the value and what it is found by."""
    at, named = os.urandom(keyring.INDEX_BYTES), (sealed.column(model, index.of).bound_to, index.of, index.name)
    rows = model._base_manager.order_by(index.name).values_list(*named)
    some = list(rows.filter(**{f"{index.name}__gte": at})[:LOOKED_AT])
    return some + list(rows.filter(**{f"{index.name}__lt": at})[: LOOKED_AT - len(some)])


def _is_found(index: BlindIndex, row: Any, value: Any, held: bytes) -> bool:
    try:
        return bytes(held) in index.digests(sealed.opened(value, row))
    except CannotOpen:
        return True  # `keys check` tells of it


def fill(model: type[models.Model]) -> int:
    """Fill what is empty of the model's blind indexes, batch by batch; return how many rows. It may be run again.

    What its columns hold may be sealed already, or not yet.
    """
    return sum(_fill(model, index, sealed.column(model, index.of)) for index in sealed.indexes(model))


def reindex(model: type[models.Model], tell: Tell = untold) -> Reindexed:
    """Write the blind indexes of a model that are not under the first key for them, batch by batch.

    It waits for nobody: a row that is held comes later. It may be ended and run again; what is done is only read then.
    """
    rows, clashing, closed, held = 0, set[Any](), set[Any](), set[Any]()
    for turn in range(PASSES):
        held, last = set(), None
        while keys := _keys(model, last):
            outdated, bad = _outdated(model, keys)
            done, taken, busy = _written(model, list(outdated)) if outdated else (0, set(), set())
            rows, clashing, closed, held = rows + done, clashing | taken, closed | bad, held | busy
            last = keys[-1]
            tell(len(keys) if turn == 0 else 0)
        if not held:
            break
        time.sleep(PAUSE_S)
    return Reindexed(rows, *(tuple(sorted(some)) for some in (clashing, closed, held)))


def _keys(model: type[models.Model], after: Any) -> list[Any]:
    beyond = {} if after is None else {"pk__gt": after}
    return list(model._base_manager.filter(**beyond).order_by("pk").values_list("pk", flat=True)[:ROWS])


def _outdated(model: type[models.Model], keys: list[Any], *, locked: bool = False) -> tuple[Digests, set[Any]]:
    """Return what the indexes of these rows should hold and do not, and the keys of rows that do not open.

    locked: lock the rows, and leave those out that others hold.
    """
    indexes = sealed.indexes(model)
    names = [name for index in indexes for name in (sealed.column(model, index.of).bound_to, index.of, index.name)]
    rows = model._base_manager.filter(pk__in=keys).order_by("pk")  # the order of the model may join other tables
    if locked:
        rows = rows.select_for_update(no_key=True, skip_locked=True)
    found, closed = Digests(), set[Any]()
    for key, *values in rows.values_list("pk", *names):
        kept, digests = [held and bytes(held) for held in values[2::3]], list[bytes | None]()
        for index, row, value, held in zip(indexes, values[::3], values[1::3], kept, strict=True):
            try:
                digests.append(index.digest(sealed.opened(value, row)))
            except CannotOpen:
                closed.add(key)
                digests.append(held)
        if locked or digests != kept:
            found[key] = digests
    return found, closed


def _written(model: type[models.Model], keys: list[Any]) -> tuple[int, set[Any], set[Any]]:
    """Write the indexes of these rows; return how many, and the keys of those that clash and of those that are held."""
    using, clashing = router.db_for_write(model), set[Any]()
    with transaction.atomic(using=using):
        found, _ = _outdated(model, keys, locked=True)
        indexes, batches = sealed.indexes(model), [list(found)]
        while batches:
            batch = batches.pop()
            columns = {str(index.column): [found[key][place] for key in batch] for place, index in enumerate(indexes)}
            try:
                with transaction.atomic(using=using):
                    write_each(model, batch, columns)
            except IntegrityError:
                batches += [[key] for key in batch] if len(batch) > 1 else []
                clashing |= set(batch) if len(batch) == 1 else set()
    return len(found) - len(clashing), clashing, {*keys} - {*found}


def _fill(model: type[models.Model], index: BlindIndex, column: SealedColumn) -> int:
    using, table, rows, last = router.db_for_write(model), model._meta.db_table, 0, None
    while True:
        beyond = "" if last is None else "AND id > %s"
        sql = f"""SELECT id, {column.column} FROM {table}
                  WHERE {index.column} IS NULL AND length({column.column}) > 0 {beyond}
                  ORDER BY id LIMIT {ROWS} FOR NO KEY UPDATE"""  # noqa: S608  # our own names only
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(sql, [] if last is None else [last])
            found = cursor.fetchall()
            if not found:
                return rows
            keys = [key for key, _ in found]
            digests = [index.digest(_plain(column, key, stored)) for key, stored in found]
            cursor.execute(
                f"""UPDATE {table} SET {index.column} = made.digest
                    FROM unnest(%s::{model._meta.pk.db_type(connections[using])}[], %s::bytea[]) AS made (key, digest)
                    WHERE {table}.id = made.key""",  # noqa: S608  # our own names only
                [keys, digests],
            )
        rows, last = rows + len(found), keys[-1]


def _plain(column: SealedColumn, key: Any, stored: Any) -> Any:
    try:
        return column.open(key, stored)
    except CannotOpen:
        return stored
