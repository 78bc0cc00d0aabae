"""Gives each browser test one browser, or says why there is none; a missing browser must not look like a pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, installed


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = installed()
    if path is None:
        pytest.skip("There is no Chromium on this machine and it cannot be installed here (apt-get as root can).")
    with Browser(path, tmp_path_factory.mktemp("browser")) as browser:
        yield browser
