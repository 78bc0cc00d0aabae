"""Proves that every message planned for a patient is in exactly one outcome, and that no two rows claim one text.

Pure reading, in one snapshot: what is sent meanwhile changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.ledger import Account, Books, Fault, Progress
from backend.apps.messaging.models import OutgoingMessage, PatientMessage

EXAMPLES = 5
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
SENT = STATES["sent"]
TABLES = [connection.ops.quote_name(model._meta.db_table) for model in KINDS.values()]
SAME_NAME = (
    "EXISTS (SELECT FROM {} o WHERE o.external_id = m.external_id AND o.id <> m.id AND o.digest_of_id IS NULL "
    "AND o.external_id <> '')"  # told, so that the index serves
)
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
        f"m.external_id <> '' AND m.digest_of_id IS NULL AND ({' OR '.join(map(SAME_NAME.format, TABLES))})",
    ),
    "nobody told it": (
        "The message counts as told in the text of another one, which was not sent.",
        f"{SENT} AND m.digest_of_id IS NOT NULL AND NOT EXISTS (SELECT FROM {{table}} l WHERE l.id = m.digest_of_id "
        "AND l.digest_of_id IS NULL AND l.status IN ('sent', 'delivered'))",
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
        return Books("messages to patients", since, until, list(audit.accounts()), audit.faults, audit.waiting_since)


def unseen(_done: int, _of: int) -> None:
    """Show nobody how far the work is."""


class _Audit:
    """One pass over the tables; what it finds is added up here."""

    def __init__(self, cursor: Any, values: dict[str, Any]) -> None:
        self.cursor, self.values = cursor, values
        self.planned, self.ended = Counter[str](), dict[str, Counter[str]]()
        self.faults: list[Fault] = []
        self.waiting_since: datetime | None = None

    def look(self, name: str, model: type[OutgoingMessage]) -> None:
        table = connection.ops.quote_name(model._meta.db_table)
        self._count(name, table, model.channel_column)
        for check, (sentence, where) in CHECKS.items():
            self._note(f"{name}: {check}", sentence, table, where.format(table=table))
        self._look_at_the_line(name, table)

    def accounts(self) -> Iterator[Account]:
        for name, planned in sorted(self.planned.items()):
            counts = self.ended[name]
            yield Account(name, planned, {outcome: counts[outcome] for outcome in OUTCOMES}, counts[IN_LINE])

    def _count(self, name: str, table: str, channel: str) -> None:
        cases = " ".join(f"WHEN {where} THEN '{state}'" for state, where in STATES.items())
        sql = f"""SELECT m.{channel}, CASE {cases} ELSE '' END, count(*) FROM {table} m
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

    def _note(self, check: str, sentence: str, table: str, where: str) -> None:
        sql = f"""SELECT count(*), (array_agg(m.id::text ORDER BY m.id))[:{EXAMPLES}] FROM {table} m
                  WHERE {IN_RANGE} AND {where}"""  # noqa: S608  # our own names only
        count, examples = self._rows(sql)[0]
        if count:
            self.faults.append(Fault(check, sentence, count, tuple(examples)))

    def _rows(self, sql: str) -> list[Any]:
        self.cursor.execute(sql, self.values)
        found: list[Any] = self.cursor.fetchall()
        return found
