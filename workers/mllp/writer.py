"""Commits what the connections hand in, one commit for all that waits; only then is anything answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg

from workers.inbound import columns
from workers.mllp.database import Away, Blobs, Column, Database, Flags, Numbers, Texts, Uuids
from workers.mllp.exchange import Exchange

BATCH, BATCH_BYTES = 256, 16 * 1024 * 1024  # of one commit
RETRY_S = (0.1, 0.5, 1.0)  # the last of them over and over
TELL_EVERY_S = 30.0
KINDS: tuple[type[Column], ...] = (Uuids, Blobs, *[Texts] * 11, Uuids, Blobs, Numbers, Flags)  # of `INSERT`

log = logging.getLogger(__name__)

Before = tuple[UUID, str, str]  # row, status and work state of what was stored before
Stored = Callable[[Exchange, Before | None], None]


class Writer:
    """One statement, one commit and one trip for everything that arrived during the last one; no delay is added.

    While the database is away it tries again and nothing is answered. A message the database will not hold is answered
    AE, stays with its sender, and stops nobody else.
    """

    def __init__(self, database: Database, stored: Stored, refused: Callable[[Exchange], None]) -> None:
        self._database = database
        self._stored = stored
        self._refused = refused
        self._queue: deque[Exchange] = deque()
        self._more = asyncio.Event()
        self._told_at = 0.0

    def put(self, exchange: Exchange) -> None:
        self._queue.append(exchange)
        self._more.set()

    async def run(self) -> None:
        while True:
            if not self._queue:
                self._more.clear()
                await self._more.wait()
            await self._commit(self._next())

    def _next(self) -> list[Exchange]:
        queue, size = self._queue, 0
        batch = list[Exchange]()
        while queue and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(queue.popleft())
            size += batch[-1].size
        return batch

    async def _commit(self, batch: Sequence[Exchange]) -> None:
        attempt = 0
        while True:
            try:
                known = await self._store(batch)
            except Away as error:
                self._tell(len(batch), error)
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
            except psycopg.Error as error:
                return await self._one_by_one(batch, error)
            else:
                for exchange in batch:
                    self._stored(exchange, known.get(exchange.taken.dedupe_key))
                return None

    async def _store(self, batch: Sequence[Exchange]) -> dict[str, Before]:
        found = columns([exchange.taken for exchange in batch])
        rows = await self._database.run([kind(values) for kind, values in zip(KINDS, found, strict=True)])
        return {_text(key): (UUID(bytes=row), _text(status), _text(state)) for key, row, status, state in rows}

    async def _one_by_one(self, batch: Sequence[Exchange], error: psycopg.Error) -> None:
        log.error("%d messages cannot be stored: %s", len(batch), type(error).__name__)  # its text may hold a message
        if len(batch) == 1:
            return self._refused(batch[0])
        for exchange in batch:
            await self._commit([exchange])
        return None

    def _tell(self, count: int, error: Exception) -> None:
        if time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("cannot store %d messages (%s); trying again", count, type(error).__name__)


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
