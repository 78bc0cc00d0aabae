"""Holds that nothing we install with is stopped in its midst: a package half written breaks the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import browser
from tests.support.stage import until


def test_a_program_we_stop_waiting_for_goes_on_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "INSTALL_S", 0.05)
    browser.let_finish("sh", "-c", f"sleep 0.5; touch {tmp_path / 'whole'}")
    assert not (tmp_path / "whole").exists()
    until((tmp_path / "whole").exists)
