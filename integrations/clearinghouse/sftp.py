"""Hands files to a clearinghouse over SFTP and fetches its answers; without it most of them could not be reached."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import paramiko

from integrations.clearinghouse import ssh
from integrations.clearinghouse.port import (
    Placed,
    RemoteFile,
    checked_name,
    is_name,
    part_name,
    place_of,
    placed_of,
    proven,
)
from integrations.clearinghouse.ssh import LOST, PARTNER, Account, Patience
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown

CHUNK = 256 * 1024
AHEAD = 64  # requests on their way at once: 2 MB


class SftpClearinghouse:
    """See `Staged`. One connection, kept until the `with` ends or until it breaks."""

    def __init__(self, account: Account, *, patience: Patience | None = None) -> None:
        self._account = account
        self._patience = patience or Patience()
        self._open: tuple[paramiko.Transport, paramiko.SFTPClient] | None = None

    def probe(self) -> None:
        with self._call() as sftp:
            for folder in (self._account.drop_folder, self._account.pickup_folder):
                if not stat.S_ISDIR(sftp.stat(folder or ".").st_mode or 0):
                    raise Misconfigured("no such folder or file", code=f"{PARTNER}:missing")
            sftp.listdir_attr(self._account.pickup_folder or ".")

    def put_part(self, name: str, content: bytes) -> str:
        path = _path(self._account.drop_folder, part_name(checked_name(name, partner=PARTNER)))
        with self._call() as sftp:
            with self._file(sftp, path, "wb") as file:
                _write(file, content, self._deadline())
            size = sftp.stat(path).st_size
            standing = self._place(sftp)
        if size != len(content):
            raise Transient("not stored to its end", code=f"{PARTNER}:size")
        return standing

    def state(self, name: str, at: str = "") -> Placed:
        checked_name(name, partner=PARTNER)
        with self._call() as sftp:
            placed, here = self._look(sftp, name), self._place(sftp)
        other = Permanent("another server answers there than the file was put on", code=f"{PARTNER}:moved")
        return proven(placed, here=here, at=at, elsewhere=other)

    def rename(self, name: str) -> None:
        """See `Staged.rename`. A plain rename of SFTP 3, after a look: not every server refuses a target by itself."""
        part = _path(self._account.drop_folder, part_name(checked_name(name, partner=PARTNER)))
        final = _path(self._account.drop_folder, name)
        with self._call() as sftp:
            if _exists(sftp, final):
                raise Permanent("a file of that name is there", code=f"{PARTNER}:exists")
            try:
                sftp.rename(part, final)
            except LOST as error:
                raise self._unrenamed(sftp, name, error) from None

    def listing(self) -> Sequence[RemoteFile]:
        with self._call() as sftp:
            entries = _entries(sftp, self._account.pickup_folder or ".")
        files = [_remote(entry) for entry in entries if is_name(entry.filename) and _is_plain(entry)]
        return sorted(files, key=lambda file: (file.modified_at, file.name))

    def fetch(self, name: str, most_bytes: int) -> bytes:
        path = _path(self._account.pickup_folder, checked_name(name, partner=PARTNER))
        with self._call() as sftp:
            told = _told(sftp, path)
            size = told.st_size or 0
            if not _is_plain(told):
                raise Permanent("not a regular file", code=f"{PARTNER}:kind")
            if size > most_bytes:
                raise Permanent(f"a file of more than {most_bytes} bytes", code=f"{PARTNER}:too_big")
            with self._file(sftp, path, "rb") as file:
                content = _read(file, size, self._deadline())
        if len(content) != size:
            raise Transient("not read to its end", code=f"{PARTNER}:size")
        return content

    def remove(self, name: str) -> None:
        path = _path(self._account.pickup_folder, checked_name(name, partner=PARTNER))
        with self._call() as sftp, suppress(FileNotFoundError):
            sftp.remove(path)

    def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            ssh.hang_up(opened[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _call(self) -> Iterator[paramiko.SFTPClient]:
        """Lend the open connection to one call. It is kept only after a clean end: else an old answer may come late."""
        sftp = self._connected()
        try:
            yield sftp
        except LOST as error:
            refusal = _refused(error)
            if refusal is None or not _alive(sftp):
                self.close()
            raise refusal or Transient("the connection broke off", code=f"{PARTNER}:broken") from None
        except Unknown:
            self.close()
            raise

    def _connected(self) -> paramiko.SFTPClient:
        if self._open is not None and self._open[0].is_active() and _alive(self._open[1]):
            return self._open[1]
        self.close()
        transport = ssh.connect(self._account, self._patience)
        try:
            sftp = paramiko.SFTPClient.from_transport(transport)
            if sftp is None:
                raise paramiko.SSHException("no channel")
            sftp.get_channel().settimeout(self._patience.answer_s)  # type: ignore[union-attr]  # there is one
        except LOST:
            ssh.hang_up(transport)
            raise Transient("logged in, but there is no SFTP", code=f"{PARTNER}:subsystem") from None
        self._open = (transport, sftp)
        return sftp

    @contextmanager
    def _file(self, sftp: paramiko.SFTPClient, path: str, mode: str) -> Iterator[paramiko.SFTPFile]:
        """Lend an open file. What goes wrong ends the connection too: to close the file would wait once more."""
        file = sftp.open(path, mode)
        try:
            yield file
            file.close()
        except BaseException:
            self.close()
            raise

    def _deadline(self) -> float:
        return time.monotonic() + self._patience.call_s

    def _look(self, sftp: paramiko.SFTPClient, name: str) -> Placed:
        folder = self._account.drop_folder
        has_part = _exists(sftp, _path(folder, part_name(name)))  # first: what is renamed meanwhile is then seen
        placed = placed_of(part=has_part, final=_exists(sftp, _path(folder, name)))
        if placed is Placed.NEITHER:
            sftp.stat(folder or ".")  # a folder that is gone holds neither, and proves nothing
        return placed

    def _place(self, sftp: paramiko.SFTPClient) -> str:
        """Return the place, with the server's own key: who moves a server gives the new one another."""
        ours, channel = self._account, sftp.get_channel()
        if channel is None:
            raise EOFError
        key = channel.get_transport().get_remote_server_key().asbytes()
        return place_of(PARTNER, ours.host, ours.port, ours.username, ours.drop_folder, behind=key)

    def _unrenamed(self, sftp: paramiko.SFTPClient, name: str, error: BaseException) -> IntegrationError:
        """Return what a failed rename means: that is known only where the server answered and the part still stands."""
        lost = Unknown("it may have been renamed", code=f"{PARTNER}:lost")
        refusal = _refused(error)
        if refusal is None or not _alive(sftp):
            return lost
        try:
            placed = self._look(sftp, name)
        except LOST:
            return lost
        if placed is Placed.BOTH:
            return Permanent("a file of that name is there", code=f"{PARTNER}:exists")
        return refusal if placed is Placed.PART else lost


def _entries(sftp: paramiko.SFTPClient, folder: str) -> list[paramiko.SFTPAttributes]:
    try:
        return sftp.listdir_attr(folder)
    except UnicodeDecodeError:
        raise Misconfigured("a file there has a name that is not UTF-8", code=f"{PARTNER}:names") from None


def _told(sftp: paramiko.SFTPClient, path: str) -> paramiko.SFTPAttributes:
    try:
        return sftp.lstat(path)
    except FileNotFoundError:
        raise Transient("gone since it was listed", code=f"{PARTNER}:gone") from None


def _write(file: paramiko.SFTPFile, content: bytes, until_s: float) -> None:
    """Write without waiting for each piece. Only a write that waits collects what was said of those before it.

    The end of a file does not: the library drops there what it has not asked for, a refusal too.
    """
    file.set_pipelined(True)
    for place in range(0, len(content) - 1, CHUNK):
        _check(until_s)
        file.write(content[place : min(place + CHUNK, len(content) - 1)])
    file.set_pipelined(False)
    file.write(content[-1:])


def _read(file: paramiko.SFTPFile, size: int, until_s: float) -> bytes:
    if size == 0:
        return b""
    file.prefetch(size, max_concurrent_requests=AHEAD)
    parts, left = [], size
    while left:
        _check(until_s)
        part = file.read(min(CHUNK, left))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _check(until_s: float) -> None:
    if time.monotonic() > until_s:
        raise TimeoutError("the whole call took too long")


def _path(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder.rstrip("/") else f"{folder[:1]}{name}"


def _exists(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        sftp.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _alive(sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel is not None and not channel.closed


def _is_plain(entry: paramiko.SFTPAttributes) -> bool:
    """Servers that tell no mode list files only."""
    return not entry.st_mode or stat.S_ISREG(entry.st_mode)


def _remote(entry: paramiko.SFTPAttributes) -> RemoteFile:
    return RemoteFile(entry.filename, entry.st_size or 0, datetime.fromtimestamp(entry.st_mtime or 0, UTC))


def _refused(error: BaseException) -> IntegrationError | None:
    """Return what the server said, None where it said nothing. Its text may name paths, and is dropped."""
    if type(error) is FileNotFoundError:
        return Misconfigured("no such folder or file", code=f"{PARTNER}:missing")
    if type(error) is PermissionError and error.errno == errno.EACCES:
        return Misconfigured("not allowed in this folder", code=f"{PARTNER}:denied")
    if type(error) is OSError and error.errno is None:  # the library's form of every other status
        return Transient("the server refused it for now", code=f"{PARTNER}:refused")
    return None
