"""Gives each browser test one browser, or says why there is none; a missing browser must not look like a pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, installed

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the usual limit of time begin with the test itself: to install a browser may take minutes."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.fixture(scope="session")
def one_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = installed()
    if path is None:
        pytest.skip("There is no Chromium on this machine and it cannot be installed here (apt-get as root can).")
    with Browser(path, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def chromium(one_chromium: Browser) -> Browser:
    """Give the browser without what the pages of other tests left in its log."""
    one_chromium.open("about:blank")  # what it has still to say of the last page comes before this one is there
    one_chromium.send("Log.clear")
    one_chromium.errors.clear()
    return one_chromium
