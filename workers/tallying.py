"""Measures one run of an engine for the tallies; without it each engine would count and time in a way of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from backend.apps.core import tallies
from backend.apps.core.work import WorkItem
from integrations.errors import IntegrationError

NAMES = {"put back": "released", "sent": "done"}  # what engines tell in words of their own


class Tally:
    """What a run did: how long its rows had waited when they were leased, and what went wrong meanwhile, by class."""

    def __init__(self, task: str) -> None:
        self._task, self._began = task, time.monotonic()
        self._waited_s, self._errors = 0.0, Counter[str]()

    def leased(self, rows: Iterable[WorkItem]) -> None:
        """Add how long these rows had been due at the moment of their lease, by the database's clock alone."""
        for row in rows:
            if row.leased_until is not None:
                self._waited_s += max((row.leased_until - row.lease_for - row.due_at).total_seconds(), 0.0)

    def failed(self, error: object) -> None:
        """Count what a partner refused, or a bug, by its class; no text of it is kept."""
        self._errors[error.sort or "unknown" if isinstance(error, IntegrationError) else "bug"] += 1

    def note(self, counts: Mapping[str, int]) -> None:
        """Write the run down. counts: rows by how they ended, as the run tells them."""
        outcomes = Counter[str]()
        for name, count in counts.items():
            outcomes[NAMES.get(name, name).replace(" ", "_")] += count
        tallies.note(self._task, outcomes, time.monotonic() - self._began, self._waited_s, self._errors)
