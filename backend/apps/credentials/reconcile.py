"""Proves that each step of a credential's ladder was told, and each e-mail about it ended once.

Pure reading, in one snapshot: what is raised or sent meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from backend.apps.core import row_tally
from backend.apps.core.closing import Audit, Check, in_none, snapshot
from backend.apps.core.ledger import EXAMPLES, Account, Books, Progress
from backend.apps.credentials.models import CredentialAlert, CredentialNotice

IN_LINE = "in line"
ALERTS, NOTICES = CredentialAlert._meta.db_table, CredentialNotice._meta.db_table
WRITTEN = (ALERTS, NOTICES)
SWEPT_WITHIN_DAYS = 2  # the sweep runs every hour

# Each row is in exactly one of these: none of them says "everything else".
ALERT_STATES = {
    "open": "m.closed_at IS NULL",
    "renewed": "m.closed_because = 'renewed' AND m.closed_at IS NOT NULL",
    "followed": "m.closed_because = 'followed' AND m.closed_at IS NOT NULL",
    "withdrawn": "m.closed_because = 'withdrawn' AND m.closed_at IS NOT NULL",
}
NOTICE_STATES = {
    "sent": "m.status = 'sent' AND m.work_state = 'done'",
    "not needed": "m.status = 'not_needed' AND m.work_state = 'done'",
    "failed": "m.status = 'failed' AND m.work_state = 'failed'",
    "held": "m.status = 'pending' AND m.work_state = 'held'",
    IN_LINE: "m.status = 'pending' AND m.work_state IN ('waiting', 'running')",
}
RECENT = "m.created_at > now() - interval '60 days'"  # older e-mails may have been removed by rule
OPEN_TWICE = """m.closed_at IS NULL AND EXISTS (SELECT FROM credentials_credentialalert o
    WHERE o.id <> m.id AND o.closed_at IS NULL AND (o.doctor_credential_id = m.doctor_credential_id
          OR o.employee_credential_id = m.employee_credential_id))"""
OF_ANOTHER_DAY = """m.closed_at IS NULL AND m.expiry_date IS DISTINCT FROM coalesce(
    (SELECT c.expiry_date FROM doctors_doctorcredential c WHERE c.id = m.doctor_credential_id
     AND NOT c.is_deleted AND c.rejected_at IS NULL),
    (SELECT c.expiry_date FROM employees_employeecredential c
     WHERE c.id = m.employee_credential_id AND NOT c.is_deleted AND c.rejected_at IS NULL))"""
CHECKS = {
    "alert closed": Check(
        "The alert is closed and nothing says why, or the other way round.", ALERTS, in_none(ALERT_STATES)
    ),
    "nobody told": Check(
        "A step of the ladder was reached and its holder was not to be told.",
        ALERTS,
        f"{RECENT} AND NOT EXISTS (SELECT FROM {NOTICES} n WHERE n.alert_id = m.id AND n.audience = 'holder')",
    ),
    "two steps open": Check("Two steps of one credential's ladder are open at once.", ALERTS, OPEN_TWICE),
    "another day": Check(
        "The alert is open, and its credential expires on another day, was rejected or is gone.", ALERTS, OF_ANOTHER_DAY
    ),
    "state of a notice": Check(
        "What became of the e-mail and what a machine did with it do not go together.", NOTICES, in_none(NOTICE_STATES)
    ),
    "sent when": Check(
        "The e-mail was sent and nobody knows when or whereto, or it was not and somebody does.",
        NOTICES,
        "(m.status = 'sent') <> (m.sent_at IS NOT NULL) OR (m.status = 'sent' AND m.recipient_email = '')",
    ),
    "no reason": Check(
        "The e-mail failed or waits for a person, and nothing says why.",
        NOTICES,
        "m.work_state IN ('failed', 'held') AND m.last_error = ''",
    ),
    "notices in line": Check(
        "E-mails about credentials wait for longer than they may.",
        NOTICES,
        "m.work_state IN ('waiting', 'running') "
        "AND coalesce(m.begun_at, m.due_at) < now() - make_interval(secs => %(settle_s)s)",
    ),
}
LATE = "next_alert_on < current_date - %(days)s AND updated_at < now() - make_interval(days => %(days)s)"
NOT_SWEPT = f"""
    SELECT count(*), (array_agg(id::text ORDER BY id))[:{EXAMPLES}] FROM (
        SELECT id FROM doctors_doctorcredential WHERE {LATE}
        UNION ALL SELECT id FROM employees_employeecredential WHERE {LATE}) late"""  # noqa: S608  # our own names only


def credentials(
    since: datetime | None, until: datetime | None, *, settle: timedelta, progress: Progress | None = None
) -> Books:
    """Return the books of what was raised and told from `since` until before `until`; None: from first to last.

    settle: how long an e-mail may be overdue before that is a fault. Inside a transaction of the caller's the snapshot
    is that one's.
    """
    with snapshot() as cursor:
        audit = Audit(cursor, since, until, settle)
        for done, (name, check) in enumerate(CHECKS.items()):
            if progress:
                progress(done, len(CHECKS))
            audit.check(name, check)
        count, examples = audit.rows(NOT_SWEPT, days=SWEPT_WITHIN_DAYS)[0]
        sentence = "Credentials are due for a look, and nobody has looked for two days."
        audit.note("not looked at", sentence, count, tuple(examples or ()))
        written, unwritten = row_tally.compare(cursor, WRITTEN, since, until)
        accounts = [*_accounts(audit), *written]
        return Books("credentials", since, until, accounts, [*audit.faults, *unwritten], _waiting_since(audit))


def _accounts(audit: Audit) -> Iterator[Account]:
    for name, counts in audit.counted(ALERTS, "'steps of ladders'", ALERT_STATES).items():
        yield Account(name, counts.total(), {state: counts[state] for state in ALERT_STATES})
    for audience, counts in audit.counted(NOTICES, "m.audience", NOTICE_STATES).items():
        ends = {state: counts[state] for state in NOTICE_STATES if state != IN_LINE}
        yield Account(f"e-mails to {audience}", counts.total(), ends, counts[IN_LINE])


def _waiting_since(audit: Audit) -> datetime | None:
    sql = f"SELECT min(m.due_at) FROM {NOTICES} m WHERE {NOTICE_STATES[IN_LINE]} AND m.due_at < now()"  # noqa: S608  # ours
    oldest: datetime | None = audit.rows(sql)[0][0]
    return oldest
