"""The door for lab feeds: frames, stores, commits, and only then acknowledges. Its own process, asyncio.

Many connections share one commit: the writer takes everything that arrived during the last one. When the database is
away the writer keeps trying and the listener stops reading: it neither refuses nor acknowledges.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import ssl
import time
from collections.abc import Sequence

import django
import uvloop
from django.db import DatabaseError, close_old_connections

from integrations.hl7 import mllp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from workers.inbound import Arrival, store  # noqa: E402  # models load only after django.setup()

MAX_MESSAGE = 20 * 1024 * 1024  # bytes; an embedded PDF is a few MB
MAX_CONNECTIONS = 1000
IDLE_S = 3600.0  # labs keep connections open for hours
FRAME_S = 60.0  # a message that has begun must end within this
BATCH = 200
RETRY_S = 1.0

log = logging.getLogger(__name__)

Waiting = tuple[Arrival, "asyncio.Future[bytes]"]


class Writer:
    """Stores what the connections hand in, one commit for all that is waiting; answers with the ACK of each."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue(maxsize=4 * BATCH)

    async def stored(self, arrival: Arrival) -> bytes:
        """Return the acknowledgement of `arrival` once it is committed; waits as long as that takes."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        await self.queue.put((arrival, answer))
        return await answer

    async def run(self) -> None:
        while True:
            batch = [await self.queue.get()]
            while len(batch) < BATCH and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            for (_, answer), ack in zip(batch, await self._commit([item for item, _ in batch]), strict=True):
                if not answer.done():
                    answer.set_result(ack)

    async def _commit(self, arrivals: Sequence[Arrival]) -> list[bytes]:
        """Store the batch, trying again for as long as the database is away."""
        while True:
            try:
                return await asyncio.to_thread(_store_fresh, arrivals)
            except DatabaseError as error:
                log.warning("cannot store %d messages (%s); trying again", len(arrivals), type(error).__name__)
                await asyncio.sleep(RETRY_S)


def _store_fresh(arrivals: Sequence[Arrival]) -> list[bytes]:
    close_old_connections()
    return store(arrivals)


class Listener:
    """Accepts connections, answers each message in order, drains on stop."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.connections: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if len(self.connections) >= MAX_CONNECTIONS or task is None:
            stream.close()
            return
        self.connections.add(task)
        try:
            await self._converse(reader, stream)
        except (ConnectionError, TimeoutError, mllp.FrameTooLong) as reason:
            log.info("connection closed: %s", type(reason).__name__)
        finally:
            self.connections.discard(task)
            stream.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await stream.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        deframer = mllp.Deframer(MAX_MESSAGE)
        peer = str((stream.get_extra_info("peername") or ("",))[0])
        begun = time.monotonic()
        while not self.stopping.is_set():
            data = await self._read(reader, IDLE_S if not deframer.pending else FRAME_S - (time.monotonic() - begun))
            if not data:
                return
            if not deframer.pending:
                begun = time.monotonic()
            for raw in deframer.feed(data):
                stream.write(mllp.frame(await self.writer.stored(Arrival(raw, peer))))
                await stream.drain()

    async def _read(self, reader: asyncio.StreamReader, limit_s: float) -> bytes:
        """Return the next bytes; nothing when the peer is done, too slow, or we are stopping."""
        read = asyncio.ensure_future(reader.read(65536))
        stop = asyncio.ensure_future(self.stopping.wait())
        done, _ = await asyncio.wait({read, stop}, timeout=max(limit_s, 0.0), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if read in done:
            return read.result()
        read.cancel()
        return b""

    async def drain(self) -> None:
        """Let every connection finish the message it is in, for ten seconds at most."""
        self.stopping.set()
        if self.connections:
            await asyncio.wait(self.connections, timeout=10)


async def main(host: str, port: int, tls_port: int | None, context: ssl.SSLContext | None) -> None:
    writer = Writer()
    listener = Listener(writer)
    writing = asyncio.create_task(writer.run())
    servers = [await asyncio.start_server(listener.serve, host, port, backlog=256)]
    if context is not None and tls_port is not None:
        servers.append(await asyncio.start_server(listener.serve, host, tls_port, ssl=context, backlog=256))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("listening on %s:%d", host, port)
    await stop.wait()
    for server in servers:
        server.close()
    await listener.drain()
    writing.cancel()


def tls_context(certificate: str, key: str, client_ca: str | None) -> ssl.SSLContext:
    """Return a server context for TLS 1.2 and later; with `client_ca` only peers with its certificates may speak."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mllp_listener", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2575)
    parser.add_argument("--tls-port", type=int, default=2576)
    parser.add_argument("--certificate", default=os.environ.get("CARERELAY_MLLP_CERTIFICATE", ""))
    parser.add_argument("--key", default=os.environ.get("CARERELAY_MLLP_KEY", ""))
    parser.add_argument("--client-ca", default=os.environ.get("CARERELAY_MLLP_CLIENT_CA", ""))
    return parser.parse_args()


if __name__ == "__main__":
    chosen = arguments()
    tls = tls_context(chosen.certificate, chosen.key, chosen.client_ca) if chosen.certificate else None
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(chosen.host, chosen.port, chosen.tls_port if tls else None, tls))
