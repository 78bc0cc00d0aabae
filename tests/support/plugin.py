"""The pytest plugin of the whole repository: the one place where what is tested differs from what runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Let Django empty the tables after a transaction test: only the triggers that refuse a TRUNCATE are switched off.

    Those of the audit log stay on, for a look at it names each that is off; `emptying` does without. The tests of the
    row tally switch theirs on again, inside their transactions, and prove the refusal. A hook, since pytest-django's
    own fixture wins over one of the same name in a plugin that is named by -p.
    """
    if fixturedef.argname == "django_db_setup" and (template := os.environ.get("CARERELAY_TEST_TEMPLATE")):
        connection.settings_dict["TEST"]["TEMPLATE"] = template  # its tables are there: nothing is left to migrate
    result = yield
    if fixturedef.argname == "django_db_setup":
        with request.getfixturevalue("django_db_blocker").unblock(), connection.cursor() as cursor:
            cursor.execute("SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE '%\\_no\\_truncate'")
            for table, trigger in cursor.fetchall():
                if table.startswith("core_audit"):
                    continue
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        own_counters(os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    return result


def pytest_collection_finish() -> None:
    """Keep what was loaded out of every later garbage collection, as the web process does: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def pytest_configure() -> None:
    """Let a drawn example take its time: how fast the machine is at that moment is nothing a test may fail by."""
    slow = [HealthCheck.too_slow]
    hypothesis.register_profile("any machine", hypothesis(), deadline=None, suppress_health_check=slow)
    hypothesis.load_profile("any machine")
    if settings.configured:  # not without Django
        settings.WHITENOISE_AUTOREFRESH = True  # or each client of a test would read all static files once more


def own_counters(worker: str) -> None:
    """Keep the throttles of parallel test processes apart: they share one Redis and one address."""
    settings.CACHES["default"]["KEY_PREFIX"] = caches["default"].key_prefix = f"carerelay-cache-{worker}"
