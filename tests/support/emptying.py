"""Empties the tables after a test that commits; without it each such test would make a thousand files anew.

TRUNCATE gives every table and index a new file, however few rows there were.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase

KEPT = {"django_content_type", "auth_permission"}  # Django derives them from our models; we never write them


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Give Django our way to empty tables once it has made its connection to the test database, where it may."""
    result = yield
    if fixturedef.argname == "django_db_setup":
        with request.getfixturevalue("django_db_blocker").unblock(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('is_superuser')")
            if cursor.fetchone() == ("on",):  # who else may not switch triggers off
                TransactionTestCase._fixture_teardown = empty
    return result


def empty(_case: TransactionTestCase) -> None:
    """Empty all tables but those that stay the same, which a flush would derive anew each time for most of its cost."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    connection.ops.execute_sql_flush(deletes(set(tables) - KEPT))


def deletes(tables: Collection[str]) -> list[str]:
    """Return what empties these tables, in one transaction: it waits for who still writes, as TRUNCATE does.

    The triggers are off meanwhile: references need no order, and the audit log lets its rows go.
    """
    names = sorted(map(connection.ops.quote_name, tables))
    if not names:
        return []
    return [
        f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE",
        "SET LOCAL session_replication_role = replica",
        "; ".join(f"DELETE FROM {name}" for name in names),  # noqa: S608  # tables of our own models
    ]
