"""Proves that every message planned for a patient is in exactly one outcome, and every report of a provider heeded.

Pure reading, in one snapshot: what is sent meanwhile changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core import row_tally
from backend.apps.core.ledger import EXAMPLES, Account, Books, Fault, Progress
from backend.apps.messaging.models import OutgoingMessage, PatientMessage, ProviderEvent

KINDS: dict[str, type[OutgoingMessage]] = {"reminders": AppointmentReminder, "other messages": PatientMessage}
CHANNELS = {"sms": "text", "email": "e-mail", "push": "push"}
OUTCOMES = ("sent", "superseded", "suppressed", "failed", "held")
IN_LINE = "in line"

# Each row has to be in one of these: none of them says "everything else".
STATES = {
    "sent": "m.status IN ('sent', 'delivered') AND m.work_state = 'done'",
    "superseded": "m.status = 'superseded' AND m.work_state = 'done'",
    "suppressed": "m.status = 'suppressed' AND m.work_state = 'done'",
    "failed": "m.status IN ('failed', 'bounced') AND m.work_state IN ('done', 'failed')",
    "held": "m.status = 'pending' AND m.work_state = 'held'",
    IN_LINE: "m.status = 'pending' AND m.work_state IN ('waiting', 'running')",
}
IN_RANGE = """m.scheduled_send_time >= coalesce(%(since)s::timestamptz, '-infinity')
          AND m.scheduled_send_time < coalesce(%(until)s::timestamptz, 'infinity')"""
CAME_IN_RANGE = IN_RANGE.replace("scheduled_send_time", "created_at")
SENT = STATES["sent"]
TABLES = [connection.ops.quote_name(model._meta.db_table) for model in KINDS.values()]
# One question for each table, and no OR of them: then many rows are compared at once, and few by the index.
SAME_NAME = f"""
    SELECT m.id FROM {{{{table}}}} m WHERE {IN_RANGE} AND m.external_id <> '' AND m.digest_of_id IS NULL
      AND EXISTS (SELECT FROM {{}} o WHERE o.external_id = m.external_id AND o.id <> m.id AND o.digest_of_id IS NULL
                  AND o.external_id <> '')"""  # noqa: S608  # our own names only
REPORT = (
    "EXISTS (SELECT FROM messaging_providerevent e WHERE e.attempt_id = m.id::text || '.' || m.lease_no "
    "AND e.attempt_id <> '' AND e.outcome = 'applied' AND {})"  # told, so that the index serves
)
UNKNOWN_BY_THAT = REPORT.format("e.message_id <> '' AND e.message_id <> m.external_id")
ARRIVED = REPORT.format("e.provider_status = 'delivered'")
CHECKS = {
    "contradiction": (
        "What the patient got and what a machine did with the message do not go together.",
        f"NOT ({' OR '.join(f'({where})' for where in STATES.values())})",
    ),
    "no name": (
        "The message was sent, and the provider's name for it is missing.",
        f"{SENT} AND m.external_id = '' AND m.digest_of_id IS NULL",
    ),
    "one text, two messages": (
        "Another message has the same name at the provider.",
        f"m.id IN ({' UNION ALL '.join(map(SAME_NAME.format, TABLES))})",
    ),
    "nobody told it": (
        "The message counts as told in the text of another one, which was not sent.",
        f"{SENT} AND m.digest_of_id IS NOT NULL AND NOT EXISTS (SELECT FROM {{table}} l WHERE l.id = m.digest_of_id "
        "AND l.digest_of_id IS NULL AND l.status IN ('sent', 'delivered'))",
    ),
    "never sent": (
        "The message counts as not sent, and there is a moment at which it was.",
        "m.status IN ('pending', 'suppressed', 'superseded') AND m.sent_at IS NOT NULL",
    ),
    "delivered": (
        "The message counts as delivered and nobody knows when, or only as sent and somebody does.",
        "(m.status = 'delivered' AND m.delivered_at IS NULL) OR (m.status = 'sent' AND m.delivered_at IS NOT NULL)",
    ),
    "no reason": (
        "The message did not arrive or was not wanted, and nothing says why.",
        "m.status IN ('failed', 'bounced', 'suppressed') AND m.status_reason = '' AND m.last_error = '' "
        "AND m.error_code = '' AND m.provider_status = ''",
    ),
    "another name": (
        "The provider reported on the message by another name than the one it has here.",
        f"m.external_id <> '' AND m.digest_of_id IS NULL AND {UNKNOWN_BY_THAT}",
    ),
    "told otherwise": (
        "The provider reported the message as delivered, and here it is not.",
        f"m.status NOT IN ('delivered', 'bounced') AND {ARRIVED}",
    ),
    "recipient": (
        "The message was sent, and nobody knows whereto.",
        f"{SENT} AND m.recipient_phone = '' AND m.recipient_email = ''",
    ),
    "left behind": (
        "Nobody looks for the outcome any more, or still does though it is known.",
        "m.uncertain_since IS NOT NULL AND m.work_state <> 'held'",
    ),
}

REPORTS = ProviderEvent._meta.db_table
WRITTEN = [*(model._meta.db_table for model in KINDS.values()), REPORTS]
REPORT_STATES = {
    "applied": "m.outcome = 'applied' AND m.work_state = 'done'",
    "unchanged": "m.outcome = 'unchanged' AND m.work_state = 'done'",
    "unmatched": "m.outcome = 'unmatched' AND m.work_state = 'done'",
    "ignored": "m.outcome = 'ignored' AND m.work_state = 'done'",
    "failed": "m.work_state = 'failed'",
    "held": "m.work_state = 'held'",
    IN_LINE: "m.outcome = '' AND m.work_state IN ('waiting', 'running')",
}
REPORT_CHECKS = {
    "contradiction": (
        "The report is done with and nobody knows how it ended, or is not and somebody does.",
        f"NOT ({' OR '.join(f'({where})' for where in REPORT_STATES.values())})",
    ),
    "in line": (
        "Reports of providers wait for longer than they may.",
        "m.work_state IN ('waiting', 'running') AND m.created_at < now() - make_interval(secs => %(settle_s)s + 900)",
    ),
}


def reminders(
    since: datetime | None, until: datetime | None, *, settle: timedelta, progress: Progress | None = None
) -> Books:
    """Return the books of what was to be sent from `since` until before `until`; None: from the first, to the last.

    settle: how long a message may be overdue, or its outcome unknown, before that is a fault. Inside a transaction of
    the caller's the snapshot is that one's.
    """
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        audit = _Audit(cursor, {"since": since, "until": until, "settle_s": settle.total_seconds()})
        for done, (name, model) in enumerate(KINDS.items()):
            (progress or unseen)(done, len(KINDS))
            audit.look(name, model)
        audit.look_at_reports()
        written, unwritten = row_tally.compare(cursor, WRITTEN, since, until)
        accounts, faults = [*audit.accounts(), *written], [*audit.faults, *unwritten]
        return Books("messages to patients", since, until, accounts, faults, audit.waiting_since)


def unseen(_done: int, _of: int) -> None:
    """Show nobody how far the work is."""


def _state_of(states: dict[str, str]) -> str:
    cases = " ".join(f"WHEN {where} THEN '{state}'" for state, where in states.items())
    return f"CASE {cases} ELSE '' END"


class _Audit:
    """One pass over the tables; what it finds is added up here."""

    def __init__(self, cursor: Any, values: dict[str, Any]) -> None:
        self.cursor, self.values = cursor, values
        self.planned, self.ended, self.reports = Counter[str](), dict[str, Counter[str]](), dict[str, Counter[str]]()
        self.faults: list[Fault] = []
        self.waiting_since: datetime | None = None

    def look(self, name: str, model: type[OutgoingMessage]) -> None:
        table = connection.ops.quote_name(model._meta.db_table)
        self._count(name, table, model.channel_column)
        for check, (sentence, where) in CHECKS.items():
            self._note(f"{name}: {check}", sentence, table, where.format(table=table))
        self._look_at_the_line(name, table)

    def look_at_reports(self) -> None:
        """Count what providers reported, by what became of it."""
        sql = f"""SELECT m.provider, {_state_of(REPORT_STATES)}, count(*) FROM {REPORTS} m
                  WHERE {CAME_IN_RANGE} GROUP BY 1, 2"""  # noqa: S608  # our own names only
        for provider, state, count in self._rows(sql):
            self.reports.setdefault(f"reports of {provider}", Counter())[state] += count
        for check, (sentence, where) in REPORT_CHECKS.items():
            self._note(f"reports: {check}", sentence, REPORTS, where, CAME_IN_RANGE)

    def accounts(self) -> Iterator[Account]:
        for name, planned in sorted(self.planned.items()):
            counts = self.ended[name]
            yield Account(name, planned, {outcome: counts[outcome] for outcome in OUTCOMES}, counts[IN_LINE])
        for name, counts in sorted(self.reports.items()):
            outcomes = {outcome: counts[outcome] for outcome in REPORT_STATES if outcome != IN_LINE}
            yield Account(name, counts.total(), outcomes, counts[IN_LINE])

    def _count(self, name: str, table: str, channel: str) -> None:
        sql = f"""SELECT m.{channel}, {_state_of(STATES)}, count(*) FROM {table} m
                  WHERE {IN_RANGE} GROUP BY 1, 2"""  # noqa: S608  # our own names only
        for kind, state, count in self._rows(sql):
            account = f"{name} by {CHANNELS.get(kind, kind)}"
            self.planned[account] += count
            self.ended.setdefault(account, Counter())[state] += count

    def _look_at_the_line(self, name: str, table: str) -> None:
        since = "coalesce(m.begun_at, m.due_at) < now() - make_interval(secs => %(settle_s)s)"
        late = f"({STATES[IN_LINE]} OR m.uncertain_since IS NOT NULL) AND {since}"
        seconds = f"{self.values['settle_s']:.0f}"
        sentence = f"Messages are overdue, or nobody knows of them, for longer than {seconds} s."
        self._note(f"{name}: in line", sentence, table, late)
        (oldest,) = self._rows(
            f"SELECT min(m.due_at) FROM {table} m WHERE {IN_RANGE} AND {STATES[IN_LINE]} AND m.due_at < now()"  # noqa: S608  # our own names only
        )[0]
        if oldest is not None:
            self.waiting_since = min(self.waiting_since or oldest, oldest)

    def _note(self, check: str, sentence: str, table: str, where: str, within: str = IN_RANGE) -> None:
        sql = f"""SELECT count(*), (array_agg(m.id::text ORDER BY m.id))[:{EXAMPLES}] FROM {table} m
                  WHERE {within} AND ({where})"""  # noqa: S608  # our own names only
        count, examples = self._rows(sql)[0]
        if count:
            self.faults.append(Fault(check, sentence, count, tuple(examples)))

    def _rows(self, sql: str) -> list[Any]:
        self.cursor.execute(sql, self.values)
        found: list[Any] = self.cursor.fetchall()
        return found
