"""No plain value of any sealed column is in the database, whichever model it is of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, models

from backend.apps.core import resealing, sealed, seals
from backend.apps.core.bases import uuid7
from backend.apps.core.keyring import MAGIC
from backend.apps.core.sealed import CannotOpen, SealedBytesField, SealedColumn, SealedJSONField
from backend.apps.insurance.models import BillingEntity
from backend.apps.laboratory.models import InboundMessage
from tests.security.matrix import make_practice
from tests.security.test_admin_pages import make_row

pytestmark = pytest.mark.django_db
MARK = "Zqxsealed"


def planted(column: SealedColumn) -> Any:
    text = (MARK * 40)[: column.max_length or 90]
    if isinstance(column, SealedJSONField):
        return {"said": text}
    return text.encode() if isinstance(column, SealedBytesField) else text


def stored(row: models.Model, column: SealedColumn) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column.column} FROM {row._meta.db_table} WHERE id = %s", [row.pk])  # noqa: S608  # ours
        return cursor.fetchone()[0]


def plant(row: Any) -> None:
    """Write a value of ours into each sealed column, past the triggers that keep what was received."""
    model = type(row)
    values = {one.name: one.sealed(getattr(row, one.bound_to), planted(one)) for one in sealed.columns(model)}
    if model is InboundMessage:
        values["size_bytes"] = len(planted(sealed.column(model, "raw")))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        model._base_manager.filter(pk=row.pk).update(**values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def before(column: SealedColumn) -> Any:
    """Return what stood in a column before it was sealed."""
    plain = planted(column)
    if column.model is BillingEntity:
        return seals.seal(plain)  # under the secret key
    return json.dumps(plain) if isinstance(column, SealedJSONField) else plain


@pytest.mark.parametrize("model", resealing.sealed_models(), ids=lambda model: model._meta.label)
def test_what_a_clinic_had_before_is_carried_over_by_the_upgrade_and_by_nobody_twice(model: Any) -> None:
    row, columns, indexes = make_row(model, make_practice()), sealed.columns(model), sealed.indexes(model)
    plant(row)
    sets = ", ".join([*(f"{one.column} = %s" for one in columns), *(f"{one.column} = NULL" for one in indexes)])
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if model is InboundMessage:  # the upgrade takes it away while it seals
            cursor.execute("ALTER TABLE laboratory_inboundmessage DROP CONSTRAINT laboratory_inboundmessage_size_true")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {model._meta.db_table} SET {sets} WHERE id = %s", [*map(before, columns), row.pk])  # noqa: S608  # ours
        cursor.execute("SET LOCAL session_replication_role = origin")
    plain_of = seals.unseal if model is BillingEntity else None
    unchanged = model._base_manager.values().get(pk=row.pk)
    assert resealing.seal_all(model, plain_of) >= 1
    held = [stored(row, column) for column in columns]
    assert all(column.key_id(value) for column, value in zip(columns, held, strict=True))
    found = model._base_manager.get(pk=row.pk)
    assert [getattr(found, one.name) for one in columns] == [planted(one) for one in columns]
    for index in indexes:
        assert found in model._base_manager.filter(
            sealed.same(model, index.name, planted(sealed.column(model, index.of)))
        )
    after = model._base_manager.values().get(pk=row.pk)
    assert {name for name in after if after[name] != unchanged[name]} == {one.name for one in (*columns, *indexes)}
    assert resealing.seal_all(model, plain_of) == 0
    assert [stored(row, column) for column in columns] == held


def test_no_sealed_column_of_any_model_shows_its_plain_value_and_each_opens_in_its_own_row_only() -> None:
    practice, seen = make_practice(), list[str]()
    for model in resealing.sealed_models():
        row = make_row(model, practice)
        plant(row)
        found = model._base_manager.get(pk=row.pk)
        for column in sealed.columns(model):
            held = stored(row, column)
            assert MARK not in (held if isinstance(held, str) else bytes(held).decode("latin-1"))
            assert held.startswith("v1:") if isinstance(held, str) else bytes(held).startswith(MAGIC)
            assert getattr(found, column.name) == planted(column)
            with pytest.raises(CannotOpen):
                column.open(uuid7(), held)
            seen.append(column.name)
    assert {"raw", "content", "tax_id", "dea_number", "subjective", "phone", "from_number", "payload"} <= set(seen)
