"""Gives tests of the whole a stage of real processes, and a provider that all of them send to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.doubles.twilio import TwilioDouble
from tests.support.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, transactional_db: None) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture
def twilio(stage: Stage) -> Iterator[TwilioDouble]:
    """A provider behind a real socket that every process of the stage sends to."""
    with TwilioDouble() as double:
        stage.extra.update(double.environment)
        yield double
