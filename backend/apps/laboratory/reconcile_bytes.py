"""Opens what laboratories sent and holds it against its row; the database itself cannot read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from backend.apps.core.sealed import CannotOpen, column
from backend.apps.laboratory.models import InboundMessage

ROWS, BYTES = 500, 16 * 1024 * 1024  # opened at once at most; one message may be larger
OBSERVATIONS = (b"\rOBX", b"\nOBX")
IN_HOUR = """
    SELECT m.id, m.size_bytes FROM laboratory_inboundmessage m
    WHERE m.received_at >= %(begin)s AND m.received_at < %(end)s"""
# Filed as a result, and none of its observations is in the chart: a fault where it holds any.
WITHOUT_RESULTS = """m.status = 'filed' AND (m.message_type LIKE 'ORU%%' OR m.message_type = '')
    AND NOT m.findings @> '[{"segment": "OBX"}]'
    AND NOT EXISTS (SELECT FROM laboratory_labresult r WHERE r.source_message_id = m.id)"""
STORED = f"""
    SELECT m.id, m.raw, m.sha256, m.size_bytes, {WITHOUT_RESULTS} FROM laboratory_inboundmessage m
    WHERE m.id = ANY(%(keys)s)"""  # noqa: S608  # our own names only
SENTENCES = {
    "digest": "The bytes are not those that were received.",
    "results": "The message is filed, it holds observations, and none of them is in the chart.",
}


def untrue(cursor: Any, hour: dict[str, datetime]) -> Iterator[tuple[str, str]]:
    """Yield (check, id) for each message of an hour whose bytes do not fit its row."""
    cursor.execute(IN_HOUR, hour)
    for keys in _batches(cursor.fetchall()):
        cursor.execute(STORED, {"keys": keys})
        for key, stored, digest, size, without_results in cursor.fetchall():
            raw = _opened(key, stored)
            if raw is None or len(raw) != size or hashlib.sha256(raw).hexdigest() != digest:
                yield "digest", str(key)
            if without_results and any(mark in (raw or b"") for mark in OBSERVATIONS):
                yield "results", str(key)


def _batches(found: list[tuple[Any, int]]) -> Iterator[list[Any]]:
    keys, room = list[Any](), BYTES
    for key, size in found:
        if keys and (len(keys) == ROWS or size > room):
            yield keys
            keys, room = [], BYTES
        keys.append(key)
        room -= size
    if keys:
        yield keys


def _opened(key: Any, stored: Any) -> bytes | None:
    try:
        return bytes(column(InboundMessage, "raw").open(key, stored))
    except CannotOpen:
        return None
