"""The door's connection to PostgreSQL, when it breaks half made."""

from __future__ import annotations

import asyncio
import os
import socket

import psycopg
import pytest
import uvloop

from workers.mllp.database import Database

pytestmark = pytest.mark.django_db


async def heard_after(statement: str) -> bool:
    """Tell whether a socket is heard that got the number of a connection whose statement could not be prepared."""
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    database = Database(statement)
    free = os.dup(0)  # the number that the connection will have
    os.close(free)
    with pytest.raises(psycopg.errors.UndefinedTable):
        await database.run([])
    ours, other = socket.socketpair()
    with ours, other:
        assert ours.fileno() == free
        ours.setblocking(False)
        loop.add_reader(ours, heard.set)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await database.run([])
        other.send(b"x")
        try:
            await asyncio.wait_for(heard.wait(), 2)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(ours)
    return True


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_connection_that_broke_half_made_takes_no_other_connections_ear_with_it(run):
    assert run(heard_after("SELECT 1 FROM nowhere"))
