"""The pytest plugin of the whole repository: the one place where the test database differs from the real one."""

from __future__ import annotations

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let Django empty the tables after a transaction test: only the audit log's no-truncate trigger is switched off.

    `backend/apps/core/tests/test_audit.py` switches it on again, inside its transaction, and proves the refusal.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditlog DISABLE TRIGGER core_auditlog_no_truncate")
