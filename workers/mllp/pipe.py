"""The one statement the door runs thousands of times a second, straight through libpq: the driver's own comfort costs
half a millisecond a batch."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

NAME = b"intake"
GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Pipe:
    """Runs one prepared statement on a connection that is used for nothing else, one at a time.

    Parameters and results are in PostgreSQL's binary format.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._news: asyncio.Future[None] | None = None
        self._formats: list[int] = []
        self._listens = False

    async def prepare(self, statement: str) -> None:
        """Listen, and prepare `statement`, whose parameters are written %s; raises as `run` does."""
        numbers = count(1)
        text = re.sub("%s", lambda _: f"${next(numbers)}", statement)
        self._formats = [Format.BINARY] * (next(numbers) - 1)
        self._libpq.nonblocking = 1
        self._loop.add_reader(self._socket, self._read)
        self._listens = True
        self._libpq.send_prepare(NAME, text.encode())
        await self._answer()

    async def run(self, parameters: Sequence[bytes]) -> list[list[bytes | None]]:
        """Return the rows of the statement.

        Raises:
            psycopg.Error: it did not happen; OperationalError: or nobody knows whether it did.
        """
        if not self._listens:
            raise psycopg.OperationalError("the connection broke while nobody spoke")
        self._libpq.send_query_prepared(NAME, parameters, self._formats, Format.BINARY)
        return await self._answer()

    async def _answer(self) -> list[list[bytes | None]]:
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._write)
        rows: list[list[bytes | None]] = []
        failed: psycopg.Error | None = None
        while (result := await self._result()) is not None:
            if result.status in GOOD:
                width = range(result.nfields)
                rows += [[result.get_value(row, column) for column in width] for row in range(result.ntuples)]
            else:
                failed = errors.error_from_result(result)
        if failed is not None:
            raise failed
        return rows

    async def _result(self) -> PGresult | None:
        while self._listens and self._libpq.is_busy():
            self._news = self._loop.create_future()
            await self._news
        return self._libpq.get_result()

    def close(self) -> None:
        self._deafen()
        self._tell(psycopg.OperationalError("the connection was closed"))

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
        except psycopg.Error as error:
            self._deafen()
            self._tell(error)
        else:
            if not self._libpq.is_busy():
                self._tell()

    def _write(self) -> None:
        try:
            if not self._libpq.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._deafen()
            self._tell(error)

    def _deafen(self) -> None:
        """Forget the socket, once: libpq closes it when it breaks, and then its number may be another's."""
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _tell(self, error: psycopg.Error | None = None) -> None:
        news, self._news = self._news, None
        if news is None or news.done():
            return
        if error is None:
            news.set_result(None)
        else:
            news.set_exception(error)
