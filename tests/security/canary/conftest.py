"""Starts the stack of the canary once for the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.attacks.stack import own_database
from tests.security.canary.stack import CanaryStack

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pytest-django make its tables, from which ours are copied."""
    for item in items:
        if item.path.parent == HERE and "running" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture
def _django_db_helper() -> None:
    """Empty no tables after a test: the stack goes on with its rows."""


@pytest.fixture(scope="package")
def running(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CanaryStack]:
    with django_db_blocker.unblock(), own_database():
        stack = CanaryStack(tmp_path_factory.mktemp("canary"))
        try:
            stack.start()
            yield stack
        finally:
            stack.close()
