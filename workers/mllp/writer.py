"""Commits what the connections hand in, one commit for all that waits; only then is anything answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from workers.inbound import columns
from workers.intake import RECEIVED
from workers.mllp.database import (
    Blobs,
    Column,
    Database,
    Flags,
    Numbers,
    SameTexts,
    SameUuids,
    Texts,
    Trouble,
    Uuids,
    is_away,
)
from workers.mllp.exchange import Exchange

BATCH, BATCH_BYTES = 256, 16 * 1024 * 1024  # of one commit
ON_DISK_S = 0.0025  # longer than nearly any batch takes to be written: now it is the disk that is waited for
# With one connection alone, in interleaved runs: 8 labs are served 3 to 18 % slower; 32 labs 17 % slower while the disk
# is slow and 4 % faster while it is quick, for 15 us less of PostgreSQL a message.
RETRY_S = (0.1, 0.5, 1.0)  # the last of them over and over
KINDS: tuple[type[Column], ...] = (  # of `INSERT`
    Uuids, Blobs, Texts, Texts, *[SameTexts] * 3, Texts, *[SameTexts] * 5, SameUuids, Blobs, Numbers, Flags,
)  # fmt: skip

log = logging.getLogger(__name__)

Before = tuple[UUID, str, str]  # row, status and work state of what was stored before
Stored = Callable[[Exchange, Before | None], None]


class Writer:
    """One statement, one commit and one trip for everything that arrived during the last one; no delay is added.

    When a commit waits for the disk, what came meanwhile goes aside on a second connection, so that the next flush of
    the disk takes it along; never two messages with one control id at a time, which could not see each other.
    While the database is away it tries again and nothing is answered. A message the database will not hold is answered
    AE, stays with its sender, and stops nobody else.
    """

    def __init__(
        self, databases: tuple[Database, Database], stored: Stored, refused: Callable[[Exchange], None]
    ) -> None:
        self._databases = databases
        self._stored = stored
        self._refused = refused
        self._queue: deque[Exchange] = deque()
        self._more, self._on_disk, self._aside_is_free = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._in_main = self._in_aside = frozenset[str]()
        self._trouble = Trouble(log)

    def put(self, exchange: Exchange) -> None:
        self._queue.append(exchange)
        self._more.set()

    async def run(self) -> None:
        self._aside_is_free.set()
        await asyncio.gather(self._main(), self._aside())

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._something()
            batch = self._next()
            self._in_main = _names(batch)
            if not self._in_main.isdisjoint(self._in_aside):
                await self._aside_is_free.wait()
            timer = loop.call_later(ON_DISK_S, self._on_disk.set)
            await self._commit(self._databases[0], batch)
            timer.cancel()
            self._on_disk.clear()
            self._in_main = frozenset()

    async def _aside(self) -> None:
        while True:
            await self._on_disk.wait()
            await self._something()
            if not self._on_disk.is_set():
                continue
            batch = self._next()
            names = _names(batch)
            if not names.isdisjoint(self._in_main):
                self._queue.extendleft(reversed(batch))
                self._on_disk.clear()
                continue
            self._in_aside = names
            self._aside_is_free.clear()
            await self._commit(self._databases[1], batch)
            self._in_aside = frozenset()
            self._aside_is_free.set()

    async def _something(self) -> None:
        while not self._queue:
            self._more.clear()
            await self._more.wait()

    def _next(self) -> list[Exchange]:
        queue, size = self._queue, 0
        batch = list[Exchange]()
        while queue and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(queue.popleft())
            size += batch[-1].size
        return batch

    async def _commit(self, database: Database, batch: Sequence[Exchange]) -> None:
        attempt = 0
        while True:
            try:
                known = await self._store(database, batch)
            except psycopg.Error as error:
                if not is_away(error):
                    return await self._one_by_one(database, batch, error)
                self._trouble.tell(f"cannot store {len(batch)} messages", error)
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
            else:
                for exchange in batch:
                    self._stored(exchange, known.get(exchange.taken.dedupe_key))
                return None

    async def _store(self, database: Database, batch: Sequence[Exchange]) -> dict[str, Before]:
        found = columns([exchange.taken for exchange in batch])
        rows = await database.run([kind(values) for kind, values in zip(KINDS, found, strict=True)])
        known = {_text(key): (UUID(bytes=row), _text(status), _text(state)) for key, row, status, state in rows}
        return known if len(found[0]) == len(batch) else {**_stored_first(found), **known}

    async def _one_by_one(self, database: Database, batch: Sequence[Exchange], error: psycopg.Error) -> None:
        log.error("%d messages cannot be stored: %s", len(batch), type(error).__name__)  # its text may hold a message
        if len(batch) == 1:
            return self._refused(batch[0])
        for exchange in batch:
            await self._commit(database, [exchange])
        return None


def _names(batch: Sequence[Exchange]) -> frozenset[str]:
    return frozenset(exchange.taken.head.control_id for exchange in batch)


def _stored_first(found: Sequence[Sequence[Any]]) -> dict[str, Before]:
    """Return the row of each message of a batch, for those of the same batch that repeat it."""
    rows = zip(found[0], found[3], found[11], strict=True)  # id, dedupe key and status, as `columns` has them
    return {key: (UUID(bytes=row), status, "waiting" if status == RECEIVED else "done") for row, key, status in rows}


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
