"""Gives all tests of some files and folders to one process; without it both would start what such tests share.

The marks of pytest-xdist 3.8 do not reach its scheduler under pytest 9: a node's name cannot be changed any more.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

TOGETHER = {
    "tests/architecture/test_sizes.py",  # one reading of all files
    "tests/launcher/test_bootstrap.py",  # one install
    "tests/launcher/test_up.py",  # one stack
}
TOGETHER_FOLDERS = ("tests/security/attacks/", "tests/security/canary/")  # one stack each


class ByFile(LoadGroupScheduling):
    """Share the tests out one by one, but those of a file or folder that is kept together as one; these come first."""

    def _split_scope(self, nodeid: str) -> str:
        folder = next(filter(nodeid.startswith, TOGETHER_FOLDERS), None)
        file = nodeid.partition("::")[0]
        return folder or (file if file in TOGETHER else nodeid)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forget a share that is done: xdist would count all of ten thousand anew after each test."""
        nodeid = self.registered_collections[node][item_index]
        shares, name = self.assigned_work[node], self._split_scope(nodeid)
        shares[name][nodeid] = True
        if all(shares[name].values()):
            del shares[name]
        self._reschedule(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getoption("dist") == "loadgroup" else None
