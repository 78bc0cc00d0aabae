"""Proves that each claim given to a partner is in one outcome, and each cent of a payment in the ledger once.

Pure reading, in one snapshot: what is sent or posted meanwhile changes nothing. Files are counted in their own
bytes, a few at a time, so memory stays flat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from backend.apps.core import row_tally
from backend.apps.core.ledger import EXAMPLES, Account, Books, Fault, Progress
from backend.apps.insurance import reconcile_bytes
from backend.apps.insurance.reconcile_checks import (
    BEFORE_LEDGER,
    CHECKS,
    INBOUND_STATES,
    OUTCOMES,
    SUBMISSION,
    SUBMISSION_AT,
    SUBMISSION_STATES,
    Check,
)

FILES_AT_ONCE = 20
UNHURRIED = timedelta(hours=1)  # claims wait for the next file, which is made every quarter of an hour
IN_LINE = "in line"
WRITTEN = [table for table in row_tally.TALLIED if table.startswith("insurance_")]
RANGE = """{at} >= coalesce(%(since)s::timestamptz, '-infinity')
       AND {at} < coalesce(%(until)s::timestamptz, 'infinity')"""

# What was put into files is told by the files themselves; what is in no file yet, or never came into one, by its row.
BY_PARTNER = f"""
    SELECT t.id, t.name, coalesce(sum(taken), 0)::bigint FROM insurance_tradingpartner t JOIN (
        SELECT m.partner_id, m.items AS taken FROM insurance_interchange m
        WHERE m.kind = '837P' AND {RANGE.format(at="m.created_at")}
        UNION ALL SELECT m.partner_id, 1 FROM insurance_submission m
        WHERE m.interchange_id IS NULL AND {RANGE.format(at="m.queued_at")}) counted ON counted.partner_id = t.id
    GROUP BY 1, 2 ORDER BY 2"""  # noqa: S608  # our own names only
PAYER = """JOIN insurance_patientinsurance i ON i.id = c.patient_insurance_id
      JOIN insurance_insuranceplan l ON l.id = i.insurance_plan_id
      JOIN insurance_insuranceprovider v ON v.id = l.provider_id"""
BY_PAYER = f"""
    SELECT v.id, v.company_name, {{state}}, count(*), count(*) FILTER (WHERE m.interchange_id IS NULL)
    FROM insurance_submission m JOIN insurance_insuranceclaim c ON c.id = m.claim_id {PAYER}
    WHERE {RANGE.format(at=SUBMISSION_AT)} GROUP BY 1, 2, 3 ORDER BY 2, 1"""  # noqa: S608  # our own names only
BEFORE = f"""
    SELECT count(*) FROM insurance_insuranceclaim m
    WHERE {RANGE.format(at="m.created_at")} AND m.paid_amount IS NOT NULL AND {BEFORE_LEDGER}"""  # noqa: S608  # our own names only
INBOUND = f"""
    SELECT t.id, t.name, {{state}}, count(*) FROM insurance_inboundfile m
      JOIN insurance_tradingpartner t ON t.id = m.partner_id
    WHERE {RANGE.format(at="m.received_at")} GROUP BY 1, 2, 3 ORDER BY 2"""  # noqa: S608  # our own names only
SENT_FILES = f"""
    SELECT m.id, m.kind = '837P' FROM insurance_interchange m WHERE {RANGE.format(at="m.created_at")}
    ORDER BY m.created_at, m.id"""  # noqa: S608  # our own names only
RECEIVED_FILES = f"""
    SELECT m.id FROM insurance_inboundfile m WHERE {RANGE.format(at="m.received_at")}
    ORDER BY m.received_at, m.id"""  # noqa: S608  # our own names only
IN_BYTES = f"""
    WITH files AS (SELECT id, items FROM insurance_interchange WHERE id = ANY(%(files)s)),
    read AS (SELECT * FROM unnest(%(of_file)s::uuid[], %(numbers)s::text[]) AS told(id, number)),
    rows AS (SELECT interchange_id AS id, claim_control_number AS number, count(*) AS times
             FROM insurance_submission WHERE interchange_id = ANY(%(files)s) GROUP BY 1, 2),
    told AS (SELECT id, number, count(*) AS times FROM read GROUP BY 1, 2),
    differs AS (SELECT id FROM told FULL JOIN rows USING (id, number) WHERE told.times IS DISTINCT FROM rows.times)
    SELECT f.id::text, NULL, NULL, 0 FROM files f WHERE f.id IN (SELECT id FROM differs)
       OR f.items <> (SELECT count(*) FROM read WHERE read.id = f.id)
    UNION ALL
    SELECT NULL, v.id, v.company_name, count(*) FROM read
      JOIN insurance_insuranceclaim c ON c.control_number = read.number AND c.control_number <> '' {PAYER}
    GROUP BY 2, 3"""  # noqa: S608  # our own names only
GAPS = f"""
    SELECT t.id::text, n.number FROM insurance_tradingpartner t
      JOIN (SELECT m.partner_id, min(m.interchange_number) AS lowest, max(m.interchange_number) AS highest
            FROM insurance_interchange m WHERE {RANGE.format(at="m.created_at")} GROUP BY 1) f ON f.partner_id = t.id
      LEFT JOIN insurance_controlnumber c ON c.partner_id = t.id AND c.kind = 'isa'
      CROSS JOIN LATERAL (
        SELECT number FROM generate_series(f.lowest, CASE WHEN %(until)s::timestamptz IS NULL
                                                     THEN greatest(f.highest, c.last) ELSE f.highest END) AS number
        WHERE NOT EXISTS (SELECT FROM insurance_interchange o
                          WHERE o.partner_id = t.id AND o.interchange_number = number)
        ORDER BY number LIMIT 1000) n"""  # noqa: S608  # our own names only


def claims(
    since: datetime | None, until: datetime | None, *, settle: timedelta, progress: Progress | None = None
) -> Books:
    """Return the books of claims and payments from `since` until before `until`; None: from the first, to the last.

    settle: how long a file that came may be in line before that is a fault. A claim may wait an hour longer, for it
    waits for the next file. Inside a transaction of the caller's the snapshot is that one's.
    """
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        audit = _Audit(cursor, {"since": since, "until": until, "settle_s": settle.total_seconds()})
        audit.look(progress or unseen)
        accounts = [*audit.by_partner(), *audit.by_payer(), *audit.inbound(), *audit.before_the_ledger()]
        written, unwritten = row_tally.compare(cursor, WRITTEN, since, until)
        return Books("claims", since, until, [*accounts, *written], [*audit.faults, *unwritten], audit.waiting_since)


def unseen(_done: int, _of: int) -> None:
    """Show nobody how far the work is."""


def state_of(states: dict[str, str]) -> str:
    cases = " ".join(f"WHEN {where} THEN '{name}'" for name, where in states.items())
    return f"CASE {cases} ELSE '' END"


class _Audit:
    """One pass over the tables; what it finds is added up here."""

    def __init__(self, cursor: Any, values: dict[str, Any]) -> None:
        self.cursor, self.values = cursor, values
        self.faults: list[Fault] = []
        self.waiting_since: datetime | None = None
        self.in_files: Counter[tuple[Any, str]] = Counter()  # claims in bytes, by payer

    def look(self, progress: Progress) -> None:
        for name, check in CHECKS.items():
            self._check(name, check)
        self._look_into_files(progress)
        self._look_for_gaps()
        self._look_at_the_line()

    def by_partner(self) -> Iterator[Account]:
        """Return what each partner was given: counted by the files, and where the rows say it ended."""
        sql = f"""SELECT m.partner_id, {state_of(SUBMISSION_STATES)}, count(*) FROM insurance_submission m
                  WHERE {RANGE.format(at=SUBMISSION_AT)} GROUP BY 1, 2"""  # noqa: S608  # our own names only
        ended: dict[Any, dict[str, int]] = {}
        for partner, state, count in self._rows(sql):
            ended.setdefault(partner, {})[state] = count
        for partner, name, taken in self._rows(BY_PARTNER):
            yield account_of(f"to {name}", SUBMISSION, ended.pop(partner, {}), taken)
        for partner, counts in ended.items():
            yield account_of(f"to partner {partner}", SUBMISSION, counts, 0)

    def by_payer(self) -> Iterator[Account]:
        """Return what was for each payer: counted by the claims in the files, and where the rows say it ended."""
        ended: dict[tuple[Any, str], dict[str, int]] = {key: {} for key in self.in_files}
        taken = Counter(self.in_files)
        for key, name, state, count, in_no_file in self._rows(BY_PAYER.format(state=state_of(SUBMISSION_STATES))):
            ended.setdefault((key, name), {})[state] = count
            taken[key, name] += in_no_file
        for payer in sorted(ended, key=lambda one: (one[1], str(one[0]))):
            yield account_of(f"for {payer[1]}", SUBMISSION, ended[payer], taken[payer])

    def before_the_ledger(self) -> Iterator[Account]:
        """Return the claims that were paid before there was a ledger: nothing in it could prove what they say."""
        ((count,),) = self._rows(BEFORE)
        if count:
            yield Account("paid before the ledger", count, {"no ledger": count})

    def inbound(self) -> Iterator[Account]:
        for name, counts in self._grouped(INBOUND.format(state=state_of(INBOUND_STATES))):
            yield account_of(f"files from {name}", "insurance_inboundfile", counts, sum(counts.values()))

    def _grouped(self, sql: str) -> list[tuple[str, dict[str, int]]]:
        """Return by name, of rows (key, name, state, count), how many are in each state."""
        found: dict[Any, tuple[str, dict[str, int]]] = {}
        for key, name, state, count in self._rows(sql):
            found.setdefault(key, (name, {}))[1][state] = count
        return list(found.values())

    def _check(self, name: str, check: Check) -> None:
        sql = f"""SELECT count(*), (array_agg({check.shown} ORDER BY m.id))[:{EXAMPLES}] FROM {check.table} m
                  WHERE {RANGE.format(at=check.at)} AND ({check.where})"""  # noqa: S608  # our own names only
        count, examples = self._rows(sql)[0]
        if count:
            self.faults.append(Fault(name, check.sentence, count, tuple(examples)))

    def _look_into_files(self, progress: Progress) -> None:
        """Hold the bytes of each file against its row, and the claims that stand in them against theirs."""
        files, came = self._rows(SENT_FILES), self._rows(RECEIVED_FILES)
        faults, of = reconcile_bytes.Faults(), len(files) + len(came)
        for first in range(0, len(files), FILES_AT_ONCE):
            progress(first, of)
            self._look_into(files[first : first + FILES_AT_ONCE], faults)
        for number, (file,) in enumerate(came):
            progress(len(files) + number, of)
            for check in reconcile_bytes.received(self.cursor, file).wrong:
                faults.note(check, file)
        progress(of, of)
        self.faults += faults.told()

    def _look_into(self, files: Sequence[tuple[Any, bool]], faults: reconcile_bytes.Faults) -> None:
        claims = list[tuple[Any, list[str]]]()
        for file, holds_claims in files:
            opened = reconcile_bytes.sent(self.cursor, file)
            for check in opened.wrong:
                faults.note(check, file)
            if holds_claims:
                claims.append((file, reconcile_bytes.claim_numbers(opened.content)))
        told = self._rows(IN_BYTES, files=[file for file, _ in claims], **reconcile_bytes.pairs(claims))
        for file, payer, name, count in told:
            if file:
                faults.note("claims in a file", file)
            else:
                self.in_files[payer, name] += count

    def _look_for_gaps(self) -> None:
        gaps = [f"{number:09} of partner {partner}" for partner, number in self._rows(GAPS)]
        if gaps:
            sentence = "Numbers of files were given out and there is no file."
            self.faults.append(Fault("numbers", sentence, len(gaps), tuple(gaps[:EXAMPLES])))

    def _look_at_the_line(self) -> None:
        late = "m.status = 'received' AND m.received_at < now() - make_interval(secs => %(settle_s)s)"
        sentence = f"Files of partners wait to be read for longer than {self.values['settle_s']:.0f} s."
        self._check("files in line", Check(sentence, "insurance_inboundfile", "m.received_at", late))
        served = "EXISTS (SELECT FROM insurance_tradingpartner t WHERE t.id = m.partner_id AND t.paused_at IS NULL)"
        hours = f"now() - make_interval(secs => %(settle_s)s + {UNHURRIED.total_seconds():.0f})"
        late = f"m.status = 'queued' AND m.queued_at < {hours} AND {served}"
        sentence = "Claims wait for a file for longer than an hour, and their partner is not paused."
        self._check("claims in line", Check(sentence, SUBMISSION, SUBMISSION_AT, late))
        late = f"m.status IN ('ready', 'staged') AND m.due_at < {hours} AND {served}"
        sentence = "Files wait to be sent for longer than an hour, and their partner is not paused."
        self._check("files to send", Check(sentence, "insurance_interchange", "m.created_at", late))
        sql = f"""SELECT min(m.queued_at) FROM insurance_submission m
                  WHERE {SUBMISSION_STATES[IN_LINE]} AND {RANGE.format(at="m.queued_at")}"""  # noqa: S608  # our own names only
        self.waiting_since = self._rows(sql)[0][0]

    def _rows(self, sql: str, **more: Any) -> list[Any]:
        self.cursor.execute(sql, {**self.values, **more})
        found: list[Any] = self.cursor.fetchall()
        return found


def account_of(name: str, table: str, counts: dict[str, int], taken_in: int) -> Account:
    return Account(name, taken_in, {each: counts.get(each, 0) for each in OUTCOMES[table]}, counts.get(IN_LINE, 0))
