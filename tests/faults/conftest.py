"""Gives each fault test its stage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stage import Stage
from tests.support.twilio_double import TwilioDouble


@pytest.fixture
def stage(tmp_path: Path, transactional_db: None) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture
def twilio(stage: Stage) -> Iterator[TwilioDouble]:
    """A provider behind a real socket that every process of the stage sends to."""
    with TwilioDouble() as double:
        stage.extra.update(
            TWILIO_ACCOUNT_SID="AC" + "0" * 32,
            TWILIO_AUTH_TOKEN="test-token",
            TWILIO_FROM="+14155550199",
            TWILIO_BASE_URL=double.url,
            CARERELAY_SMS="twilio",
        )
        yield double
