"""Holds that the long form finds what a reader does not bear, keeps it, and can throw it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.progress import Progress

from tests.integrations.fuzz import damage
from tests.integrations.fuzz.__main__ import thrown


def test_what_is_not_borne_is_kept_and_named_and_comes_again_by_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert thrown(Progress(disable=True), 0.3, 7, tmp_path) == []

    def breaks(raw: bytes) -> None:
        if len(raw) % 3 == 0:
            raise IndexError

    monkeypatch.setattr(damage, "KINDS", {"x12": (damage.X12, breaks)})
    [told] = thrown(Progress(disable=True), 0.3, 7, tmp_path)
    [kept] = tmp_path.iterdir()
    seed = int(kept.stem.rpartition("-")[2])
    assert f"IndexError, seed {seed}" in told
    assert damage.one("x12", seed) == kept.read_bytes()
