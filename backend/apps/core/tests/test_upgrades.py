"""An upgrade that seals waits for the parts of the version before, and refuses while one works."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError
from django.db import connection
from django.db.migrations import Migration

from backend.apps.core import upgrades
from backend.apps.core.management.commands.migrate import SparingExecutor
from tests.support.stage import database_url

pytestmark = pytest.mark.django_db


def step(app: str, name: str) -> tuple[Migration, bool]:
    return SparingExecutor(connection).loader.graph.nodes[app, name], False


SEALS = ("insurance", "0011_sealed_payments_told")


def test_an_upgrade_that_seals_is_refused_before_it_changes_anything_while_a_part_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upgrades, "WAIT_S", 0)
    with psycopg.connect(database_url(), application_name="worker"):
        with pytest.raises(CommandError, match="and worker of the version before still work"):
            SparingExecutor(connection).migrate([], plan=[step(*SEALS)])
        upgrades.insist_alone(connection, [step("insurance", "0010_sealed_by_owner")], [])
        upgrades.insist_alone(connection, [step(*SEALS)], whole=[step(*SEALS)])


def test_it_waits_for_a_part_that_ends_and_minds_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "LOOK_S", 0.01)
    looks, look = list[list[str]](), upgrades._at_work
    part = psycopg.connect(database_url(), application_name="mllp")
    looked = threading.Event()

    def looking(at: Any) -> list[str]:
        looks.append(look(at))
        looked.set()
        return looks[-1]

    monkeypatch.setattr(upgrades, "_at_work", looking)
    ending = threading.Thread(target=lambda: (looked.wait(20), part.close()))
    ending.start()
    with psycopg.connect(database_url(), application_name="psql"):
        upgrades.insist_alone(connection, [step(*SEALS)], [])
    ending.join(20)
    assert (looks[0], looks[-1]) == (["mllp"], [])
