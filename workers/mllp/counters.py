"""What the door did, in numbers; without it nobody could tell from the log whether labs are being heard."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from backend.apps.core import tallies
from workers.mllp.database import Database

EVERY_S = 60.0
LAST_S = 2.0  # how long the last numbers may hold up an end
NAME = "mllp.receive"  # no task's: what the door took in, among the tallies
SHOWN = """
    UPDATE laboratory_labfeed AS feed SET certificate_ends_at = told.ends_at
    FROM unnest(%s::uuid[], %s::timestamptz[]) AS told (id, ends_at)
    WHERE feed.id = told.id AND feed.certificate_ends_at IS DISTINCT FROM told.ends_at"""

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
        self._shown = dict[bytes, datetime | None]()  # by feed: the end of the certificate its last message came with
        self._unnoted = dict[bytes, datetime | None]()  # those of them that the feeds' rows do not have yet

    def __str__(self) -> str:
        told = [f"connections={self.open} accepted={self.accepted} bytes={self.bytes}"]
        for name, counter in (("refused", self.refused), ("cut", self.cut)):
            told += [f"{name}.{why}={count}" for why, count in sorted(counter.items())]
        return " ".join(told)

    def show(self, feed: bytes, ends_at: datetime | None) -> None:
        """Remember when the certificate ends by which a feed spoke; None: it showed none."""
        if feed not in self._shown or self._shown[feed] != ends_at:
            self._shown[feed] = self._unnoted[feed] = ends_at

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
        if found is not None:
            await self._noted("the tally", tallies.ADD, found)
        if ends := self._unnoted:
            self._unnoted = {}
            told = [[UUID(bytes=feed) for feed in ends], [*ends.values()]]
            if not await self._noted("the ends of certificates", SHOWN, told):
                self._unnoted = {**ends, **self._unnoted}

    async def _noted(self, what: str, statement: str, values: Sequence[Any]) -> bool:
        try:
            if self._database is not None:
                await self._database.rows(statement, values)
        except psycopg.Error as error:
            log.warning("%s of %s was not noted: %s", what, NAME, type(error).__name__)
            return False
        return True

    def tell(self) -> None:
        if self.accepted or self.refused or self.cut:
            log.info("%s", self)
        self.accepted = self.bytes = 0
        self.refused.clear()
        self.cut.clear()
