"""What the door did, in numbers; without it nobody could tell from the log whether labs are being heard."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

import psycopg

from backend.apps.core import tallies
from workers.mllp.database import Database

EVERY_S = 60.0
LAST_S = 2.0  # how long the last numbers may hold up an end
NAME = "mllp.receive"  # no task's: what the door took in, among the tallies

log = logging.getLogger(__name__)


class Counters:
    """Counts since the last line in the log; `open` is how many connections there are now."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database
        self.open = 0
        self.accepted = 0
        self.bytes = 0
        self.refused = Counter[str]()  # by the reason's name, never by a peer
        self.cut = Counter[str]()  # connections we ended, by why

    def __str__(self) -> str:
        told = [f"connections={self.open} accepted={self.accepted} bytes={self.bytes}"]
        for name, counter in (("refused", self.refused), ("cut", self.cut)):
            told += [f"{name}.{why}={count}" for why, count in sorted(counter.items())]
        return " ".join(told)

    async def report(self) -> None:
        """Write a line a minute, and add to the tallies, when there is anything to tell."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.note()

    async def end(self) -> None:
        """Tell what is left; a database that is away holds up nobody."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.note(), LAST_S)

    async def note(self) -> None:
        found = tallies.addition(NAME, {"done": self.accepted, "refused": self.refused.total()}, 0.0, 0.0)
        self.tell()
        if found is None or self._database is None:
            return
        try:
            await self._database.rows(tallies.ADD, found)
        except psycopg.Error as error:
            log.warning("the tally of %s was not noted: %s", NAME, type(error).__name__)

    def tell(self) -> None:
        if self.accepted or self.refused or self.cut:
            log.info("%s", self)
        self.accepted = self.bytes = 0
        self.refused.clear()
        self.cut.clear()
