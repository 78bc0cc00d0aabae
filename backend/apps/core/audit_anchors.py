"""Tells a place outside the database of each seal; else who owns the database could write the whole chain anew.

A place is `file:/path` (added to and synced; each host has its own and is told all) or `syslog://host:port`,
`syslog+udp://host:port` (RFC 5424). A seal is told after it is committed; which was told last stands in `AuditAnchor`,
so what was lost is told again. A line that comes twice says the same twice.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from django.conf import settings
from django.db.models.functions import Now

from backend.apps.core import alerts
from backend.apps.core.models import Alert, AuditAnchor, AuditSeal

AT_ONCE = 500  # seals in one write
TIMEOUT_S = 5.0
PRIORITY = 13 * 8 + 5  # facility "log audit", severity "notice"
FAILED, GONE = "audit anchor failed", "audit seals gone"
CANNOT = "Seals of the audit log cannot be anchored outside ({}); they wait, from seal {} on."
LOST = "Seal {} of the audit log was anchored outside and is gone: seals were cut off, or an old copy was restored."
LINE = re.compile(
    r"carerelay-audit seal n=(?P<n>\d+) rows=\d+ hash=(?P<hash>[0-9a-f]{64}) key=(?P<key>[0-9a-f]{16}) "
    r"sig=(?P<signature>[0-9a-f]{128})"
)


class BadAnchor(ValueError):
    """The setting names no place we can write to."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """One line of an anchor."""

    n: int
    hash: bytes
    key_id: str
    signature: bytes


def anchor() -> int:
    """Tell the place outside of all seals it does not know; return how many. Safe to run twice and beside itself.

    Raises:
        OSError: it cannot be written; an alert says so.
    """
    place, told = AuditAnchor(), 0
    try:
        if path := own_file():
            _name_file(path)
        place = AuditAnchor.objects.get_or_create(target=target())[0]
        _look_for_lost(place)
        while rows := _waiting(place.n):
            write(settings.AUDIT_ANCHOR, [line(row) for row in rows])
            mine = AuditAnchor.objects.filter(target=place.target, n__lt=rows[-1].n)
            mine.update(n=rows[-1].n, anchored_at=Now())
            place.n, told = rows[-1].n, told + len(rows)
    except (OSError, BadAnchor) as error:
        sentence = CANNOT.format(type(error).__name__, place.n + 1)
        alerts.open_once(FAILED, kind="audit_anchor_failed", sentence=sentence, severity=Alert.Severity.CRITICAL)
        raise
    alerts.clear(FAILED)
    return told


def _waiting(n: int) -> list[AuditSeal]:
    return list(AuditSeal.objects.filter(n__gt=n).defer("leaves").order_by("n")[:AT_ONCE])


def _look_for_lost(place: AuditAnchor) -> None:
    if place.n and not AuditSeal.objects.filter(n=place.n).exists():
        sentence = LOST.format(place.n)
        alerts.open_once(GONE, kind="audit_seals_gone", sentence=sentence, severity=Alert.Severity.CRITICAL)
    else:
        alerts.clear(GONE)


def line(seal: AuditSeal) -> str:
    return (
        f"{seal.sealed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} carerelay-audit seal n={seal.n} rows={seal.rows} "
        f"hash={bytes(seal.hash).hex()} key={seal.key_id} sig={bytes(seal.signature).hex()}"
    )


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


def read(path: Path) -> Iterator[Anchored]:
    """Yield what a file of anchors tells, in its order; a log of other things too is fine."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            if found := LINE.search(text):
                yield Anchored(
                    int(found["n"]), bytes.fromhex(found["hash"]), found["key"], bytes.fromhex(found["signature"])
                )


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
