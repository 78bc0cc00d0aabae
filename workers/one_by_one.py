"""Does one thing to many rows, each in a transaction of its own; without it one bad row would stop a whole sweep."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workers.runner import HandlerBug, attempt

BUDGET_S = 180.0  # less than CELERY_TASK_SOFT_TIME_LIMIT; the next run goes on


def one_by_one(task: str, keys: Iterable[Any], do: Callable[[Any], Mapping[str, int]]) -> Counter[str]:
    """Return what `do` counted for all of the keys, as far as the time allows.

    Raises:
        HandlerBug: after the last; it names the kind of the last exception only, as the runner's does.
    """
    until, counts = time.monotonic() + BUDGET_S, Counter[str]()
    bug: Exception | None = None
    for key in keys:
        if time.monotonic() > until:
            break
        done, error = attempt(do, key)
        counts.update(done or {})
        bug = error or bug
    if bug is not None:
        raise HandlerBug(f"{type(bug).__name__} in {task}")
    return counts
