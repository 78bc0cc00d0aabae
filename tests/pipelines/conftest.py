"""Gives each pipeline test a feed for any laboratory beside its stage."""

import pytest

from backend.apps.laboratory.tests.factories import make_lab_feed


@pytest.fixture(autouse=True)
def any_lab(transactional_db: None) -> None:
    make_lab_feed()
