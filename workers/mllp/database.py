"""The door's own connections to PostgreSQL: raw, prepared, and never waited for without end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from itertools import chain
from struct import Struct
from typing import Any, ClassVar

import psycopg
from django.conf import settings
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import ConnStatus, Format

from workers.mllp.pipe import Pipe

TELL_EVERY_S = 30.0
ANSWER_S = 30.0  # the longest a statement may take; a database that says nothing for so long is away
PATIENCE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
# Only known statements run here, each by an index whatever the planner believes about a table that was empty before;
# a commit is on the disk when it is reported.
SESSION = """
SELECT set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),
       set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('idle_in_transaction_session_timeout', '60s', false),
       CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
            THEN set_config('synchronous_commit', 'on', false) END
"""
Away = (psycopg.OperationalError, psycopg.InterfaceError)

READ_ONLY = "25006"  # another server may be the one that takes writes now

HEADER, LENGTH = Struct(">iiIii"), Struct(">i")
NULL = LENGTH.pack(-1)


class Column:
    """One parameter of a statement: an array as PostgreSQL takes it, built in one go instead of value by value.

    `Same…` are for what is the same in row after row: their values are remembered, ready to be sent.
    """

    __slots__ = ("data",)
    element: ClassVar[int]
    nulls: ClassVar[int] = 0  # 1: there may be some

    def __init__(self, values: Sequence[Any]) -> None:
        header = HEADER.pack(1, self.nulls, self.element, len(values), 1) if values else bytes(12)
        self.data = b"".join(chain((header,), self._cells(values)))

    def _cells(self, values: Sequence[bytes]) -> Iterable[bytes]:
        """Return each value after its length, not copied: it may be 20 MB."""
        return chain.from_iterable(zip(map(LENGTH.pack, map(len, values)), values, strict=True))


class Uuids(Column):
    element = 2950


class Blobs(Column):
    element = 17


class Texts(Column):
    element = 25

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__([value.encode() for value in values])


class Same(Column):
    def _cells(self, values: Sequence[Any]) -> Iterable[bytes]:
        if values and values.count(values[0]) == len(values):
            return (_cell(values[0]) * len(values),)
        return map(_cell, values)


class SameUuids(Same):
    element = 2950
    nulls = 1


class SameTexts(Same):
    element = 25


class Numbers(Same):
    element = 23


class Flags(Same):
    element = 16


@lru_cache(maxsize=2048, typed=True)  # True is 1 otherwise
def _cell(value: bytes | str | int | None) -> bytes:
    if value is None:
        return NULL
    if isinstance(value, int):
        value = bytes([value]) if isinstance(value, bool) else LENGTH.pack(value)
    found = value.encode() if isinstance(value, str) else value
    return LENGTH.pack(len(found)) + found


class ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> bytes:
        return obj.data


ARRAYS: dict[type[Column], int] = {Uuids: 2951, Blobs: 1001, Texts: 1009}  # of statements that run now and then


class Database:
    """One connection that is made again whenever it broke. One statement at a time.

    hot: a statement that is prepared at once and run by `run`; then this connection is for it alone.
    """

    def __init__(self, hot: str = "") -> None:
        self._hot = hot
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._pipe: Pipe | None = None

    async def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Run one statement in a transaction of its own and return what it found.

        Raises:
            psycopg.Error: it did not happen, or (`Away`) nobody knows whether it did.
        """
        connection = await self._connected()
        async with self._watched(connection):
            cursor = await connection.execute(statement, parameters or None, prepare=True, binary=True)
            return await cursor.fetchall() if cursor.description else []

    async def run(self, parameters: Sequence[Column]) -> list[list[bytes | None]]:
        """Run the hot statement; raises as `rows` does."""
        connection = await self._connected()
        async with self._watched(connection):
            assert self._pipe is not None  # noqa: S101  # made with the connection
            return await self._pipe.run([parameter.data for parameter in parameters])

    @asynccontextmanager
    async def _watched(self, connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
        """Hang up when no answer comes in time; forget a connection that broke."""
        timer = asyncio.get_running_loop().call_later(ANSWER_S, partial(_hang_up, connection.fileno()))
        try:
            yield
        except psycopg.Error as error:
            if connection.pgconn.status != ConnStatus.OK or connection.broken or error.sqlstate == READ_ONLY:
                await self.close()
            raise
        finally:
            timer.cancel()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            await self.close()
            made = await _connect()
            timer = asyncio.get_running_loop().call_later(ANSWER_S, partial(_hang_up, made.fileno()))
            try:
                _teach(made)
                await made.execute(SESSION)
                if self._hot:
                    self._pipe = Pipe(made)
                    await self._pipe.prepare(self._hot)
            except psycopg.Error:
                self._connection = made
                await self.close()  # the pipe too: it listens to a number that is the next connection's
                raise
            finally:
                timer.cancel()
            self._connection = made
        return self._connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()


class Trouble:
    """Tells of a database that cannot be used now and then, not at every try."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told_at = -TELL_EVERY_S

    def tell(self, what: str, error: Exception) -> None:
        """Log `what` with the kind of the error: its text may hold a message."""
        if time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._log.warning("%s (%s); trying again", what, type(error).__name__)


def is_away(error: psycopg.Error) -> bool:
    """Tell whether the database is away, or is one that takes no writes (SQLSTATE class 25: a standby), or refused.

    Class 54, a limit of PostgreSQL, is no outage: the message will never fit.
    """
    kind = (error.sqlstate or "")[:2]
    return kind == "25" or (isinstance(error, Away) and kind != "54")


async def _connect() -> psycopg.AsyncConnection[Any]:
    try:
        return await asyncio.wait_for(psycopg.AsyncConnection.connect(**address(), autocommit=True), ANSWER_S)
    except OSError as error:  # a time-out too
        raise psycopg.OperationalError(type(error).__name__) from None


def address() -> dict[str, Any]:
    """Return libpq's parameters from Django's settings, with the patience of the door."""
    at = settings.DATABASES["default"]
    names = {"dbname": at["NAME"], "user": at.get("USER"), "password": at.get("PASSWORD"), "host": at.get("HOST")}
    options = {name: value for name, value in at.get("OPTIONS", {}).items() if name != "pool"}
    found = {**names, "port": at.get("PORT"), **options, **PATIENCE}
    return {name: value for name, value in found.items() if value not in (None, "")}


def _teach(context: AdaptContext) -> None:
    for kind, oid in ARRAYS.items():
        context.adapters.register_dumper(kind, _dumper(oid))


def _dumper(oid: int) -> type[ColumnDumper]:
    return type(f"Dumper{oid}", (ColumnDumper,), {"oid": oid})


def _hang_up(descriptor: int) -> None:
    """End a connection that does not answer, so that whoever waits for it hears of it at once."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as end:
        end.shutdown(socket.SHUT_RDWR)
