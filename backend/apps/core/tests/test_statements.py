"""Proves that what comes again is prepared, and that it stays within Django's own bounds."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, connection

from backend.apps.core import statements

pytestmark = pytest.mark.django_db
TIMES = 12


def asked(sql: str, *values: Any) -> Any:
    with statements.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


def kept(text: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", [f"%{text}%"])
        return int(cursor.fetchone()[0])


def test_a_statement_that_comes_again_is_prepared_once_whatever_its_values() -> None:
    assert [asked("SELECT %s::int + 1 AS again", number) for number in range(TIMES)] == list(range(1, TIMES + 1))
    assert kept("AS again") == 1


def test_a_connection_keeps_no_more_plans_than_it_may() -> None:
    for number in range(statements.MOST + 3):
        for _ in range(TIMES):
            asked(f"SELECT {number} AS many")
    asked("SELECT 1")  # with the next statement the last one that is too many goes
    assert 0 < kept("AS many") <= statements.MOST


def test_django_sees_the_statement_and_turns_its_error_into_its_own(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert asked("SELECT %s::text", "50 %") == "50 %"
    with pytest.raises(DataError):
        asked("SELECT 1 / %s::int", 0)
