"""Speaks SFTP for the counterpart; without it faults of a connection could only be imagined."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from integrations.x12.counterpart.desk import INBOUND, OUTBOUND, Desk
from integrations.x12.counterpart.orders import OrderBook

logging.getLogger("asyncssh").setLevel(logging.CRITICAL)  # it tells every connection
WRITES = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share. worker: takes files in and answers them, one by one. visits: a partner for each.

    watchers: told of the moments "writing" and "renamed", before they are answered; one that says True hangs up there.
    """

    root: Path
    partners: Sequence[str]
    keys: list[asyncssh.SSHKey]
    password: str
    book: OrderBook
    desk: Desk
    worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "desk"))
    visits: list[str] = field(default_factory=list)
    watchers: list[Callable[[str], bool]] = field(default_factory=list)

    def ends_at(self, moment: str) -> bool:
        return any(watcher(moment) for watcher in self.watchers)


class Guard(asyncssh.SSHServer):
    """Lets partners in by their keys, or by the password if there is one."""

    def __init__(self, house: House) -> None:
        self._house = house

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self._house.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = any(key.public_data == one.public_data for one in self._house.keys)
        return known and username in self._house.partners

    def password_auth_supported(self) -> bool:
        return bool(self._house.password)

    def validate_password(self, username: str, password: str) -> bool:
        is_right = hmac.compare_digest(password.encode(), self._house.password.encode())
        return is_right and username in self._house.partners


class Files(asyncssh.SFTPServer):
    """One partner's folders, in which things go wrong as ordered."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], house: House) -> None:
        self._house = house
        self._partner = str(channel.get_extra_info("username"))
        self._direct: dict[int, Path] = {}  # open files that were not hidden
        self._cut_after: int | None = None
        self._size = 0
        self._is_cut = False
        super().__init__(channel, chroot=str(house.root / self._partner).encode())
        house.visits.append(self._partner)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        opened: object = super().open(path, pflags, attrs)
        target = self._real(path)
        if pflags & WRITES and target.parent.name == INBOUND:
            self._cut_after, self._size = self._house.book.next_of("next_cuts"), 0
            if not target.name.startswith("."):
                self._direct[id(opened)] = target
        return opened

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        self._size += len(data)
        if self._cut_after is not None and self._size > self._cut_after:
            self._hang_up()
        if self._house.ends_at("writing"):  # half of it came
            super().write(file_obj, offset, data[: len(data) // 2])
            self._hang_up()
        written = super().write(file_obj, offset, data)
        return int(written)  # type: ignore[arg-type]  # no coroutine, as the files are the machine's own

    async def close(self, file_obj: object) -> None:
        super().close(file_obj)
        target = self._direct.pop(id(file_obj), None)
        if target is not None and not self._is_cut:
            await self._arrived(target)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        super().rename(oldpath, newpath)
        target = self._real(newpath)
        if target.parent.name == INBOUND and not target.name.startswith("."):
            await self._arrived(target)
            if self._house.ends_at("renamed") or self._house.book.next_of("next_drops"):
                self._hang_up()
            if self._house.book.next_of("next_silences"):
                await asyncio.Event().wait()

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse: it would overwrite, and nobody may count on it."""
        raise asyncssh.SFTPOpUnsupported("a plain rename only")

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for entry in super().scandir(path):
            yield entry
        if self._real(path).name == OUTBOUND:
            self._house.desk.grow()

    async def _arrived(self, path: Path) -> None:
        """Take a file in before its sender is told that it arrived; it is read and answered after that."""
        house, loop = self._house, asyncio.get_running_loop()
        await loop.run_in_executor(house.worker, house.desk.take, self._partner, path)
        house.worker.submit(house.desk.answer_at_once)

    def _real(self, path: bytes) -> Path:
        return Path(self.map_path(path).decode())

    def _hang_up(self) -> None:
        self._is_cut = True
        self.connection.abort()
        raise asyncssh.SFTPConnectionLost("cut as ordered")


async def listen(house: House, host: str, port: int, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
    """Open the door; whoever comes in sees the folder of the partner it names."""
    for partner in house.partners:
        for folder in (INBOUND, OUTBOUND):
            (house.root / partner / folder).mkdir(parents=True, exist_ok=True)
    return await asyncssh.create_server(
        lambda: Guard(house),
        host,
        port,
        server_host_keys=[host_key],
        sftp_factory=lambda channel: Files(channel, house),
        allow_scp=False,
    )
