"""Gives each pipeline test its stage of real processes, and a feed for any laboratory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.apps.laboratory.tests.factories import make_lab_feed
from tests.support.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, transactional_db: None) -> Iterator[Stage]:
    make_lab_feed()
    made = Stage(tmp_path)
    yield made
    made.close()
