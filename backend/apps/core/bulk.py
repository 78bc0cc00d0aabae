"""Writes many rows in few statements; without it a thousand results a second would each pay for their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from django.db import connections, models, router
from django.utils import timezone
from psycopg.types.json import Jsonb

from backend.apps.core import sealed
from backend.apps.core.sealed import BlindIndex, SealedColumn

Getter = Callable[[Any], Any]
SPECIAL = (models.JSONField, models.FileField, SealedColumn, BlindIndex)


def copy_in(rows: Sequence[Any]) -> None:
    """Insert unsaved rows of one model with one COPY; their keys are set already and they count as saved after it.

    Several times as fast as `bulk_create` for wide rows. It knows no conflicts and no database defaults: a field that
    was not set is an error of the caller.
    """
    if not rows:
        return
    model, now = type(rows[0]), timezone.now()
    _stamp(rows, now)
    fields = model._meta.concrete_fields
    using, values_of = router.db_for_write(model), itemgetter(*[field.attname for field in fields])
    special = [(place, field) for place, field in enumerate(fields) if isinstance(field, SPECIAL)]
    quote = connections[using].ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    with connections[using].cursor() as cursor, connections[using].wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            values = list(values_of(row.__dict__))
            for place, field in special:
                values[place] = prepared(field, values[place], row, add=True)
            copy.write_row(values)
    for row in rows:
        row._state.adding, row._state.db = False, using


def update_each(rows: Iterable[Any], names: Collection[str]) -> int:
    """Write the fields `names` of each row, and `updated_at` if it has one, in one statement; return how many."""
    changed = list(rows)
    if not changed:
        return 0
    model = type(changed[0])
    if any(field.name == "updated_at" for field in model._meta.concrete_fields):
        now = timezone.now()
        for row in changed:
            row.updated_at = now
        names = {*names, "updated_at"}
    fields = [model._meta.get_field(name) for name in sorted(sealed.with_indexes(model, names))]
    columns = {field.column: [_getter(field)(row) for row in changed] for field in fields}
    return len(write_each(model, [row.pk for row in changed], columns))


def write_each(
    model: type[models.Model],
    keys: Sequence[Any],
    columns: Mapping[str, Sequence[Any]],
    *,
    also: str = "",
    matched: Mapping[str, Sequence[Any]] | None = None,
) -> list[Any]:
    """Set in each row of `keys` its own values of `columns`, in one statement; return the keys of those written.

    matched: columns that must hold these values, row by row, for a row to be written. also: more assignments, in SQL of
    our own names only.
    """
    using = router.db_for_write(model)
    quote = connections[using].ops.quote_name
    types = {field.column: _array_type(field, using) for field in model._meta.concrete_fields}
    table, pk, given = quote(model._meta.db_table), str(model._meta.pk.column), matched or {}
    data = {f"of_{name}": (name, values) for name, values in {pk: keys, **given}.items()}
    data |= {f"to_{name}": (name, values) for name, values in columns.items()}
    sources = ", ".join(f"%s::{types[name]}" for name, _ in data.values())
    sets = ", ".join([*(f"{quote(name)} = data.{quote(f'to_{name}')}" for name in columns), *([also] if also else [])])
    fence = " AND ".join(f"{table}.{quote(name)} = data.{quote(f'of_{name}')}" for name in (pk, *given))
    sql = (
        f"UPDATE {table} SET {sets} FROM unnest({sources}) AS data ({', '.join(map(quote, data))}) "  # noqa: S608  # ours
        f"WHERE {fence} RETURNING {table}.{quote(pk)}"
    )
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [list(values) for _, values in data.values()])
        return [key for (key,) in cursor.fetchall()]


def prepared(field: models.Field[Any, Any], value: Any, row: Any, *, add: bool = False) -> Any:
    """Return a value of a row, or that is to become one, as the database driver takes it."""
    if isinstance(field, models.JSONField):
        return None if value is None else Jsonb(value)
    if isinstance(field, SealedColumn):
        return field.stored_of(row, value, add=add)
    if isinstance(field, BlindIndex):
        return field.digest(getattr(row, field.of))
    return str(value or "") if isinstance(field, models.FileField) else value


def _getter(field: models.Field[Any, Any]) -> Getter:
    name = field.attname
    if isinstance(field, SPECIAL):
        return lambda row: prepared(field, getattr(row, name), row)
    return lambda row: getattr(row, name)


def _array_type(field: models.Field[Any, Any], using: str) -> str:
    """Return the array type of a column, without its length: a cast would cut what is too long, and say nothing."""
    return f"{str(field.db_type(connections[using])).partition('(')[0]}[]"


def _stamp(rows: Sequence[Any], now: Any) -> None:
    names = [
        field.attname
        for field in type(rows[0])._meta.concrete_fields
        if isinstance(field, models.DateTimeField) and (field.auto_now or field.auto_now_add)
    ]
    for row in rows:
        for name in names:
            setattr(row, name, now)
