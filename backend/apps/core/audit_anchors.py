"""Tells a place outside the database of each seal; else who owns the database could write the whole chain anew.

A place is `file:/path` (added to and synced; each host has its own and is told all) or `syslog://host:port`,
`syslog+udp://host:port` (RFC 5424). A seal is told after it is committed; which was told last stands in `AuditAnchor`,
so what was lost is told again. A line that comes twice says the same twice.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from django.conf import settings
from django.db.models.functions import Now

from backend.apps.core import alerts, audit_lines
from backend.apps.core.models import Alert, AuditAnchor, AuditArchive, AuditSeal

AT_ONCE = 500  # seals in one write
TIMEOUT_S = 5.0
PRIORITY = 13 * 8 + 5  # facility "log audit", severity "notice"
FAILED, GONE = "audit anchor failed", "audit seals gone"
CANNOT = "Seals of the audit log cannot be anchored outside ({}); they wait, from seal {} on."
LOST = (
    "Seal {} of the audit log was anchored outside and is gone, or was made anew: seals were cut off, or an old copy "
    "was restored. Nothing more is anchored until a person looked and ran `manage audit settle`."
)


class BadAnchor(ValueError):
    """The setting names no place we can write to."""


def anchor() -> int:
    """Tell the place outside of all seals and archives it does not know; return of how many. Safe beside itself.

    Nothing is told while a seal it was told of is gone: a person settles that first (`audit_settling`).

    Raises:
        OSError: it cannot be written; an alert says so.
    """
    place, told = AuditAnchor(), 0
    try:
        if path := own_file():
            _name_file(path)
        place = AuditAnchor.objects.get_or_create(target=target())[0]
        if is_lost(place):
            sentence = LOST.format(place.n)
            alerts.open_once(GONE, kind="audit_seals_gone", sentence=sentence, severity=Alert.Severity.CRITICAL)
            return 0
        while any(waiting := _waiting(place)):
            seals, archives = waiting
            write(settings.AUDIT_ANCHOR, [*map(audit_lines.of_archive, archives), *map(audit_lines.of_seal, seals)])
            _note(place, seals, archives)
            told += len(seals) + len(archives)
    except (OSError, BadAnchor) as error:
        sentence = CANNOT.format(type(error).__name__, place.n + 1)
        alerts.open_once(FAILED, kind="audit_anchor_failed", sentence=sentence, severity=Alert.Severity.CRITICAL)
        raise
    alerts.clear(FAILED)
    return told


def is_lost(place: AuditAnchor) -> bool:
    """Return whether the seal this place was told of last is gone, or another one has its number."""
    if not place.n:
        return False
    told = AuditSeal.objects.filter(n__lte=place.n, n__gt=place.n - 2 * AT_ONCE)
    if not told.filter(n=place.n).exists():
        return True
    # A process of the version before moves the number alone: then the hash is that of a seal shortly before.
    return bool(place.hash) and not told.filter(hash=bytes(place.hash)).exists()


def _waiting(place: AuditAnchor) -> tuple[list[AuditSeal], list[AuditArchive]]:
    seals = AuditSeal.objects.filter(n__gt=place.n).defer("leaves").order_by("n")[:AT_ONCE]
    archives = AuditArchive.objects.exclude(pk__in=place.archives).order_by("archived_at", "id")[:AT_ONCE]
    return list(seals), list(archives)


def _note(place: AuditAnchor, seals: Sequence[AuditSeal], archives: Sequence[AuditArchive]) -> None:
    """Note what was told, unless somebody else told or settled meanwhile: then what they noted decides what is left."""
    noted: dict[str, Any] = {"archives": [*place.archives, *(str(row.pk) for row in archives)], "anchored_at": Now()}
    if seals:
        noted |= {"n": seals[-1].n, "hash": bytes(seals[-1].hash)}
    was = {"n": place.n, "anchored_at": place.anchored_at, "archives": place.archives}
    AuditAnchor.objects.filter(target=place.target, **was).update(**noted)
    place.refresh_from_db()


def write(target: str, lines: Sequence[str]) -> None:
    """Write lines to the place `target` names; they are there when this returns.

    Raises:
        OSError: they may not be.
        BadAnchor: `target` names no place.
    """
    place = urlsplit(target)
    if place.scheme == "file" and place.path.startswith("/"):
        _append(Path(place.path), lines)
    elif place.scheme in {"syslog", "syslog+udp"} and place.hostname:
        _send(place, [_syslog(text) for text in lines])
    else:
        raise BadAnchor("CARERELAY_AUDIT_ANCHOR is file:/path, syslog://host:port or syslog+udp://host:port.")


def _append(path: Path, lines: Sequence[str]) -> None:
    """Add lines to a file; one that a crash cut short is closed first, so that it spoils none of ours."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        whole = ("\n" if torn else "") + "".join(f"{text}\n" for text in lines)
        _write_all(descriptor, whole.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _syslog(text: str) -> bytes:
    """Return a message of RFC 5424, section 6."""
    moment, said = text.split(" ", 1)
    return f"<{PRIORITY}>1 {moment} {socket.gethostname()} carerelay {os.getpid()} audit - {said}".encode()


def _send(place: SplitResult, messages: Sequence[bytes]) -> None:
    """Send messages, over TCP counted as RFC 6587, section 3.4.1 says; then wait until the other side hangs up.

    It reads to our end before it does, so that one which never reads is never taken for told.
    """
    address = (place.hostname, place.port or (601 if place.scheme == "syslog" else 514))
    if place.scheme == "syslog+udp":
        with socket.socket(socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect(address)
            for message in messages:
                link.send(message)
        return
    until = time.monotonic() + TIMEOUT_S
    with socket.create_connection(address, timeout=TIMEOUT_S) as link:
        link.settimeout(_left(until))
        link.sendall(b"".join(b"%d %s" % (len(message), message) for message in messages))
        link.shutdown(socket.SHUT_WR)
        link.settimeout(_left(until))
        while link.recv(1024):
            link.settimeout(_left(until))


def _left(until: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: none are.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("The collector of syslog did not hang up in time, so it may not have read all.")
    return left


def own_file() -> Path | None:
    """Return the file we anchor to, if it is one."""
    place = urlsplit(settings.AUDIT_ANCHOR)
    return Path(place.path) if place.scheme == "file" and place.path.startswith("/") else None


def target() -> str:
    """Return the name of the place we anchor to; of a file by its own id, for each host has another at this path."""
    path = own_file()
    return settings.AUDIT_ANCHOR[:300] if path is None else f"file:{path}"[:260] + f" {_id_of(path)}"


def _id_of(path: Path) -> str:
    """Return the id that lies beside a file of anchors, "" before the first one is written."""
    try:
        return _beside(path).read_text().strip()[:32]
    except FileNotFoundError:
        return ""


def _name_file(path: Path) -> None:
    """Give a file of anchors its id; of two who do at once both find the same."""
    if _beside(path).exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid4().hex}")
    fresh.write_text(uuid4().hex)
    with suppress(FileExistsError):
        os.link(fresh, _beside(path))
    fresh.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.id")
