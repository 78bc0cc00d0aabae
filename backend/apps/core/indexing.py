"""Fills the blind indexes of rows that were there before them; without it nobody would find what is sealed."""

from __future__ import annotations

from typing import Any

from django.db import connections, models, router, transaction

from backend.apps.core import sealed
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.sealed import BlindIndex, SealedColumn

ROWS = 1000  # of one batch


def fill(model: type[models.Model]) -> int:
    """Fill what is empty of the model's blind indexes, batch by batch; return how many rows. It may be run again.

    What its columns hold may be sealed already, or not yet.
    """
    return sum(_fill(model, index, sealed.column(model, index.of)) for index in sealed.indexes(model))


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
