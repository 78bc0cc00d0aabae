"""Draws what goes wrong at a partner from a seed; without it a day of faults could not be lived through again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from integrations.doubles.server import Answer, Failure

LATE_S = 2.0
KINDS: dict[str, Callable[[], Failure]] = {
    "late": lambda: Failure(hang_s=LATE_S),
    "429": lambda: Failure(Answer(429, {"message": "too many requests"}, {"Retry-After": "2"})),
    "503": lambda: Failure(Answer(503, {"message": "service unavailable"})),
    "reset": lambda: Failure(drop=True),
    "taken, answer lost": lambda: Failure(drop=True, accepted=True),
}
WRITES = frozenset({"POST"})  # what only asks is answered


class Trouble:
    """What goes wrong with the requests of one partner, in the order in which they come; called by one at a time.

    A `share` of the requests goes wrong, until there were `most`; each kind comes once before one comes again. counts:
    how often by kind. tell: hears of each.
    """

    def __init__(self, seed: str, *, share: float, most: int, tell: Callable[[str], None]) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - a plan, not a secret
        self._first = self._dice.sample(sorted(KINDS), len(KINDS))
        self._share, self._most, self._tell = share, most, tell
        self.counts = Counter[str]()

    def __call__(self, method: str) -> Failure:
        if method not in WRITES or self.counts.total() >= self._most or self._dice.random() >= self._share:
            return Failure()
        kind = self._first.pop() if self._first else self._dice.choice(sorted(KINDS))
        self.counts[kind] += 1
        self._tell(kind)
        return KINDS[kind]()
