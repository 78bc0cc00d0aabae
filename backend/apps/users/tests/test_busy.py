"""Holds what a sign-in is told whose guess cannot be counted in time; without it a crash would be the answer."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from backend.apps.core.models import AuditLog
from backend.apps.users import guards
from backend.apps.users.models import User
from backend.apps.users.tests.doors import api, browser, enter, tokens_of
from tests.support.stage import database_url

WHO = "somebody@example.org"


@pytest.fixture
def held(transactional_db: None) -> Iterator[None]:
    """Somebody else holds the count of this login for longer than a statement of ours may take."""
    guards.count(WHO, guards.PASSWORD, None, is_wrong=True)
    with psycopg.connect(database_url()) as other, connection.cursor() as cursor:
        other.execute("SELECT FROM users_loginguard FOR UPDATE")
        cursor.execute("SET statement_timeout = 300")
        yield
        cursor.execute("RESET statement_timeout")


def test_a_guess_that_cannot_be_counted_in_time_lets_nobody_in_and_is_written_down(held: None) -> None:
    user = User(email=WHO, role="nurse")
    page, call = enter(browser(raise_request_exception=False), user, "wrong"), tokens_of(api(), user, "wrong")
    assert (page.status_code, call.status_code) == (503, 503)
    assert (page["Cache-Control"], b"try again" in page.content) == ("no-store, private", True)
    rows = AuditLog.objects.order_by("timestamp").values_list("action", "outcome", "detail__reason")
    assert list(rows) == [("sign-in", "refused", "busy"), ("login", "refused", None)]
