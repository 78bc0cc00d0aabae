"""A clearinghouse that answers, behind a real SFTP server; without it no file of ours would ever meet another reader.

In a test: `with FakeClearinghouse(tmp_path) as house: ...`. As a process of its own, whose folder `FakeFolder` reads
and commands: `python -m integrations.x12.fake --root DIR --port N --host-key FILE --authorized-keys FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import asyncssh

from integrations.x12.counterpart.desk import INBOUND, OUTBOUND, Desk, Entry, entries
from integrations.x12.counterpart.orders import KINDS, OrderBook
from integrations.x12.counterpart.server import House, listen

PARTNER = "clinic"
HOST = "127.0.0.1"
KEY_KIND = "ssh-ed25519"
LOOK_S = 0.02  # how often a process looks for calls


class FakeFolder:
    """What a clearinghouse keeps in its folder; to read and to command one that runs in another process too."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._book = OrderBook(root / "orders.json")

    def order(self, **orders: Any) -> None:
        """Make something go wrong, or right again; see `counterpart.orders.Orders`."""
        self._book.change(**orders)

    def call_for(self, *kinds: str) -> None:
        """Ask a process for answers; it writes them within a moment."""
        self._book.change(called=list(kinds or KINDS))

    def ledger(self) -> list[Entry]:
        """Return what arrived, in order: one entry for each time a file came in under its own name."""
        return entries(self.root)

    def inbound(self, partner: str = PARTNER) -> Path:
        return self.root / partner / INBOUND

    def outbound(self, partner: str = PARTNER) -> Path:
        return self.root / partner / OUTBOUND


class FakeClearinghouse(FakeFolder):
    """A clearinghouse in a thread of its own, for the length of a `with`.

    host, port, username: where and who. host_key: the text to pin. client_key: the text of the private key that it
    knows. key_kind: of the host's own key. at_once: the kinds of answers it writes when a file arrives; `answer` writes
    the others.
    """

    def __init__(
        self,
        root: Path,
        *,
        partners: Sequence[str] = (PARTNER,),
        at_once: Sequence[str] = (),
        password: str = "",
        host: str = HOST,
        key_kind: str = KEY_KIND,
    ) -> None:
        super().__init__(root)
        self.host, self.port, self.username = host, 0, partners[0]
        self._key, client = asyncssh.generate_private_key(key_kind), asyncssh.generate_private_key(KEY_KIND)
        self.host_key = self._key.export_public_key().decode().strip()
        self.client_key = client.export_private_key().decode()
        self._desk = Desk(root, self._book)
        self._house = House(root, partners, [client], password, self._book, self._desk)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        if at_once:
            self.order(at_once=list(at_once))

    @property
    def visits(self) -> int:
        """Return how many connections looked into a folder."""
        return len(self._house.visits)

    def know(self, public_key: str) -> None:
        """Let another key in, as "ssh-ed25519 AAAA..."."""
        self._house.keys.append(asyncssh.import_public_key(public_key))

    def watch(self, watcher: Callable[[str], bool]) -> None:
        """Have moments of each upload told before they are answered; see `counterpart.server.House`."""
        self._house.watchers.append(watcher)

    def answer(self, *kinds: str) -> list[Path]:
        """Write what is due of these kinds, all if none is named; return the files."""
        return self._desk.answer(*(kinds or KINDS))

    def settle(self) -> None:
        """Wait until everything that arrived has been answered as far as it is at once."""
        self._house.worker.submit(lambda: None).result(timeout=60)

    def __enter__(self) -> Self:
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(listen(self._house, self.host, 0, self._key), self._loop)
        self._acceptor = opening.result(timeout=10)
        self.port = self._acceptor.get_port()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(_end(self._acceptor), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._house.worker.shutdown()


async def _end(acceptor: asyncssh.SSHAcceptor) -> None:
    """Close the door, and hang up on whoever is still inside."""
    acceptor.close()
    inside = asyncio.all_tasks() - {asyncio.current_task()}
    for task in inside:
        task.cancel()
    await asyncio.gather(*inside, return_exceptions=True)


async def serve(options: argparse.Namespace) -> None:
    """Run until a signal comes; the port is written to standard output once connections are taken."""
    root: Path = options.root
    root.mkdir(parents=True, exist_ok=True)
    book = OrderBook(root / "orders.json")
    if options.at_once is not None:
        book.change(at_once=[kind for kind in options.at_once.split(",") if kind])
    keys = list(asyncssh.read_public_key_list(str(options.authorized_keys)))
    house = House(root, options.partner or [PARTNER], keys, "", book, Desk(root, book), ThreadPoolExecutor(1))
    acceptor = await listen(house, options.host, options.port, _host_key(options.host_key))
    sys.stdout.write(f"{acceptor.get_port()}\n")
    sys.stdout.flush()
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, ended.set)
    while not ended.is_set():
        if called := book.all_of("called"):
            await loop.run_in_executor(house.worker, house.desk.answer, *called)
        await asyncio.sleep(LOOK_S)
    await _end(acceptor)


def _host_key(path: Path) -> asyncssh.SSHKey:
    """Return the key in a file, which is made if it is not there; its public half is beside it."""
    if not path.exists():
        made = asyncssh.generate_private_key(KEY_KIND)
        made.write_private_key(str(path))
        made.write_public_key(f"{path}.pub")
    return asyncssh.read_private_key(str(path))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="integrations.x12.fake", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host-key", type=Path, required=True)
    parser.add_argument("--authorized-keys", type=Path, required=True)
    parser.add_argument("--partner", action="append", help="a user and its folder; clinic if none is named")
    parser.add_argument("--at-once", help=f"kinds of answers written when a file arrives: {','.join(KINDS)}")
    asyncio.run(serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
