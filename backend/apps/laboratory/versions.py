"""Puts the versions of an observation in the laboratory's own order; without this the last to arrive would win."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from backend.apps.laboratory.models import LabResult, ResultStatus

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
STAGE = {ResultStatus.PENDING: 0, ResultStatus.PRELIMINARY: 1}  # the others are settled: 2
AT_ONCE = {ResultStatus.FINAL: 0, ResultStatus.CORRECTED: 1, ResultStatus.CANCELLED: 2}
SAID = (
    "status", "abnormal_flag", "result_value", "value_type", "unit", "reference_range", "interpretation",
    "result_date", "reported_at",
)  # fmt: skip


def key_of(*parts: Any) -> str:
    """Return the name of one observation, made of all that tells it from others."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def digest_of(result: LabResult) -> str:
    """Return what a version says as one hash: the same said twice, by whatever message, is one version."""
    marks = ("critical",) if result.flagged_critical else ()
    return key_of(*(_written(getattr(result, name)) for name in SAID), *marks)


def _written(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value or "")


def moment(result: LabResult) -> tuple[Any, ...]:
    """Return the place of a version among the others of its observation; the greatest is current.

    A settled result comes after a preliminary one, whenever either was reported. Among settled ones the time of the
    report counts, then that of the earliest message that said so, then correction over first result and withdrawal over
    both. The rest only makes the order total.
    """
    sent = result.sent_at or LONG_AGO
    return (
        STAGE.get(ResultStatus(result.status), 2),
        result.reported_at or sent,
        sent,
        AT_ONCE.get(ResultStatus(result.status), 0),
        result.result_date or LONG_AGO,
        result.digest,
    )


def place(new: Sequence[LabResult]) -> tuple[list[LabResult], list[LabResult]]:
    """Save those of `new` that say something new, and put every version of their observations in order.

    The caller holds the patient's row locked. A version said before only learns of an earlier `sent_at`.

    Returns the saved versions, and the stored ones that already said the same.
    """
    groups: dict[str, list[LabResult]] = defaultdict(list)
    for row in _stored({result.result_key for result in new}):
        groups[row.result_key].append(row)
    stood = {row.pk: _place_of(row) for rows in groups.values() for row in rows}
    fresh, known = list[LabResult](), list[LabResult]()
    for result in new:
        result.digest = digest_of(result)
        same = next((row for row in groups[result.result_key] if row.digest == result.digest), None)
        if same is None:
            groups[result.result_key].append(result)
            fresh.append(result)
        else:
            same.sent_at = min(filter(None, (same.sent_at, result.sent_at)), default=None)
            known.append(same)
    for rows in groups.values():
        _order(rows)
    _save(fresh, [row for rows in groups.values() for row in rows if row.pk in stood], stood)
    return fresh, known


def _stored(keys: Iterable[str]) -> Iterable[LabResult]:
    return LabResult.all_objects.filter(result_key__in=sorted(keys)).only(
        "result_key", "digest", "status", "result_date", "reported_at", "sent_at", "version", "is_current",
        "supersedes", "source_message",
    )  # fmt: skip


def _place_of(row: LabResult) -> tuple[Any, ...]:
    return row.version, row.is_current, row.supersedes_id, row.sent_at


def _order(rows: list[LabResult]) -> None:
    rows.sort(key=moment)
    before: LabResult | None = None
    for number, row in enumerate(rows, start=1):
        row.version, row.is_current, row.supersedes = number, number == len(rows), before
        before = row


def _save(fresh: list[LabResult], stored: list[LabResult], stood: dict[Any, tuple[Any, ...]]) -> None:
    """Write: first who is no longer current, for an observation has one current version at any moment."""
    moved = [row for row in stored if _place_of(row) != stood[row.pk]]
    now = timezone.now()
    ousted = [row.pk for row in moved if stood[row.pk][1] and not row.is_current]
    if ousted:
        LabResult.all_objects.filter(pk__in=ousted).update(is_current=False, updated_at=now)
    LabResult.all_objects.bulk_create(fresh)
    for row in moved:
        row.updated_at = now
    if moved:
        LabResult.all_objects.bulk_update(moved, ["version", "is_current", "supersedes", "sent_at", "updated_at"])
