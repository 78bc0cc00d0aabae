"""Makes sealed values that do not open, as after a lost key; without it each test would write that SQL by itself."""

from __future__ import annotations

from typing import Any

from django.db import connection, models

from backend.apps.core import sealed
from backend.apps.core.keyring import writing_id
from backend.apps.core.sealed import SealedBytesField, SealedColumn


def close(row: models.Model, *names: str) -> None:
    """Let columns of a row not open any more, all that are sealed where none is named."""
    _close(type(row), names, "WHERE id = %s", [row.pk])


def close_all(model: type[models.Model]) -> None:
    """Let no sealed value of a table open any more, and none be empty."""
    _close(model, (), "", [])


def _close(model: type[models.Model], names: tuple[str, ...], where: str, values: list[Any]) -> None:
    columns = [column for column in sealed.columns(model) if not names or column.name in names]
    sets = ", ".join(f"{column.column} = {_closed(column)}" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # past the triggers that keep what was received
        cursor.execute(f"UPDATE {model._meta.db_table} SET {sets} {where}", values)  # noqa: S608  # ours
        cursor.execute("SET LOCAL session_replication_role = origin")


def _closed(column: SealedColumn) -> str:
    """Return the SQL of what looks sealed under the key that writes; bytes stay as long as they are."""
    name = column.column
    if not isinstance(column, SealedBytesField):
        return f"'v1:{writing_id()}:{'A' * 60}'"
    last = f"octet_length({name}) - 1"
    turned = f"set_byte({name}, {last}, get_byte({name}, {last}) # 1)"
    return f"CASE WHEN octet_length({name}) > 0 THEN {turned} ELSE {name} END"
