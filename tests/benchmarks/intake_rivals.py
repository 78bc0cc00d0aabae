"""What the listener is measured against: the same rows committed one by one, and two MLLP servers in public use.

`python -m tests.benchmarks.intake_rivals plain CONNECTIONS SECONDS NAME | hl7 PORT | hl7apy PORT`
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import hl7.mllp
import psycopg
import uvloop
from hl7apy.mllp import AbstractHandler, MLLPServer

from backend.apps.core.keyring import OVERHEAD
from tests.benchmarks.intake_load import message
from workers import intake
from workers.feeds import QUERY, Book, book_of
from workers.intake import Arrival

INSERT = """
INSERT INTO laboratory_inboundmessage (
    id, raw, size_bytes, sha256, dedupe_key, peer, sending_application, sending_facility, control_id, message_type,
    version, ack_code, status, status_reason, work_state, feed_id, ack_sent, repeats, conflict,
    created_at, updated_at, received_at, due_at, is_deleted
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'ORU^R01', '2.5.1', 'AA', 'received', '', 'waiting', %s, %s, 0, false,
          now(), now(), now(), now(), false)
"""
ACK = "MSH|^~\\&|CARERELAY|CLINIC|BENCH|BENCH LAB|{at}||ACK^R01^ACK|{own}|P|2.5.1\rMSA|AA|{control}\r"


def row(raw: bytes, book: Book) -> tuple[Any, ...]:
    """Return the row the listener would store, its answer with it; nothing is sealed, whatever the size says."""
    taken = intake.take(Arrival(raw, "127.0.0.1"), book, intake.now())
    head = taken.head
    return (
        uuid4(), raw, len(raw) - OVERHEAD, taken.sha256, taken.dedupe_key, "127.0.0.1", head.sending_app,
        head.sending_facility, head.control_id, head_feed(taken), taken.receipt,
    )  # fmt: skip


def head_feed(taken: intake.Taken) -> str | None:
    return taken.feed.key.hex() if taken.feed else None


def book() -> Book:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return book_of(connection.execute(QUERY).fetchall())  # type: ignore[arg-type]  # rows as the book takes them


async def plain(connections: int, seconds: float, name: str) -> None:
    """Commit one row after the other on each of `connections`; print how many and how long each took."""
    known = book()
    opened = [
        await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) for _ in range(connections)
    ]
    until, took = time.perf_counter() + seconds, list[float]()

    async def client(number: int, connection: psycopg.AsyncConnection[Any]) -> None:
        count = 0
        while time.perf_counter() < until:
            count += 1
            began = time.perf_counter()
            values = row(message(f"{name}{number:02d}{count:07d}"), known)
            await connection.execute(INSERT, values, prepare=True, binary=True)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(client(number, connection) for number, connection in enumerate(opened)))
    seconds = time.perf_counter() - began
    took.sort()
    found = {
        "count": len(took), "wrong": 0, "rate": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1000, "p99_ms": took[len(took) * 99 // 100] * 1000,
    }  # fmt: skip
    sys.stdout.write(json.dumps(found) + "\n")


async def serve_hl7(port: int) -> None:
    """The asyncio server of the `hl7` package, storing before it answers, on a database connection per sender."""
    known = book()

    async def talk(reader: Any, writer: Any) -> None:
        async with await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            while not writer.is_closing():
                try:
                    found = await reader.readmessage()
                except asyncio.IncompleteReadError:
                    break
                await connection.execute(INSERT, row(str(found).encode(), known), prepare=True, binary=True)
                writer.writemessage(found.create_ack())
                await writer.drain()
        writer.close()

    async with await hl7.mllp.start_hl7_server(talk, "127.0.0.1", port, encoding="utf-8", limit=2**20) as server:
        await server.serve_forever()


def serve_hl7apy(port: int) -> None:
    """The threaded server of hl7apy, with an answer written as text, on a pool of database connections."""
    known = book()
    idle, lock = list[Any](), threading.Lock()

    class Storing(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
        def reply(self) -> str:
            raw = self.incoming_message.encode()
            with lock:
                connection = idle.pop() if idle else None
            connection = connection or psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
            connection.execute(INSERT, row(raw, known), prepare=True, binary=True)
            with lock:
                idle.append(connection)
            control = raw.split(b"|", 10)[9].decode()
            answer = ACK.format(at=datetime.now(UTC).strftime("%Y%m%d%H%M%S"), own=uuid4().hex[:20], control=control)
            return f"\x0b{answer}\x1c\r"

    MLLPServer.request_queue_size = 128
    with MLLPServer("127.0.0.1", port, {"ORU^R01^ORU_R01": (Storing,)}) as server:
        server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        uvloop.run(plain(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
    elif sys.argv[1] == "hl7":
        asyncio.run(serve_hl7(int(sys.argv[2])))
    else:
        serve_hl7apy(int(sys.argv[2]))
