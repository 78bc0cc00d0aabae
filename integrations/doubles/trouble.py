"""Draws what goes wrong at a partner from a seed; without it a day of faults could not be lived through again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

from integrations.doubles.server import Answer, Failure

LATE_S = 2.0
WRITES = frozenset({"POST"})  # what only asks is answered
LOST = "taken, answer lost"

Kinds = Mapping[str, Callable[[], Failure]]


def kinds(refusal: Callable[[int], Answer]) -> Kinds:
    """Return what can go wrong, by name; refusal: the partner's own answer of a status."""
    return {
        "late": lambda: Failure(hang_s=LATE_S),
        "429": lambda: Failure(refusal(429)),
        "503": lambda: Failure(refusal(503)),
        "reset": lambda: Failure(drop=True),
        LOST: lambda: Failure(drop=True, accepted=True),
    }


class Trouble:
    """What goes wrong with the first `requests` that write to a partner; called by one at a time.

    A `share` of them goes wrong, at most `most`, and each kind once if there are as many requests. planned: the kind by
    the place of its request, from 0, while it is still to come. left_out: kinds for which there are too few requests.
    counts: how often each came. tell: hears of each.
    """

    def __init__(
        self, seed: str, of: Kinds, *, requests: int, share: float, most: int, tell: Callable[[str], None]
    ) -> None:
        dice, names = random.Random(seed), sorted(of)  # noqa: S311 - a plan, not a secret
        count = min(requests, max(len(names), min(most, round(share * requests))))
        drawn = [*dice.sample(names, len(names)), *(dice.choice(names) for _ in range(most))]
        places = dice.sample(range(requests), count)
        self.planned = dict(zip(places, drawn, strict=False))
        self.left_out = drawn[count : len(names)]
        self.counts = Counter[str]()
        self._of, self._tell, self._came = of, tell, 0

    def __call__(self, method: str) -> Failure:
        if method not in WRITES:
            return Failure()
        kind = self.planned.pop(self._came, "")
        self._came += 1
        if not kind:
            return Failure()
        self.counts[kind] += 1
        self._tell(kind)
        return self._of[kind]()
