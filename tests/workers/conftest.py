"""Gives the worker tests one set of real processes per module, and a broker of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.apps.core import dispatch
from tests.support.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    made = Stage(folder)
    yield made
    made.close()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the tasks that would be published; the only thing that is replaced here."""
    names: list[str] = []

    def send(name: str) -> bool:
        names.append(name)
        return True

    monkeypatch.setattr(dispatch, "send", send)
    return names
