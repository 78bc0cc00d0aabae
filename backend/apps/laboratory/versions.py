"""Puts the versions of an observation in the laboratory's own order; without this the last to arrive would win."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from backend.apps.core.bulk import copy_in, update_each
from backend.apps.laboratory.models.results import LabResult, ResultStatus

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # a value of its own comes after a restated one
STAGE = {ResultStatus.PENDING.value: 0, ResultStatus.PRELIMINARY.value: 1}  # the others are settled: 2
AT_ONCE = {ResultStatus.FINAL.value: 0, ResultStatus.CORRECTED.value: 1, ResultStatus.CANCELLED.value: 2}
RESTATED = (
    "result_value", "numeric_value", "value_type", "unit", "unit_as_sent", "reference_range", "abnormal_flag",
    "flagged_critical", "flags_as_sent", "interpretation", "result_date", "file_attachment",
)  # fmt: skip

STORED = (
    "id", "result_key", "digest", "status", "result_date", "reported_at", "sent_at", "version", "is_current",
    "supersedes_id", "source_message_id", "restates", "created_at",
)  # fmt: skip
PLACED = ("result_key", "digest", "version", "is_current", "supersedes")

Groups = dict[str, list[LabResult]]


@dataclass(slots=True)
class New:
    """A version to be placed. former_keys: names of its observation under records merged into the patient's.

    restates: it has no value; it says that the preliminary value on file is final.
    """

    result: LabResult
    former_keys: list[str] = field(default_factory=list)
    restates: bool = False


@dataclass(slots=True)
class Placed:
    """What became of the versions: those saved, and for each asked the row that says it (None: nothing to restate)."""

    fresh: list[LabResult]
    stands: list[LabResult | None]


def key_of(*parts: Any) -> str:
    """Return the name of one observation, made of all that tells it from others."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def digest_of(result: LabResult) -> str:
    """Return what a version says as one hash: the same said twice, by whatever message, is one version."""
    marks = ["critical"] if result.flagged_critical else []
    if attached := result.__dict__["file_attachment"]:  # without making a file object of it
        marks.append(str(attached))
    return key_of(
        result.status,
        result.abnormal_flag,
        result.result_value,
        result.value_type,
        result.unit_as_sent or result.unit,
        result.reference_range,
        result.interpretation,
        _written(result.result_date),
        _written(result.reported_at),
        *marks,
    )


def _written(value: datetime | None) -> str:
    return value.astimezone(UTC).isoformat() if value else ""


def moment(result: LabResult) -> tuple[Any, ...]:
    """Return the place of a version among the others of its observation; the greatest is current.

    A settled result comes after a preliminary one, whenever either was reported. Among settled ones the time of the
    report counts, then that of the earliest message that said so, then correction over first result and withdrawal over
    both. Of two restatements in one the later knew more of the preliminary values. The rest only makes the order total.
    """
    sent = result.sent_at or LONG_AGO
    return (
        STAGE.get(result.status, 2),
        result.reported_at or sent,
        sent,
        AT_ONCE.get(result.status, 0),
        (result.created_at or timezone.now()) if result.restates else LATEST,
        result.result_date or LONG_AGO,
        result.digest,
    )


def place(new: Sequence[LabResult]) -> tuple[list[LabResult], list[LabResult]]:
    """Place versions as `place_all` does; return those that were saved, and the stored ones that said the same."""
    placed = place_all([New(result) for result in new])
    fresh = {id(row) for row in placed.fresh}
    return placed.fresh, [row for row in placed.stands if row is not None and id(row) not in fresh]


def place_all(new: Sequence[New]) -> Placed:
    """Save those of `new` that say something new, and put every version of their observations in order.

    The caller holds the patients' rows locked. A version said before only learns of an earlier `sent_at`.
    """
    groups: Groups = defaultdict(list)
    for row in _stored({key for each in new for key in (each.result.result_key, *each.former_keys)}):
        groups[row.result_key].append(row)
    stood = {row.pk: _place_of(row) for rows in groups.values() for row in rows}
    for each in new:
        known = (key for key in (each.result.result_key, *each.former_keys) if groups.get(key))
        each.result.result_key = next(known, each.result.result_key)
    fresh = list[LabResult]()
    stands: dict[int, LabResult | None] = {}
    for each in sorted(new, key=lambda one: one.restates):  # first what they may restate
        stands[id(each)] = _said(each, groups[each.result.result_key], fresh)
    for rows in groups.values():
        _order(rows)
    _save(fresh, [row for rows in groups.values() for row in rows if row.pk in stood], stood)
    return Placed(fresh, [stands[id(each)] for each in new])


def _said(new: New, group: list[LabResult], fresh: list[LabResult]) -> LabResult | None:
    """Return the row of the group that says this, adding it when it is new."""
    result = new.result
    if new.restates and not _restate(result, group):
        return None
    result.digest = digest_of(result)
    for row in group:
        if row.digest == result.digest:
            row.sent_at = min(filter(None, (row.sent_at, result.sent_at)), default=None)
            return row
    group.append(result)
    fresh.append(result)
    return result


def _restate(result: LabResult, group: list[LabResult]) -> bool:
    """Give `result` the newest preliminary value that was reported by then; False when there is none."""
    by_then = result.reported_at or result.sent_at or LONG_AGO
    earlier = [row for row in group if row.status == ResultStatus.PRELIMINARY and moment(row)[1] <= by_then]
    if not earlier:
        return False
    last = max(earlier, key=moment)
    if last.get_deferred_fields():
        last.refresh_from_db(fields=RESTATED)
    for name in RESTATED:
        setattr(result, name, getattr(last, name))
    result.restates = True
    return True


def join(stays: Iterable[LabResult], joins: Iterable[LabResult]) -> list[str]:
    """Make one history of each observation that is on file twice, in the same panel of two records of one person.

    What both say stays on file twice, once as an older version of the other. Within a transaction of the caller's, who
    holds the patients' rows locked; only there does the trigger let an observation be named anew. Return the names that
    no observation has any more.
    """
    known, twins = _histories(stays), _histories(joins)
    pairs = [pair for name in twins.keys() & known.keys() for pair in zip(known[name], twins[name], strict=False)]
    dropped = [other[0].result_key for _, other in pairs]
    rows = [row for one, other in pairs for row in _joined(one, other)]
    if not rows:
        return []
    LabResult.all_objects.filter(pk__in=[row.pk for row in rows]).update(is_current=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('carerelay.joins_results', 'on', true)")
        update_each(rows, PLACED)
        cursor.execute("SELECT set_config('carerelay.joins_results', '', true)")
    return dropped


def _histories(rows: Iterable[LabResult]) -> dict[str, list[list[LabResult]]]:
    """Return the histories under each name; of several, as one report said the same of them, in its order."""
    found: dict[str, Groups] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: (row.observation_index or 0, row.pk)):
        found[row.group_key][row.result_key].append(row)
    return {name: list(groups.values()) for name, groups in found.items()}


def _joined(one: list[LabResult], other: list[LabResult]) -> list[LabResult]:
    said = {row.digest for row in one}
    for row in other:
        row.result_key = one[0].result_key
        if row.digest in said:
            row.digest = key_of("said of both records", row.digest, row.pk)
    rows = one + other
    _order(rows)
    return rows


def _stored(keys: Iterable[str]) -> Iterable[LabResult]:
    """Return the versions of these observations; raw, for Django takes its time over a thousand keys of an IN."""
    columns = ", ".join(STORED)
    sql = f"SELECT {columns} FROM laboratory_labresult WHERE result_key = ANY(%s)"  # noqa: S608  # our own names only
    return LabResult.all_objects.raw(sql, [list(keys)])


def _place_of(row: LabResult) -> tuple[Any, ...]:
    return row.version, row.is_current, row.supersedes_id, row.sent_at


def _order(rows: list[LabResult]) -> None:
    if len(rows) > 1:
        rows.sort(key=moment)
    before: LabResult | None = None
    for number, row in enumerate(rows, start=1):
        row.version, row.is_current, row.supersedes_id = number, number == len(rows), before.pk if before else None
        before = row


def _save(fresh: list[LabResult], stored: list[LabResult], stood: dict[Any, tuple[Any, ...]]) -> None:
    """Write: first who is no longer current, for an observation has one current version at any moment."""
    moved = [row for row in stored if _place_of(row) != stood[row.pk]]
    ousted = [row.pk for row in moved if stood[row.pk][1] and not row.is_current]
    if ousted:
        LabResult.all_objects.filter(pk__in=ousted).update(is_current=False, updated_at=timezone.now())
    copy_in(fresh)
    update_each(moved, ["version", "is_current", "supersedes", "sent_at"])
