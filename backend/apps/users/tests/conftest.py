"""Lets a test of sign-ins hash with little work; without it half of its time would go into hashes."""

from __future__ import annotations

import pytest

from backend.apps.users.hashers import Argon2id


@pytest.fixture
def quick_to_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as always, with the least work: how hard a password is to guess from its hash is nothing held here."""
    for cost, least in {"time_cost": 1, "memory_cost": 64, "parallelism": 1}.items():
        monkeypatch.setattr(Argon2id, cost, least)
