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
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core import alerts, audit_lines, statements
from backend.apps.core.models import Alert, AuditAnchor, AuditArchive, AuditSeal

AT_ONCE = 500  # seals in one write
TIMEOUT_S = 5.0
PRIORITY = 13 * 8 + 5  # facility "log audit", severity "notice"
LOCK = 4_171_926_005  # of who gives a file of anchors its id
ID = re.compile(r"[0-9a-f]{32}")
FAILED, GONE, NEW = "audit anchor failed", "audit seals gone", "audit anchor new"  # each with its host or place
LEFT = timedelta(hours=1)  # a host that fails is heard of again sooner, unless it is there no more
CANNOT = "Host {} cannot anchor seals of the audit log at {} ({}): they wait{}. Mend the place, and they are told then."
LOST = (
    "Seal {} of the audit log was anchored at {} of host {} and is gone, or was made anew: seals were cut off, or an "
    "old copy was restored. Nothing more goes there until a person looked and ran `manage audit settle` there."
)
BEGUN = (
    "Host {} began a new file of anchors at {}. Unless the host is new, the one before was taken away with its .id: "
    "look for them and put both back, else what they proved is lost. Then resolve this."
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
        place = _place()
        if is_lost(place):
            _tell(causes_gone(place)[0], "audit_seals_gone", LOST.format(place.n, _shown(), host()))
            return 0
        while any(waiting := _waiting(place)):
            seals, archives = waiting
            now = statements.database_now()
            lines = [audit_lines.of_archive(row, now) for row in archives]
            write(settings.AUDIT_ANCHOR, lines + [audit_lines.of_seal(seal, now) for seal in seals])
            _note(place, seals, archives)
            told += len(seals) + len(archives)
    except (OSError, BadAnchor) as error:
        begin = f", from seal {place.n + 1} on" if place.target else ""
        sentence = CANNOT.format(host(), _shown(), type(error).__name__, begin)
        _tell(f"{FAILED}: {host()}", "audit_anchor_failed", sentence)
        raise
    _clear_failed()
    return told


def host() -> str:
    return socket.gethostname()[:60]


def causes_gone(place: AuditAnchor) -> tuple[str, str]:
    """Return the cause of the alert that seals this place was told of are gone, and what it was before."""
    return f"{GONE}: {place.target[-100:]}", GONE


def _shown() -> str:
    return settings.AUDIT_ANCHOR[:60]


def _tell(cause: str, kind: str, sentence: str, severity: str = Alert.Severity.CRITICAL) -> None:
    alerts.open_once(cause, kind=kind, sentence=sentence[:300], severity=severity)


def _clear_failed() -> None:
    """Clear what was told of this host, and of those that are there no more; another one still fails."""
    silent = Alert.objects.filter(kind="audit_anchor_failed", last_seen_at__lt=timezone.now() - LEFT)
    alerts.clear(f"{FAILED}: {host()}", *silent.filter(resolved_at=None).values_list("cause", flat=True))


@transaction.atomic
def _place() -> AuditAnchor:
    """Return the place we tell; one that is new is told of where others at this path were told before."""
    path = own_file()
    if path is not None:
        _name_file(path)
    place, is_new = AuditAnchor.objects.get_or_create(target=target())
    if path is not None and is_new:
        others = AuditAnchor.objects.filter(target__startswith=_named(path), n__gt=0)
        if others.exclude(target=place.target).exists():
            cause = f"{NEW}: {place.target[-100:]}"
            _tell(cause, "audit_anchor_new", BEGUN.format(host(), path), Alert.Severity.WARNING)
    return place


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
    _sync_folder(path)


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
    return settings.AUDIT_ANCHOR[:300] if path is None else f"{_named(path)}{_id_of(path)}"


def _named(path: Path) -> str:
    return f"file:{path}"[:260] + " "


def _id_of(path: Path) -> str:
    """Return the id that lies beside a file of anchors, "" before the first one is written whole."""
    try:
        found = _beside(path).read_text(errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return found if ID.fullmatch(found) else ""


def _name_file(path: Path) -> None:
    """Give a file of anchors its id; of two who do at once both find the same, and one that is there outlasts a crash.

    The database keeps them apart, for not every volume knows hard links or locks.
    """
    if _id_of(path):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [LOCK])
        if _id_of(path):
            return
        fresh = path.with_name(f"{path.name}.id.new")
        with fresh.open("w") as file:
            file.write(uuid4().hex)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(_beside(path))
        _sync_folder(path)


def _sync_folder(path: Path) -> None:
    """Let names in the folder of this file outlast a crash."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.id")
