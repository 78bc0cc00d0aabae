"""Counts a demo day where it ended: in the tables, at the providers and by reconcile; the table only shows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from workers.cli import stack
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row
from workers.cli.errors import Refused
from workers.cli.state import Running

SOON = "interval '2 minutes'"  # what is tried again within this is waited for
PARTS = ("laboratory", "reminders", "claims", "exports", "credentials")
RECONCILE_S = 120
REPORTS = "messaging_providerevent"
ON_PATIENTS_MESSAGES = """ AND (kind = 'inbound' OR split_part(attempt_id, '.', 1) IN (
    SELECT id::text FROM appointments_appointmentreminder UNION ALL SELECT id::text FROM messaging_patientmessage))"""
WITH_COLUMNS = """
    SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = ANY(%s)
    GROUP BY 1 HAVING count(*) = %s ORDER BY 1"""
TO_PATIENTS = f"""
    SELECT CASE WHEN work_state = 'waiting' AND due_at > now() + {SOON} THEN 'tried again later' ELSE status END,
           external_id, work_state IN ('waiting', 'running') AND due_at <= now() + {SOON}
    FROM (
        SELECT status, external_id, work_state, due_at, lease_no, created_at, reminder_type AS channel
            FROM appointments_appointmentreminder
        UNION ALL
        SELECT status, external_id, work_state, due_at, lease_no, created_at, channel FROM messaging_patientmessage
    ) AS m WHERE channel = %s AND created_at >= %s
             AND (work_state <> 'waiting' OR lease_no > 0 OR due_at <= now())"""  # noqa: S608 - nothing of a caller's
CLAIMS = "SELECT id::text, status FROM insurance_insuranceclaim WHERE id = ANY(%s::uuid[])"
LABS = """
    SELECT control_id, status, repeats FROM laboratory_inboundmessage
    WHERE sending_facility = %s AND created_at >= %s AND control_id = ANY(%s)"""
NOTICES = """
    SELECT status, external_id, work_state IN ('waiting', 'running') AND due_at <= now()
    FROM credentials_credentialnotice WHERE created_at >= %s"""

Database = psycopg.Connection[Any]


@dataclass
class LabAsked:
    """What one laboratory sent: how often each control id, and the acknowledgement each got."""

    facility: str
    sent: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)


@dataclass
class ClaimsAsked:
    """The claims that were submitted, by id with their control numbers, and those in the clearinghouse's ledger."""

    numbers: dict[str, str] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)


@dataclass
class Asked:
    """All that the bulk of a day asked for."""

    labs: list[LabAsked] = field(default_factory=list)
    claims: ClaimsAsked = field(default_factory=ClaimsAsked)
    exports: list[tuple[int, int, bool]] = field(default_factory=list)  # resources, files, all as the manifest says


def connected(running: Running) -> Database:
    return psycopg.connect(running.env["DATABASE_URL"], autocommit=True)


def begun(database: Database) -> datetime:
    """Return the moment it is now, by the clock that dates the rows."""
    (moment,) = database.execute("SELECT clock_timestamp()").fetchone() or (None,)
    if not isinstance(moment, datetime):
        raise Refused("The database does not tell the time.")
    return moment


def tables_with(database: Database, *columns: str) -> list[str]:
    return [name for (name,) in database.execute(WITH_COLUMNS, [list(columns), len(columns)])]


def in_line(database: Database, began: datetime) -> dict[str, int]:
    """Return by table how much of what came since then waits, is worked on, or ended nobody knows how yet.

    Reports on e-mails to the staff, which are nobody's after a quarter of an hour, are not waited for.
    """
    busy = f"work_state IN ('waiting', 'running') AND due_at <= now() + {SOON}"
    unsure = "work_state = 'held' AND uncertain_since IS NOT NULL"
    wanted = [(name, busy) for name in tables_with(database, "work_state", "due_at", "created_at")]
    wanted += [(name, unsure) for name in tables_with(database, "work_state", "uncertain_since", "created_at")]
    counts = Counter[str]()
    for name, where in wanted:
        only = ON_PATIENTS_MESSAGES if name == REPORTS else ""
        sql = f'SELECT count(*) FROM "{name}" WHERE created_at >= %s AND {where}{only}'  # noqa: S608 - a name of ours
        counts[name] += (database.execute(sql, [began]).fetchone() or (0,))[0]
    return dict(+counts)


def rows(database: Database, running: Running, partners: Partners, asked: Asked, began: datetime) -> list[Row]:
    """Return the table of the day."""
    books = reconciled(running, began)
    at = Providers(database, partners, began)
    return [
        messages("texts, Twilio", "sms", at, books["reminders"]),
        messages("e-mails, SendGrid", "email", at, books["reminders"]),
        *(laboratory(database, lab, began, books["laboratory"]) for lab in asked.labs),
        claims(database, asked.claims, books["claims"]),
        exports(asked, books["exports"]),
        notices(at, books["credentials"]),
    ]


@dataclass(frozen=True)
class Verdict:
    """What reconcile says of one part."""

    sentence: str
    agree: bool


def reconciled(running: Running, began: datetime) -> dict[str, Verdict]:
    """Close the books of every part since `began`, as the command does."""
    words = ["reconcile", "--json", "--since", began.isoformat()]
    words += [word for part in PARTS for word in ("--part", part)]
    done = stack.captured(running, words, RECONCILE_S)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        reason = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        raise Refused(f"Reconcile could not look: {reason[0]}") from None
    return {part: verdict(books) for part, books in zip(PARTS, found, strict=True)}


def verdict(books: dict[str, Any]) -> Verdict:
    came = sum(one["taken_in"] for one in books["accounts"])
    apart = sum(abs(one["unexplained"]) for one in books["accounts"])
    told = [f"{apart} rows missing or from nowhere"] if apart else []
    told += [f"{fault['check']}: {fault['count']}" for fault in books["faults"]]
    return Verdict("; ".join(told) if told else f"agrees, {came:,} rows", bool(books["agree"]))


class Providers:
    """What both providers took, and what our tables say of it."""

    def __init__(self, database: Database, partners: Partners, began: datetime) -> None:
        self.database, self.began = database, began
        self.taken: dict[str, list[tuple[str, str]]] = {  # a name at the provider, and the row it is of
            "sms": [(one.sid, one.attempt_id.partition(".")[0]) for one in partners.twilio.sent],
            "email": [(one.message_id, one.attempt_id.partition(".")[0]) for one in partners.sendgrid.sent],
        }
        self.known = set(self._column("external_id", "external_id <> ''"))
        self.held = set(self._column("id::text", "work_state = 'held'"))

    def _column(self, column: str, where: str) -> Iterable[str]:
        for name in tables_with(self.database, "external_id", "work_state", "created_at"):
            sql = f'SELECT {column} FROM "{name}" WHERE created_at >= %s AND {where}'  # noqa: S608 - names of ours
            yield from (value for (value,) in self.database.execute(sql, [self.began]))

    def doubled(self, channel: str) -> int:
        of_rows = Counter(row or name for name, row in self.taken[channel])
        return sum(count - 1 for count in of_rows.values())

    def lost(self, channel: str, ours: Collection[str]) -> int:
        """Return how many messages only one side knows of. What is held for a person is known to be unknown."""
        names = {name for name, _ in self.taken[channel]}
        strange = [name for name, row in self.taken[channel] if name not in self.known and row not in self.held]
        return len(set(ours) - names) + len(strange)


def messages(pipeline: str, channel: str, at: Providers, books: Verdict) -> Row:
    found = at.database.execute(TO_PATIENTS, [channel, at.began]).fetchall()
    ended = Counter(status for status, _, waits in found if not waits)
    waiting, doubled = sum(1 for *_, waits in found if waits), at.doubled(channel)
    taken = f"{len(at.taken[channel])} taken, {'each once' if not doubled else f'{doubled} again'}"
    return Row(
        pipeline, len(found), ended, taken, doubled, at.lost(channel, {name for _, name, _ in found if name}), waiting,
        books.sentence, books.agree,
    )  # fmt: skip


def laboratory(database: Database, asked: LabAsked, began: datetime, books: Verdict) -> Row:
    """Return the row of one laboratory: each of its messages is to be one row here, however often it was sent."""
    found = database.execute(LABS, [asked.facility, began, list(asked.sent)]).fetchall()
    stored = Counter(name for name, *_ in found)
    ended = Counter(status for _, status, _ in found if status != "received")
    words = Counter(asked.acknowledged.values())
    told = ", ".join(f"{count} {code}" for code, count in sorted(words.items()))
    return Row(
        f"laboratory, {asked.facility}", len(asked.sent), ended, f"{asked.sent.total()} sent, acknowledged {told}",
        sum(count - 1 for count in stored.values()), len(set(asked.acknowledged) - set(stored)),
        len(found) - ended.total(), books.sentence, books.agree,
    )  # fmt: skip


def claims(database: Database, asked: ClaimsAsked, books: Verdict) -> Row:
    found = database.execute(CLAIMS, [list(asked.numbers)]).fetchall()
    ended = Counter(status for _, status in found)
    doubled = sum(count - 1 for count in asked.taken.values())
    taken = f"{len(asked.taken)} taken, {'each once' if not doubled else f'{doubled} again'}"
    lost = len(set(asked.numbers.values()) ^ set(asked.taken))
    waiting = sum(ended.pop(status, 0) for status in ("draft", "submitted"))
    return Row(
        "claims, clearinghouse", len(asked.numbers), ended, taken, doubled, lost, waiting, books.sentence, books.agree
    )


def exports(asked: Asked, books: Verdict) -> Row:
    ended = Counter("finished" if right else "not as the manifest says" for *_, right in asked.exports)
    told = "; ".join(f"{count:,} resources in {files} files" for count, files, _ in asked.exports) or "nothing"
    wrong = ended.get("not as the manifest says", 0)
    return Row("export, FHIR client", len(asked.exports), ended, told, 0, wrong, 0, books.sentence, books.agree)


def notices(at: Providers, books: Verdict) -> Row:
    found = at.database.execute(NOTICES, [at.began]).fetchall()
    ended, names = Counter(status for status, _, waits in found if not waits), {name for name, _ in at.taken["email"]}
    ours = {name for _, name, _ in found if name}
    waiting = sum(1 for *_, waits in found if waits)
    told = f"{len(ours & names)} taken"
    return Row(
        "credentials, e-mails", len(found), ended, told, 0, len(ours - names), waiting, books.sentence, books.agree
    )
