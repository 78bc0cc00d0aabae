"""Puts the door together: sockets, writer, feeds, outcomes, bell; without it the parts would not know each other."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import psycopg

from backend.apps.core import dispatch
from workers import feeds, intake
from workers.inbound import INSERT, TASK
from workers.mllp.connection import Connection
from workers.mllp.counters import Counters
from workers.mllp.database import Database, Trouble
from workers.mllp.door import Door
from workers.mllp.exchange import Exchange
from workers.mllp.limits import Limits
from workers.mllp.outcomes import Outcomes
from workers.mllp.writer import Before, Writer

RING_S = 0.1  # at most one ring in so long
BACKLOG = 512
HANDSHAKE_S = 10.0

Address = tuple[str, int, ssl.SSLContext | None]  # host, port, TLS

log = logging.getLogger(__name__)


def _tell_kind_only(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log that a connection broke; the text of an exception may hold a message."""
    log.error("a connection broke: %s", type(context.get("exception")).__name__)


class Bell:
    """Tells the workers that there is something to file; many commits are one ring, and no answer waits for it."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()

    def ring(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await asyncio.to_thread(dispatch.send, TASK)
            await asyncio.sleep(RING_S)


class Listener:
    """Everything one process does; admitted: see `Connection`.

    `run` returns 0 when it was told to stop, 1 when something of it broke.
    """

    def __init__(self, limits: Limits, admitted: frozenset[str] = frozenset()) -> None:
        self._limits = limits
        self._admitted = admitted
        self._counters = Counters(Database())
        self._writer = Writer((Database(INSERT), Database(INSERT)), self._stored, self._refused)
        self._door = Door(limits, self._writer, self._counters)
        self._outcomes = Outcomes(Database(), limits.filing_s)
        self._bell = Bell()

    def _stored(self, exchange: Exchange, before: Before | None) -> None:
        """Answer a message that is committed; `before` is the row of its first arrival when this is a repetition."""
        taken = exchange.taken
        self._door.stored(exchange)
        if taken.accepted:
            self._bell.ring()
        if taken.later == intake.DEFERRED:
            self._follow_up(exchange, before)
            return
        exchange.settle(taken.receipt)
        if taken.later == intake.ENHANCED:
            self._follow_up(exchange, before)

    def _refused(self, exchange: Exchange) -> None:
        """Answer a message the database will not hold."""
        self._door.stored(exchange)
        exchange.settle(intake.refusal(exchange.taken, intake.now()))

    def _follow_up(self, exchange: Exchange, before: Before | None) -> None:
        code = intake.filed(before[1], before[2]) if before is not None else None
        if before is None or code is None:
            self._outcomes.await_(exchange, before[0] if before is not None else None)
        else:
            self._outcomes.settle(exchange, before[0], code)

    async def run(self, addresses: Sequence[Address]) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_tell_kind_only)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        works = (
            self._writer.run(), self._outcomes.run(), self._bell.run(), self._door.watch(), self._counters.report(),
            self._refresh(),
        )  # fmt: skip
        tasks = [asyncio.create_task(work) for work in works]
        servers = [await self._listen(*address) for address in addresses]
        log.info("listening on %s", ", ".join(f"{host}:{port}" for host, port, _ in addresses))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.close()
        broken = [task for task in tasks if task.done()]
        if broken:
            log.critical("the listener broke: %s", type(broken[0].exception()).__name__)  # its text may hold a message
            return 1
        await self._door.drain()
        await self._counters.end()
        for task in tasks:
            task.cancel()
        return 0

    async def _listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Listen on a port that other listeners may share, where the system can do that."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(self._door, self._admitted if tls is not None else frozenset()),
            host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            reuse_port=hasattr(socket, "SO_REUSEPORT") or None,
            ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
        )

    async def _refresh(self) -> None:
        """Keep the book of feeds as the database has it; until there is one, nothing is read."""
        database, before, trouble = Database(), list[Any](), Trouble(log)
        is_known = False
        while True:
            try:
                rows = await database.rows(feeds.QUERY)
            except psycopg.Error as error:
                trouble.tell("cannot read the feeds", error)
            else:
                if rows != before or not is_known:
                    before, is_known = rows, True
                    self._door.open_with(feeds.book_of(rows))
                    log.info("%d feeds", len(rows))
            await asyncio.sleep(self._limits.refresh_s if is_known else 0.5)
