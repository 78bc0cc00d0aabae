"""Reads all of what a database, a Redis or a folder holds, as text to look for marks in."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import redis
from django.apps import apps
from django.db import connection

from backend.apps.core.models import Alert, AuditLog, Heartbeat, IdempotentRequest

ABOUT_ROWS = {"last_error", "status_reason", "dedupe_key", "findings", "file_name"}  # of what waits for a worker
OWN = (AuditLog, Alert, Heartbeat, IdempotentRequest)


def files_in(folder: Path, *, but: Collection[str] = ()) -> str:
    """Return the names and bytes of all files below a folder, but for those in `but` and those that go meanwhile."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.relative_to(folder).parts[0] not in but):
        try:
            found.append(f"{path.name} {path.read_bytes().decode('latin-1') if path.is_file() else ''}")
        except FileNotFoundError:
            continue
    return "\n".join(found)


def everything_in(url: str) -> str:
    """Return all keys and values of a Redis as one text, with the bodies of Celery's messages as they read unpacked."""
    reads: dict[bytes, Callable[[Any, bytes], Any]] = {
        b"string": lambda r, key: r.get(key),
        b"list": lambda r, key: r.lrange(key, 0, -1),
        b"set": lambda r, key: r.smembers(key),
        b"zset": lambda r, key: r.zrange(key, 0, -1),
        b"hash": lambda r, key: r.hgetall(key),
        b"stream": lambda r, key: r.xrange(key),
    }
    with redis.Redis.from_url(url) as server:
        kinds = [(key, server.type(key)) for key in server.scan_iter()]
        there = [(key, kind) for key, kind in kinds if kind != b"none"]  # others' keys may go while we look
        text = "\n".join(f"{key!r} {reads[kind](server, key)}" for key, kind in there)
    bodies = re.findall(r'"body": "([A-Za-z0-9+/=]+)"', text)
    return text + " ".join(base64.b64decode(body).decode(errors="replace") for body in bodies)


def stored(table: str, columns: list[str]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT concat_ws(' ', {', '.join(columns)}) FROM {table}")  # noqa: S608  # our own names
        return "\n".join(row[0] for row in cursor.fetchall())


def about_rows() -> dict[str, list[str]]:
    """Return {table: columns} of what history and queues keep about rows: all columns of the tables made for that."""
    found = {model._meta.db_table: [f"{model._meta.db_table}::text"] for model in OWN}
    for model in apps.get_models():
        names = {one.name for one in model._meta.fields} & ABOUT_ROWS
        if names and model not in OWN and model._meta.managed and not model._meta.proxy:
            found[model._meta.db_table] = [f'"{name}"' for name in sorted(names)]
    return found
