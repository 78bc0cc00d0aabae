"""Proves that building the tables leaves the process as it was."""

from __future__ import annotations

import gc

import pytest
from django.core.management import call_command, get_commands


@pytest.mark.django_db
def test_the_collector_is_left_as_it_was() -> None:
    assert get_commands()["migrate"] == "backend.apps.core"
    before = gc.get_threshold()
    call_command("migrate", verbosity=0)
    assert gc.get_threshold() == before
