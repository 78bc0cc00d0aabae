"""Empties the tables after a test that commits; without it each such test would make a thousand files anew.

TRUNCATE gives every table and index a new file, however few rows there were.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from django.db import connection


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
                connection.ops.sql_flush = deletes
    return result


def deletes(_style: object, tables: Sequence[str], **_: object) -> list[str]:
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
