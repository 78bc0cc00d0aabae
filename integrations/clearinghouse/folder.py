"""Drops files into a local or mounted folder; without it a clinic whose partner runs an agent there could not send."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

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
from integrations.errors import IntegrationError, Misconfigured, Permanent, Transient, Unknown

PARTNER = "folder"
RENAME_NOREPLACE = 1  # linux/fs.h
AT_FDCWD = -100  # fcntl.h
NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
ANOTHER_KIND = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})  # not a regular file
# O_NONBLOCK: never waits for whoever is at the other end of a pipe.
NEW_PART = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Rename = Callable[[bytes, bytes, int | None], int]


class FolderClearinghouse:
    """See `Staged`. drop_folder: where the partner takes our files. pickup_folder: where it leaves its answers.

    root: what we trust the way to; both lie below it. Each call goes from there down to its folder by no link, and does
    all it does within what it has opened then: whoever may put links into a folder leads us nowhere else.
    """

    def __init__(self, *, drop_folder: str, pickup_folder: str, root: str = "/") -> None:
        self._root = Path(root)
        self._drop = Path(drop_folder)
        self._pickup = Path(pickup_folder)

    def probe(self) -> None:
        for path, wants in ((self._drop, os.R_OK | os.W_OK | os.X_OK), (self._pickup, os.R_OK | os.X_OK)):
            with _sorted(), self._opened(path) as folder:
                os.scandir(folder).close()
                if not os.access(".", wants, dir_fd=folder):
                    raise _refused(errno.EACCES)

    def put_part(self, name: str, content: bytes) -> str:
        part = part_name(checked_name(name, partner=PARTNER))
        with _sorted(), self._opened(self._drop) as folder:
            with open(os.open(part, NEW_PART, 0o660, dir_fd=folder), "wb") as file:
                _refuse_other_kinds(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            _sync(folder)  # else a crash of this machine takes the part away, and that would mean that it was renamed
            place = self._place(folder)
        if size != len(content):
            raise Transient("not stored to its end", code=f"{PARTNER}:size")
        return place

    def state(self, name: str, at: str = "") -> Placed:
        part = part_name(checked_name(name, partner=PARTNER))
        with _sorted(), self._opened(self._drop) as folder:
            has_part = _exists(part, folder)  # first: what is renamed meanwhile is then seen under its name
            has_final = _exists(name, folder)
            here = self._place(folder)
        elsewhere = Transient("another disk stands in the folder than the file was put on", code=f"{PARTNER}:elsewhere")
        return proven(placed_of(part=has_part, final=has_final), here=here, at=at, elsewhere=elsewhere)

    def _place(self, folder: int) -> str:
        """Return the place, with the disk: the folder on which nothing is mounted is another one."""
        told = os.fstat(folder)
        disk = os.fstatvfs(folder).f_fsid or told.st_dev  # a device's number may be another after each mount
        return place_of(PARTNER, str(self._drop), behind=(disk, told.st_ino))

    def rename(self, name: str) -> None:
        """See `Staged.rename`. A link and then an unlink would not do: between them the partner may take the file."""
        part = part_name(checked_name(name, partner=PARTNER))
        with _sorted(_unrenamed), self._opened(self._drop) as folder:
            try:
                rename_new(part, name, folder=folder)
            except FileExistsError:
                raise Permanent("a file of that name is there", code=f"{PARTNER}:exists") from None
            with _sorted(_lost):
                _sync(folder)

    def listing(self) -> Sequence[RemoteFile]:
        with _sorted(), self._opened(self._pickup) as folder, os.scandir(folder) as entries:
            files = [_remote(entry) for entry in entries if is_name(entry.name) and _is_plain(entry)]
        return sorted(files, key=lambda file: (file.modified_at, file.name))

    def fetch(self, name: str, most_bytes: int) -> bytes:
        checked_name(name, partner=PARTNER)
        with _sorted(), self._opened(self._pickup) as folder:
            if not _exists(name, folder):
                raise Transient("gone since it was listed", code=f"{PARTNER}:gone")
            with open(os.open(name, TO_READ, dir_fd=folder), "rb") as file:
                _refuse_other_kinds(file.fileno())
                content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise Permanent(f"a file of more than {most_bytes} bytes", code=f"{PARTNER}:too_big")
        return content

    def remove(self, name: str) -> None:
        checked_name(name, partner=PARTNER)
        with _sorted(), self._opened(self._pickup) as folder, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        """Lend an open folder: whatever is mounted or linked there meanwhile, it stays the same one."""
        folder = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for step in (*path.relative_to(self._root).parts, "."):
                how = os.O_RDONLY if step == "." else os.O_PATH  # on the way we may only pass through
                below = os.open(step, how | FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    def close(self) -> None:
        """Nothing is open between calls."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def rename_new(
    source: Path | str, target: Path | str, *, folder: int | None = None, call: Rename | None = None
) -> None:
    """Rename in one step, refusing a target that exists. folder: an open one, in which both are named.

    call: returns 0, or the error number of a rename that does so. Some mounts cannot refuse by themselves; there we
    look first, which is safe while each partner has one sender.

    Raises:
        FileExistsError: the target is there; nothing happened.

    Source: renameat2(2), RENAME_NOREPLACE.
    """
    code = (call or _rename_noreplace)(os.fsencode(source), os.fsencode(target), folder)
    if code in NO_SUCH_CALL:
        if _exists(target, folder):
            raise FileExistsError(errno.EEXIST, "the target is there")
        os.rename(source, target, src_dir_fd=folder, dst_dir_fd=folder)
    elif code:
        raise OSError(code, "not renamed")


def _rename_noreplace(source: bytes, target: bytes, folder: int | None) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return errno.ENOSYS
    at = AT_FDCWD if folder is None else folder
    if library.renameat2(at, source, at, target, RENAME_NOREPLACE) == 0:
        return 0
    return ctypes.get_errno()


def _exists(path: Path | str, folder: int | None = None) -> bool:
    try:
        os.lstat(path, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _sync(folder: int) -> None:
    """Let what was made or renamed in an open folder survive a crash of this machine."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:  # some mounts have nothing to sync
            raise


def _refuse_other_kinds(file: int) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError(errno.ENXIO, "not a regular file")


def _is_plain(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and bool(entry.stat(follow_symlinks=False))
    except FileNotFoundError:  # gone since it was listed
        return False


def _remote(entry: os.DirEntry[str]) -> RemoteFile:
    told = entry.stat(follow_symlinks=False)
    return RemoteFile(entry.name, told.st_size, datetime.fromtimestamp(told.st_mtime, UTC))


@contextmanager
def _sorted(sort: Callable[[int | None], IntegrationError] | None = None) -> Iterator[None]:
    """Turn what the system says into our own errors, `sort` says which; its text names paths, and is dropped."""
    try:
        yield
    except OSError as error:
        raise (sort or _refused)(error.errno) from None


def _unrenamed(code: int | None) -> IntegrationError:
    """Return what a rename means that failed: only what the system refuses before it begins has surely not happened."""
    return _refused(code) if code in DENIED or code in FULL else _lost(code)


def _lost(code: int | None) -> IntegrationError:
    return Unknown("it may have been renamed", code=f"{PARTNER}:lost")


def _refused(code: int | None) -> IntegrationError:
    if code in DENIED:
        return Misconfigured("not allowed in this folder", code=f"{PARTNER}:denied")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return Misconfigured("no such folder or file", code=f"{PARTNER}:missing")
    if code in ANOTHER_KIND:
        return Permanent("not a regular file", code=f"{PARTNER}:kind")
    if code in FULL:
        return Transient("no room left", code=f"{PARTNER}:full")
    return Transient("the folder does not answer", code=f"{PARTNER}:io")
