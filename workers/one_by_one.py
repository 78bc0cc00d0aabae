"""Does one thing to many rows, each in a transaction of its own; without it one bad row would stop a whole sweep."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workers.runner import HandlerBug, attempt, told_where

BUDGET_S = 180.0  # less than CELERY_TASK_SOFT_TIME_LIMIT; the next run goes on


def one_by_one(
    task: str, keys: Iterable[Any], do: Callable[[Any], Mapping[str, int]], *, all_of_them: bool = False
) -> Counter[str]:
    """Return what `do` counted for all of the keys, as far as the time allows.

    all_of_them: no key is left for the next run, which would begin with the same ones again.

    Raises:
        HandlerBug: after the last; it names the kind of the last exception only, as the runner's does. The log names
            the key and the place of each.
    """
    until, counts = math.inf if all_of_them else time.monotonic() + BUDGET_S, Counter[str]()
    bug = ""
    for key in keys:
        if time.monotonic() > until:
            break
        done, error = attempt(do, key)
        counts.update(done or {})
        if error is not None:
            bug = told_where(error, f"{task} {key}")
    if bug:
        raise HandlerBug(f"{bug} in {task}")
    return counts
