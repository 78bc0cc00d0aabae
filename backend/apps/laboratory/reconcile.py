"""Proves that every laboratory message taken in is in exactly one outcome, and that no row was touched behind our back.

Pure reading, in one snapshot: what is stored meanwhile changes nothing. One hour at a time, so memory stays flat.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from backend.apps.core import row_tally
from backend.apps.core.ledger import EXAMPLES, Account, Books, Fault, Progress
from backend.apps.core.row_tally import HOUR, ceiling, floor
from backend.apps.laboratory import reconcile_bytes
from backend.apps.laboratory.models import InboundStatus, LabFeed, LabResult

OUTCOMES = (InboundStatus.FILED, InboundStatus.WORKLIST, InboundStatus.REJECTED, InboundStatus.DUPLICATE)
FILES, NOBODY = "files", "no feed"

HOURS = """
    SELECT DISTINCT hour FROM (
        SELECT hour FROM laboratory_intakecount
        UNION ALL SELECT DISTINCT date_trunc('hour', received_at, 'UTC') FROM laboratory_inboundmessage) all_hours
    WHERE hour >= coalesce(%(since)s::timestamptz, '-infinity') AND hour < coalesce(%(until)s::timestamptz, 'infinity')
    ORDER BY hour"""
LEDGER = """
    SELECT feed_id, by_file, sum(taken + moved_in - moved_out)::bigint, bit_xor(marks) FROM laboratory_intakecount
    WHERE hour = %(begin)s GROUP BY 1, 2"""
ROWS = """
    SELECT feed_id, peer = 'file', status, count(*),
           bit_xor(laboratory_mark(id, sha256, control_id, sending_application, sending_facility)),
           min(received_at)
    FROM laboratory_inboundmessage WHERE received_at >= %(begin)s AND received_at < %(end)s GROUP BY 1, 2, 3"""

UNTOUCHED = "m.lease_no = 0 AND m.settled_at IS NULL"  # neither a machine nor a person had it since it was answered
REFUSED, TAKEN = "m.ack_code IN ('AE', 'AR', 'CE', 'CR')", "m.ack_code IN ('AA', 'CA')"
MESSAGE_CHECKS = {
    "acknowledgement": (
        "The acknowledgement that went out does not fit what became of the message.",
        f"{UNTOUCHED} AND (({REFUSED} AND m.status <> 'rejected') OR ({TAKEN} AND m.status = 'rejected'))",
    ),
    "left behind": (
        "The message is in line and no machine will come for it, or is settled and a machine still has it.",
        "(m.status = 'received') <> (m.work_state IN ('waiting', 'running'))",
    ),
    "once": (
        "The same message is stored more than once.",
        "EXISTS (SELECT FROM laboratory_inboundmessage o WHERE o.dedupe_key = m.dedupe_key AND o.id <> m.id)",
    ),
}
RESULT_CHECKS = {
    "source": (
        "A current result points to a message that was not filed.",
        """SELECT r.id::text FROM laboratory_labresult r JOIN laboratory_inboundmessage m ON m.id = r.source_message_id
           WHERE m.received_at >= %(begin)s AND m.received_at < %(end)s
             AND r.is_current AND (m.status = 'duplicate' OR (m.status = 'rejected' AND m.settled_at IS NULL))""",
    ),
    "source is gone": (
        "A result points to a message that is not there.",
        """SELECT r.id::text FROM laboratory_labresult r LEFT JOIN laboratory_inboundmessage m
             ON m.id = r.source_message_id
           WHERE r.created_at >= %(begin)s AND r.created_at < %(end)s
             AND r.source_message_id IS NOT NULL AND m.id IS NULL""",
    ),
    "versions": (
        "The versions of an observation are not counted through, or not exactly the last one is current.",
        """SELECT max(v.id::text) FROM laboratory_labresult v WHERE v.result_key IN (
               SELECT r.result_key FROM laboratory_labresult r
               WHERE r.created_at >= %(begin)s AND r.created_at < %(end)s)
           GROUP BY v.result_key HAVING count(*) <> max(v.version) OR count(*) FILTER (WHERE v.is_current) <> 1
             OR max(v.version) FILTER (WHERE v.is_current) <> max(v.version)""",
    ),
}

Key = tuple[Any, bool]  # feed, whether it came as a file


def laboratory(
    since: datetime | None, until: datetime | None, *, settle: timedelta, progress: Progress | None = None
) -> Books:
    """Return the books of the hours from `since` until `until` (UTC, whole hours); None: from the first, to the last.

    settle: how long a message may be in line before that is a fault. Inside a transaction of the caller's the snapshot
    is that one's.
    """
    begin, end = floor(since), ceiling(until)
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _Audit(cursor, settle).close(begin, end, progress or unseen)


def unseen(_done: int, _of: int) -> None:
    """Show nobody how far the work is."""


class _Audit:
    """One pass over the hours; what it finds is added up here."""

    def __init__(self, cursor: Any, settle: timedelta) -> None:
        self.cursor, self.settle = cursor, settle
        self.taken: Counter[Key] = Counter()
        self.statuses: dict[Key, Counter[str]] = defaultdict(Counter)
        self.faults: dict[str, Fault] = {}
        self.waiting_since: datetime | None = None

    def close(self, begin: datetime | None, end: datetime | None, progress: Progress) -> Books:
        hours = [hour for (hour,) in self._rows(HOURS, since=begin, until=end)]
        progress(0, len(hours))
        for done, hour in enumerate(hours, start=1):
            self._hour({"begin": hour, "end": hour + HOUR})
            progress(done, len(hours))
        self._look_at_the_line()
        accounts = sorted(self._accounts(), key=lambda account: account.name)
        _, unwritten = row_tally.compare(self.cursor, [LabResult._meta.db_table], begin, end)
        faults = [*self.faults.values(), *unwritten]
        return Books("laboratory messages", begin, end, accounts, faults, self.waiting_since)

    def _hour(self, hour: dict[str, datetime]) -> None:
        counted = {(feed, by_file): (taken, marks) for feed, by_file, taken, marks in self._rows(LEDGER, **hour)}
        stored: dict[Key, tuple[int, int]] = {}
        for feed, by_file, status, count, marks, oldest in self._rows(ROWS, **hour):
            key = feed, by_file
            had, so_far = stored.get(key, (0, 0))
            stored[key] = had + count, so_far ^ marks
            self.statuses[key][status] += count
            if status == InboundStatus.RECEIVED:
                self.waiting_since = min(self.waiting_since or oldest, oldest)
        for key in counted.keys() | stored.keys():
            self._compare(hour["begin"], counted.get(key, (0, 0)), stored.get(key, (0, 0)))
            self.taken[key] += counted.get(key, (0, 0))[0]
        self._check_rows(hour)

    def _compare(self, hour: datetime, counted: tuple[int, int], stored: tuple[int, int]) -> None:
        when = f"{hour:%Y-%m-%d %H}:00 UTC"
        if counted[0] != stored[0]:
            self._note("intake", "Rows are missing, or nobody counted them in.", abs(counted[0] - stored[0]), when)
        elif counted[1] != stored[1]:
            self._note("exchanged", "As many rows as were counted in, but not the same ones.", 1, when)

    def _check_rows(self, hour: dict[str, datetime]) -> None:
        wrong = " OR ".join(f"({where})" for _, where in MESSAGE_CHECKS.values())
        names = ", ".join(f"CASE WHEN {where} THEN '{name}' END" for name, (_, where) in MESSAGE_CHECKS.items())
        sql = f"""SELECT m.id::text, array_remove(ARRAY[{names}], NULL) FROM laboratory_inboundmessage m
                  WHERE m.received_at >= %(begin)s AND m.received_at < %(end)s AND ({wrong})"""  # noqa: S608  # ours
        for pk, found in self._rows(sql, **hour):
            for name in found:
                self._note(name, MESSAGE_CHECKS[name][0], 1, pk)
        for name, pk in reconcile_bytes.untrue(self.cursor, hour):
            self._note(name, reconcile_bytes.SENTENCES[name], 1, pk)
        for name, (sentence, sql) in RESULT_CHECKS.items():
            for (pk,) in self._rows(sql, **hour):
                self._note(name, sentence, 1, pk)

    def _look_at_the_line(self) -> None:
        self.cursor.execute("SELECT now()")
        if self.waiting_since and self.waiting_since < self.cursor.fetchone()[0] - self.settle:
            waiting = sum(counts[InboundStatus.RECEIVED] for counts in self.statuses.values())
            sentence = f"Messages wait to be filed, the oldest for longer than {self.settle.total_seconds():.0f} s."
            self._note("in line", sentence, waiting, f"since {self.waiting_since:%Y-%m-%d %H:%M:%S} UTC")

    def _accounts(self) -> Iterator[Account]:
        names = dict(LabFeed.all_objects.values_list("pk", "name"))
        totals: dict[str, tuple[int, Counter[str]]] = {}
        for key in self.taken.keys() | self.statuses.keys():
            name = names.get(key[0], FILES if key[1] else NOBODY)
            taken, counts = totals.get(name, (0, Counter()))
            totals[name] = taken + self.taken[key], counts + self.statuses[key]
        for name, (taken, counts) in totals.items():
            outcomes = {str(status): counts[status] for status in OUTCOMES}
            yield Account(name, taken, outcomes, counts[InboundStatus.RECEIVED])

    def _note(self, check: str, sentence: str, count: int, example: str) -> None:
        known = self.faults.get(check, Fault(check, sentence, 0))
        examples = known.examples if len(known.examples) == EXAMPLES else (*known.examples, example)
        self.faults[check] = Fault(check, sentence, known.count + count, examples)

    def _rows(self, sql: str, **values: Any) -> list[Any]:
        self.cursor.execute(sql, values)
        found: list[Any] = self.cursor.fetchall()
        return found
