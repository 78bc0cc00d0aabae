"""Gives tests of the admin pages without the list of all tables, which is the same on each and dear to draw."""

from __future__ import annotations

import pytest
from django.contrib import admin


@pytest.fixture
def without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out of each page of the admin the list of tables beside it; `test_admin_tables` looks at that."""
    monkeypatch.setattr(admin.site, "get_app_list", lambda *_, **__: [])
