"""Gives these tests a clearinghouse behind a real SFTP server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.x12.fake import FakeClearinghouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeClearinghouse]:
    with FakeClearinghouse(tmp_path / "house", password="let-me-in") as running:
        yield running
