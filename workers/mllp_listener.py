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
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import django
import uvloop
from django.db import Error, InterfaceError, OperationalError, close_old_connections

from integrations.hl7 import mllp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from workers.inbound import Arrival, refusal, store  # noqa: E402  # models load only after django.setup()

MAX_MESSAGE = 20 * 1024 * 1024  # bytes; an embedded PDF is a few MB
MAX_CONNECTIONS = 1000
IDLE_S = 3600.0  # labs keep connections open for hours
FRAME_S = 60.0  # a message that has begun must end within this
BATCH, BATCH_BYTES = 200, 64 * 1024 * 1024  # of one commit; PostgreSQL takes no statement above 1 GB
RETRY_S = 1.0

log = logging.getLogger(__name__)

Waiting = tuple[Arrival, "asyncio.Future[bytes]"]


class Writer:
    """Stores what the connections hand in, one commit for all that is waiting; answers with the ACK of each."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue(maxsize=4 * BATCH)
        self._thread = ThreadPoolExecutor(max_workers=1)  # one thread, one connection

    async def take(self, arrival: Arrival) -> asyncio.Future[bytes]:
        """Put `arrival` in line; the future holds its acknowledgement once it is committed."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        await self.queue.put((arrival, answer))
        return answer

    async def run(self) -> None:
        while True:
            batch = [await self.queue.get()]
            size = len(batch[0][0].raw)
            while len(batch) < BATCH and size < BATCH_BYTES and not self.queue.empty():
                batch.append(self.queue.get_nowait())
                size += len(batch[-1][0].raw)
            for (_, answer), ack in zip(batch, await self._commit([item for item, _ in batch]), strict=True):
                if not answer.done():
                    answer.set_result(ack)

    async def _commit(self, arrivals: Sequence[Arrival]) -> list[bytes]:
        """Store the batch, trying again for as long as the database is away.

        When the database is there and will not hold the batch, each message is stored by itself, so that one does not
        stop the others; the one it will not hold is answered AE and stays with its sender.
        """
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, _store_fresh, arrivals)
            except (OperationalError, InterfaceError) as error:
                log.warning("cannot store %d messages (%s); trying again", len(arrivals), type(error).__name__)
                await asyncio.sleep(RETRY_S)
            except Error as error:
                log.error("%d messages cannot be stored: %s", len(arrivals), type(error).__name__)
                if len(arrivals) == 1:
                    return [refusal(arrivals[0])]
                return [ack for arrival in arrivals for ack in await self._commit([arrival])]


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
        except (OSError, mllp.FrameTooLong) as reason:  # TLS errors and time-outs are OSErrors
            log.info("connection closed: %s", type(reason).__name__)
        finally:
            self.connections.discard(task)
            stream.close()
            with contextlib.suppress(OSError):
                await stream.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        deframer = mllp.Deframer(MAX_MESSAGE)
        peer = str((stream.get_extra_info("peername") or ("",))[0])
        begun = time.monotonic()
        while not self.stopping.is_set():
            data = await self._read(reader, IDLE_S if not deframer.pending else FRAME_S - (time.monotonic() - begun))
            if not data:
                return
            in_midst = deframer.pending
            answers = [await self.writer.take(Arrival(raw, peer)) for raw in deframer.feed(data)]
            for answer in answers:
                stream.write(mllp.frame(await answer))
                await stream.drain()
            if answers or not in_midst:  # what is pending now has begun just now
                begun = time.monotonic()

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
        """Let every connection get the answers to what it has sent whole, for ten seconds at most."""
        self.stopping.set()
        if self.connections:
            await asyncio.wait(self.connections, timeout=10)


async def main(host: str, port: int, tls_port: int | None, context: ssl.SSLContext | None) -> int:
    """Listen until told to stop; 1 when the writer broke, so that the supervisor starts us again."""
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
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, writing}, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.close()
    if writing.done():
        log.critical("the writer broke: %s", type(writing.exception()).__name__)  # its text may hold a message
        return 1
    await listener.drain()
    writing.cancel()
    return 0


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
    sys.exit(uvloop.run(main(chosen.host, chosen.port, chosen.tls_port if tls else None, tls)))
