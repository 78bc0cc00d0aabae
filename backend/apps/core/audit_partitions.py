"""Looks after the months of the audit log: makes those to come, and takes old ones off into signed files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

from backend.apps.core import alerts, audit, audit_files, audit_keys, audit_sealing, merkle, statements
from backend.apps.core.audit_verifying import TEXT
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditArchive, AuditSeal

MONTHS_AHEAD = 3
Result = TypeVar("Result")
LABEL = re.compile(r"before|\d{4}-\d{2}")
AT_ONCE = 2_000  # rows that are read in one go
STRAY = "audit stray rows"
STRAYED = "Rows of the audit log lie outside all of its months ({:,}): move them with `manage audit months`."
TRIES, WAIT = 5, "SET LOCAL lock_timeout = '2s'"
MOST_DAYS = 36_525  # a hundred years


@dataclass(frozen=True, slots=True)
class Part:
    """One partition. label: "2026-12", or "before" for what was there before there were months."""

    label: str
    table: str


def ahead() -> int:
    """Make the partitions of the coming months; return how many were missing. Tells of rows that are in none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_auditlog_ahead(%s)", [MONTHS_AHEAD])
        made: int = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM core_auditlog_default LIMIT 1000) AS found")
        stray: int = cursor.fetchone()[0]
    if stray:
        alerts.open_once(STRAY, kind="audit_stray_rows", sentence=STRAYED.format(stray))
    else:
        alerts.clear(STRAY)
    return made


def parts() -> list[Part]:
    """Return the partitions there are, the oldest first, without the one for what fits nowhere."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'core_auditlog'::regclass ORDER BY c.relname"
        )
        names = [name.removeprefix("core_auditlog_") for (name,) in cursor.fetchall()]
    found = [Part(name.replace("_", "-"), f"core_auditlog_{name}") for name in names if name != "default"]
    return sorted(found, key=lambda part: (part.label != "before", part.label))


def detach(label: str, folder: Path, *, keep_days: int | None = None, by: Any = None) -> AuditArchive:
    """Write a month to a signed file, verify that, and only then take it off the log; return what is kept of it.

    keep_days: no row younger than that goes, nor than the law has it kept (AUDIT_LEAST_DAYS). Safe to begin again:
    until the last step nothing is gone.

    Raises:
        DomainError: it is too young, not sealed, or not what was sealed.
    """
    part, since = _part(label), audit_sealing.where_we_are()[1]
    newest = _check_age(part, settings.AUDIT_LEAST_DAYS if keep_days is None else keep_days)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _file_name(label)
    statement = {**_taken_of(part), "label": label, "file_name": path.name}
    content = audit_files.write(path, label, _texts(part))
    _sync(path)
    if audit_files.read(path) != content:
        raise DomainError("The file is not what was written; nothing was taken off.")
    statement |= {
        "rows": content.rows, "root": content.root.hex(), "file_sha256": content.file_sha256.hex(),
        "newest": newest.isoformat() if newest else None,
    }  # fmt: skip
    return tried(lambda: _take_off(part, statement, since, by))


def _part(label: str) -> Part:
    found = next((part for part in parts() if part.label == label), None) if LABEL.fullmatch(label) else None
    if found is None:
        raise DomainError("The audit log has no such month; write it as 2026-12, or before.")
    return found


def _file_name(label: str) -> str:
    """Return a name that no file has; where a clock was wrong a month comes anew after it was taken off."""
    before = AuditArchive.objects.filter(label=label).count()
    return f"audit-{label}-{before + 1}.jsonl.gz" if before else f"audit-{label}.jsonl.gz"


def _check_age(part: Part, keep_days: int) -> datetime | None:
    if keep_days < settings.AUDIT_LEAST_DAYS:
        raise DomainError(f"The audit log is kept for {settings.AUDIT_LEAST_DAYS:,} days at least.")
    if keep_days > MOST_DAYS:
        raise DomainError(f"Ask for {MOST_DAYS / 365.25:.0f} years at most.")
    cutoff = statements.database_now() - timedelta(days=keep_days)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = %s::regclass", [part.table])
        until = datetime.fromisoformat(cursor.fetchone()[0].split("TO ('")[1].split("'")[0])
        cursor.execute(f'SELECT max("timestamp") FROM {part.table}')  # noqa: S608  # a name of ours
        newest: datetime | None = cursor.fetchone()[0]
    if max(filter(None, (until, newest))) > cutoff:
        raise DomainError(f"This month is kept until {until + timedelta(days=keep_days):%Y-%m-%d}.")
    return newest


def _texts(part: Part) -> Iterator[str]:
    """Yield the rows as their digests are taken of them; a cursor of the server, so that memory stays small."""
    asked = f"SELECT {TEXT} FROM {part.table} ORDER BY xid, id"  # noqa: S608  # a name of ours
    with transaction.atomic(), connection.connection.cursor(name="audit_file") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(asked)
        for (text,) in cursor:
            yield text


def _taken_of(part: Part) -> dict[str, Any]:
    """Return which leaves of which seals the month holds.

    Raises:
        DomainError: a row of it is in no seal, or not as it was sealed.
    """
    taken = audit_files.taken(_refuse)
    whole, partly, left = list[list[int]](), dict[int, list[bytes]](), list[bytes]()
    for seal in _seals_of(part):
        leaves = _leaves(part, seal.from_xid, seal.to_xid)
        if not leaves:
            continue
        if leaves == taken.rest(seal.n, bytes(seal.leaves)) and seal.kind == AuditSeal.Kind.SEALED:
            _prolong(whole, seal.n)
            continue
        own = set(merkle.split(bytes(seal.leaves)))
        mine = list(merkle.split(leaves))
        partly[seal.n] = [leaf for leaf in mine if leaf in own]
        left += [leaf for leaf in mine if leaf not in own]
    _find_adopted(left, partly)
    keys = {str(n): [str(UUID(bytes=leaf[: merkle.KEY])) for leaf in leaves] for n, leaves in partly.items() if leaves}
    return {"whole": whole, "parts": keys}


def _refuse(sentence: str) -> None:
    raise DomainError(sentence)


def _seals_of(part: Part) -> Iterator[AuditSeal]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min(xid), max(xid) FROM {part.table}")  # noqa: S608  # a name of ours
        low, high = cursor.fetchone()
    if low is None:
        return
    seals = AuditSeal.objects.filter(to_xid__gt=low, from_xid__lte=high).order_by("n")
    if not seals.filter(to_xid__gt=high).exists():
        raise DomainError("Rows of this month are not sealed yet.")
    yield from seals.iterator(chunk_size=50)


def _leaves(part: Part, begin: int, until: int) -> bytes:
    asked = f"""
        SELECT coalesce(string_agg(uuid_send(id) || sha256(convert_to({TEXT}, 'UTF8')), ''::bytea ORDER BY xid, id), '')
        FROM {part.table} WHERE xid >= %s AND xid < %s"""  # noqa: S608  # a name of ours
    with statements.cursor(binary=True) as cursor:
        cursor.execute(asked, [begin, until])
        return bytes(cursor.fetchone()[0])


def _prolong(runs: list[list[int]], n: int) -> None:
    if runs and runs[-1][1] == n - 1:
        runs[-1][1] = n
    else:
        runs.append([n, n])


def _find_adopted(left: Sequence[bytes], partly: dict[int, list[bytes]]) -> None:
    if not left:
        return
    rest = set(left)
    for seal in AuditSeal.objects.filter(kind=AuditSeal.Kind.ADOPTED):
        mine = rest & set(merkle.split(bytes(seal.leaves)))
        partly.setdefault(seal.n, []).extend(mine)
        rest -= mine
    if rest:
        one = UUID(bytes=next(iter(rest))[: merkle.KEY])
        raise DomainError(f"Row {one} is not as it was sealed, or never was; run `manage audit verify`.")


def _sync(path: Path) -> None:
    for one in (path, path.parent):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def tried(change: Callable[[], Result]) -> Result:
    """Make a change for which the log must stand still, once nobody uses it; each try is waited for two seconds.

    Raises:
        DomainError: somebody always does.
    """
    for _ in range(TRIES):
        try:
            return change()
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                raise
    raise DomainError("The audit log is in use without a pause, so nothing was done. Begin again when it is calmer.")


@transaction.atomic
def _take_off(part: Part, said: dict[str, Any], since: int, by: Any) -> AuditArchive:
    with connection.cursor() as cursor:
        cursor.execute(WAIT)
        cursor.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_files.LOCK])  # of who verifies
        cursor.execute(f"ALTER TABLE core_auditlog DETACH PARTITION {part.table}")  # the log's first, as all take it
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {part.table} WHERE xid >= %s)", [since])  # noqa: S608  # ours
        if cursor.fetchone() != (False,):
            raise DomainError("Somebody wrote to this month meanwhile; nothing was taken off. Begin again.")
        cursor.execute(f"DROP TABLE {part.table}")
    statement = json.dumps(said, sort_keys=True)
    made = AuditArchive.objects.create(
        label=part.label, rows=said["rows"], file_name=said["file_name"], statement=statement,
        key_id=audit_keys.name(), signature=audit_keys.sign(audit_files.to_sign(statement)),
    )  # fmt: skip
    detail = {"rows": made.rows, "file": made.file_name}
    audit.record(None, "detach", "auditlog", part.label, detail=detail, user=by)
    return made
