"""Who may be connected and how much they may hold together; without it a thousand peers would each take 20 MB."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from integrations.hl7 import batch
from workers import intake
from workers.feeds import Book
from workers.intake import Arrival
from workers.mllp.connection import Connection, Pause
from workers.mllp.counters import Counters
from workers.mllp.exchange import Exchange, Group
from workers.mllp.limits import Limits
from workers.mllp.writer import Writer

OVERHEAD = 2000  # bytes that any message costs beside its own
MOST_IN_BATCH = 10_000  # messages of one frame

log = logging.getLogger(__name__)


class Door:
    """All connections. Reads none of them until there is a book of feeds, and none while too much is in flight.

    When the begun messages of all connections fill the memory, the oldest of them alone is read on until it is whole:
    so it always goes on.
    """

    def __init__(self, limits: Limits, writer: Writer, counters: Counters) -> None:
        self.limits = limits
        self.writer = writer
        self.counters = counters
        self.connections: set[Connection] = set()
        self.now = asyncio.get_running_loop().time
        self._book: Book | None = None
        self._addresses = Counter[str]()
        self._in_flight = self._handed_in = 0
        self._full = self._stopping = False
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self, connection: Connection) -> None:
        """Let a connection in, or hang up when there are too many, or too many from its address."""
        if self._stopping or len(self.connections) >= self.limits.connections:
            return connection.drop("too_many")
        if self._addresses[connection.address] >= self.limits.per_address:
            return connection.drop("too_many_from_an_address")
        self.connections.add(connection)
        self._addresses[connection.address] += 1
        self.counters.open = len(self.connections)
        self._empty.clear()
        if self._book is None:
            connection.pause(Pause.CLOSED_DOOR)
        if self._full:
            connection.pause(Pause.MEMORY)
        return None

    def leave(self, connection: Connection) -> None:
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._addresses[connection.address] -= 1
        if not self._addresses[connection.address]:
            del self._addresses[connection.address]
        self.counters.open = len(self.connections)
        self._favour()
        if not self.connections:
            self._empty.set()

    def open_with(self, book: Book) -> None:
        """Decide by this book from now on."""
        first, self._book = self._book is None, book
        if first:
            for connection in list(self.connections):
                connection.resume(Pause.CLOSED_DOOR)
                connection.work()

    def take(self, connection: Connection, content: bytes) -> None:
        """Decide about what one frame holds, a message or a batch, and hand it to the writer."""
        found = batch.of_frame(content, MOST_IN_BATCH)
        if found is None:
            return self._hand_in(connection, content, None)
        if len(found[1]) > MOST_IN_BATCH:
            return connection.end("batch_too_long")
        return self._take_batch(connection, *found)

    def _take_batch(self, connection: Connection, whole: batch.Batch, found: list[bytes]) -> None:
        """Store each message by itself and answer all of them in one frame, in original mode."""
        if whole.findings:
            log.info("a batch of %d messages has %d findings about its envelope", whole.messages, len(whole.findings))
        group = Group(connection, len(found), whole)
        connection.pending.append(group)
        for each in found:
            self._hand_in(connection, each, group)

    def _hand_in(self, connection: Connection, raw: bytes, group: Group | None) -> None:
        assert self._book is not None  # noqa: S101  # a closed door reads nothing
        arrival = Arrival(raw, connection.address, intake.NETWORK, connection.certificate)
        taken = intake.take(arrival, self._book, intake.now(), in_batch=group is not None)
        exchange = Exchange(taken, connection, group)
        if group is None:
            connection.pending.append(exchange)
        else:
            group.exchanges.append(exchange)
        self.counters.bytes += exchange.size
        if taken.reason is None:
            self.counters.accepted += 1
            if taken.feed is not None:
                self.counters.show(taken.feed.key, connection.ends_at)
        else:
            self.counters.refused[taken.reason.name.lower()] += 1
        self._handed_in += 1
        if self._full:
            connection.pause(Pause.MEMORY)
        self.hold(exchange.size + OVERHEAD)
        self.writer.put(exchange)

    def stored(self, exchange: Exchange) -> None:
        """The message is committed, or refused for good; its bytes are no longer ours to hold."""
        self._handed_in -= 1
        self.hold(-exchange.size - OVERHEAD)

    def hold(self, size: int) -> None:
        """Count bytes in or out, and stop or go on reading."""
        self._in_flight += size
        if self._full or self._in_flight > self.limits.in_flight:
            self._weigh()

    def _weigh(self) -> None:
        if not self._full and self._in_flight > self.limits.in_flight:
            self._full = True
            for connection in list(self.connections):
                connection.pause(Pause.MEMORY)
        elif self._full and self._in_flight < self.limits.in_flight // 2:
            self._full = False
            for connection in list(self.connections):
                connection.resume(Pause.MEMORY)
        self._favour()

    def _favour(self) -> None:
        """Read on from one connection when what fills the memory are messages that have only begun."""
        if not self._full or self._handed_in:
            return
        begun = [one for one in self.connections if one.deframer.pending and not one.gone]
        if begun and all(one.paused & Pause.MEMORY for one in begun):
            min(begun, key=lambda one: one.began).resume(Pause.MEMORY)

    async def watch(self) -> None:
        """Once a second, end what is too slow or idle."""
        while True:
            await asyncio.sleep(1.0)
            now = self.now()
            for connection in list(self.connections):
                connection.check(now)

    async def drain(self) -> None:
        """Read no more; let every connection get the answers to what it has sent whole, for a while at most."""
        self._stopping = True
        for connection in list(self.connections):
            connection.pause(Pause.ENDING)
            connection.leave_if_done()
        try:
            await asyncio.wait_for(self._empty.wait(), self.limits.drain_s)
        except TimeoutError:
            log.warning("%d connections were cut when we stopped", len(self.connections))
            for connection in list(self.connections):
                connection.transport.abort()
