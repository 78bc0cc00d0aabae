"""Stores messages that labs push, many in one commit; what is stored may be acknowledged, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from backend.apps.core import dispatch, keyring
from workers import feeds, intake
from workers.intake import RECEIVED, REJECTED, Arrival, Taken, names_of

__all__ = ("Arrival", "store")

TASK = "lab_results.file"
KEYS = (0, 13)  # the parameters of `INSERT` that are ids

# What the two sealed columns are bound to, as `core.sealed` does it, at the price of this statement.
RAW, ACK_SENT = b"laboratory_inboundmessage.raw.", b"laboratory_inboundmessage.ack_sent."

INSERT = f"""
WITH incoming AS MATERIALIZED (
    SELECT * FROM unnest(
        %s::uuid[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::bytea[], %s::int[], %s::bool[]
    ) AS t(id, raw, sha256, dedupe_key, peer, sending_application, sending_facility, control_id, message_type,
           version, ack_code, status, status_reason, feed_id, ack_sent, repeats, conflict)
), twins AS (
    SELECT incoming.id AS newer, kept.id AS older
    FROM incoming JOIN laboratory_inboundmessage kept
      ON kept.control_id = incoming.control_id AND kept.sending_application = incoming.sending_application
     AND kept.sending_facility = incoming.sending_facility AND kept.sha256 <> incoming.sha256
    WHERE incoming.control_id <> ''
), flagged AS (
    UPDATE laboratory_inboundmessage SET conflict = true, updated_at = now()
    WHERE NOT conflict AND id IN (SELECT older FROM twins) AND dedupe_key NOT IN (SELECT dedupe_key FROM incoming)
), stored AS (
    INSERT INTO laboratory_inboundmessage AS kept (
        id, raw, size_bytes, sha256, dedupe_key, peer, sending_application, sending_facility, control_id, message_type,
        version, ack_code, status, status_reason, work_state, feed_id, ack_sent, repeats, conflict,
        created_at, updated_at, received_at, due_at, is_deleted
    )
    SELECT id, raw, greatest(length(raw) - {keyring.OVERHEAD}, 0), sha256, dedupe_key, peer, sending_application,
           sending_facility, control_id, message_type, version, ack_code, status, status_reason,
           CASE status WHEN 'received' THEN 'waiting' ELSE 'done' END, feed_id, ack_sent, repeats,
           conflict OR EXISTS (SELECT FROM twins WHERE newer = incoming.id), now(), now(), now(), now(), false
    FROM incoming
    ON CONFLICT (dedupe_key) DO UPDATE SET
        repeats = kept.repeats + excluded.repeats + 1,
        conflict = kept.conflict OR excluded.conflict,
        updated_at = now(),
        (feed_id, ack_code, ack_sent, status, status_reason, work_state, due_at) = (
            SELECT excluded.feed_id, excluded.ack_code, excluded.ack_sent, excluded.status, '', 'waiting', now()
            WHERE kept.status = 'rejected' AND kept.lease_no = 0 AND excluded.status = 'received'
            UNION ALL
            SELECT kept.feed_id, kept.ack_code, kept.ack_sent, kept.status, kept.status_reason, kept.work_state,
                   kept.due_at
            WHERE NOT (kept.status = 'rejected' AND kept.lease_no = 0 AND excluded.status = 'received')
        )
    RETURNING dedupe_key, id, status, work_state, xmax <> 0 AS again
)
SELECT dedupe_key, id, status, work_state FROM stored WHERE again
"""  # noqa: S608  # our own names only
# A message that was stored before is counted in `repeats`. One that was refused at the door (no worker ever had it) and
# would be taken now, because its feed has been set up since, is put in line.


def columns(batch: Sequence[Taken]) -> list[list[Any]]:
    """Return the seventeen parameters of `INSERT`: each message once, in the order of their keys.

    Two who store the same messages would deadlock in any other order.
    """
    if len({taken.head.control_id for taken in batch}) == len(batch):  # nearly always: no repetition, no conflict
        rows = [_row(taken, 0, False) for taken in sorted(batch, key=attrgetter("dedupe_key"))]
    else:
        rows = _merged(batch)
    return [list(column) for column in zip(*rows, strict=True)]


def _merged(batch: Sequence[Taken]) -> list[tuple[Any, ...]]:
    times: dict[str, int] = {}
    contents: dict[tuple[str, str, str], set[str]] = {}
    fresh: dict[str, Taken] = {}
    for taken in batch:
        key = taken.dedupe_key
        times[key] = times.get(key, 0) + 1
        if key not in fresh or (taken.accepted and not fresh[key].accepted):  # one that is taken outweighs refusals
            fresh[key] = taken
        if taken.head.control_id:
            contents.setdefault(names_of(taken.head), set()).add(taken.sha256)
    rows = [(fresh[key], times[key] - 1) for key in sorted(fresh)]
    return [_row(taken, again, len(contents.get(names_of(taken.head), ())) > 1) for taken, again in rows]


def _row(taken: Taken, repeats: int, conflict: bool) -> tuple[Any, ...]:
    head, arrival = taken.head, taken.arrival
    kind = (
        f"{head.message_code}^{head.trigger}"
        if head.message_code and head.trigger
        else head.message_code or head.trigger
    )
    return (
        taken.key, _sealed(RAW + taken.key, arrival.raw), taken.sha256, taken.dedupe_key, arrival.peer[:60],
        *names_of(taken.head), kind[:60],
        head.version[:60], taken.ack_code, RECEIVED if taken.accepted else REJECTED, taken.why,
        taken.feed.key if taken.feed else None, sealed_receipt(taken.dedupe_key, taken.receipt), repeats, conflict,
    )  # fmt: skip


def sealed_receipt(dedupe_key: str, receipt: bytes) -> bytes:
    """Return what `ack_sent` holds: bound to the key all arrivals of one message share."""
    return _sealed(ACK_SENT + dedupe_key.encode(), receipt)


def _sealed(bound_to: bytes, plain: bytes) -> bytes:
    return keyring.seal(plain, bound_to) if plain else plain


def store(arrivals: Sequence[Arrival], book: feeds.Book | None = None) -> list[bytes]:
    """Store all of `arrivals` in one commit and return the acknowledgement of each, in order.

    A message that was stored before (same sender, control id and content) counts as a repetition and is answered as it
    was. Another content under a known control id is stored as a row of its own and flagged. An answer is empty where
    the sender wants none on receipt.

    Raises:
        DatabaseError: nothing was stored and nothing may be acknowledged.
    """
    known, at = book or load(), intake.now()
    batch = [intake.take(arrival, known, at) for arrival in arrivals]
    if not batch:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, _as_django_takes_them(columns(batch)))
        if any(taken.accepted for taken in batch):
            dispatch.ring(TASK)
    return [taken.receipt for taken in batch]


def load() -> feeds.Book:
    """Return the book of feeds as the database has it now."""
    with connection.cursor() as cursor:
        cursor.execute(feeds.QUERY)
        return feeds.book_of(cursor.fetchall())


def _as_django_takes_them(found: list[list[Any]]) -> list[list[Any]]:
    return [
        [key and UUID(bytes=key) for key in column] if number in KEYS else column for number, column in enumerate(found)
    ]
