"""Holds what patients were to be sent against what both providers took and against our own rows, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from workers.cli.demo_asked import Invited
from workers.cli.demo_counts import SOON, Database, Verdict, tables_with
from workers.cli.demo_partners import WORDS, Partners
from workers.cli.demo_table import Row

GOOD = "delivered"
OURS = f"""
    SELECT patient_id::text, external_id, status, instead,
           work_state IN ('waiting', 'running') AND due_at <= now() + {SOON},
           work_state = 'waiting' AND due_at > now() + {SOON}
    FROM (
        SELECT a.patient_id, r.external_id, r.status, r.work_state, r.due_at, r.lease_no, r.created_at,
               r.fallback_of_id IS NOT NULL AS instead, r.reminder_type AS channel
            FROM appointments_appointmentreminder AS r JOIN appointments_appointment AS a ON a.id = r.appointment_id
        UNION ALL
        SELECT patient_id, external_id, status, work_state, due_at, lease_no, created_at,
               fallback_of_id IS NOT NULL, channel FROM messaging_patientmessage
    ) AS m WHERE channel = %s AND created_at >= %s
             AND (work_state <> 'waiting' OR lease_no > 0 OR due_at <= now())"""  # noqa: S608 - nothing of a caller's
NOTICES = """
    SELECT status, external_id, work_state IN ('waiting', 'running') AND due_at <= now()
    FROM credentials_credentialnotice WHERE created_at >= %s"""


class Taken(NamedTuple):
    """A message a provider took: its name there, whose it is, the row of ours it is of, and the last word on it."""

    name: str
    address: str
    row: str
    word: str  # one of ours; empty: nothing final


class Ours(NamedTuple):
    """A row of ours of one message to a patient. instead: it stands in for one on the other channel."""

    patient: str
    name: str
    status: str
    instead: bool
    waits: bool
    later: bool

    @property
    def word(self) -> str:
        return "tried again later" if self.later else self.status


class Providers:
    """What both providers took, and which of it our tables know."""

    def __init__(self, database: Database, partners: Partners, began: datetime) -> None:
        self.database, self.began = database, began
        texts = [(one.sid, one.to, one.attempt_id, one.status) for one in partners.twilio.sent]
        mails = [(one.message_id, one.to, one.attempt_id, one.status) for one in partners.sendgrid.sent]
        self.taken = {"sms": [_taken(*one) for one in texts], "email": [_taken(*one) for one in mails]}
        self.known = set(self._column("external_id", "external_id <> ''"))
        self.held = set(self._column("id::text", "work_state = 'held'"))

    def _column(self, column: str, where: str) -> Iterable[str]:
        for name in tables_with(self.database, "external_id", "work_state", "created_at"):
            sql = f'SELECT {column} FROM "{name}" WHERE created_at >= %s AND {where}'  # noqa: S608 - names of ours
            yield from (value for (value,) in self.database.execute(sql, [self.began]))

    def rows(self, channel: str) -> list[Ours]:
        """Return our rows to patients on a channel whose time has come."""
        return [Ours(*one) for one in self.database.execute(OURS, [channel, self.began])]

    def doubled(self, channel: str, once: Collection[str]) -> int:
        """Return how many messages came again: to an address of `once`, or of one row to anybody."""
        keys = Counter(one.address if one.address in once else one.row or one.name for one in self.taken[channel])
        return sum(count - 1 for count in keys.values())

    def lost(self, channel: str, ours: Collection[str]) -> int:
        """Return how many messages only one side knows of. What is held for a person is known to be unknown."""
        names = {one.name for one in self.taken[channel]}
        strange = [one for one in self.taken[channel] if one.name not in self.known and one.row not in self.held]
        return len(set(ours) - names) + len(strange)


def _taken(name: str, address: str, attempt: str, word: str) -> Taken:
    return Taken(name, address, attempt.partition(".")[0], WORDS.get(word, ""))


@dataclass(frozen=True)
class Sides:
    """One channel of a day: what the provider took, and our rows. invited: who was to get one, on either channel."""

    channel: str
    invited: Sequence[Invited]
    taken: Sequence[Taken]
    rows: Sequence[Ours]

    @property
    def wanted(self) -> list[str]:
        """The addresses, of which each is to get one message."""
        return [one.address for one in self.invited if one.channel == self.channel]

    def of_the_bulk(self, bounced: Collection[str]) -> tuple[list[Ours], list[Ours]]:
        """Return our rows to those who were asked for, and those that stand in for what bounced on the other channel.

        bounced: addresses of the other channel. One row stands in for one message.
        """
        patients = {one.patient: one for one in self.invited}
        asked, instead, stood_in = list[Ours](), list[Ours](), set[str]()
        for row in self.rows:
            who = patients.get(row.patient)
            if who is None:
                continue
            may = row.instead and who.channel != self.channel and who.address in bounced
            (instead if may and row.patient not in stood_in else asked).append(row)
            stood_in |= {row.patient} if may else set()
        return asked, instead

    def expected(self) -> Counter[str]:
        """Return how the messages asked for have to end: by the last word on each; delivered where there is none."""
        words = {one.address: one.word for one in self.taken}
        return Counter(words.get(address) or GOOD for address in self.wanted)

    def apart(self) -> int:
        """Return of how many messages the provider's last word is not our status."""
        words = {one.name: one.word for one in self.taken if one.word}
        return sum(1 for row in self.rows if row.name and words.get(row.name, row.status) != row.status)


def messages(pipeline: str, channel: str, at: Providers, invited: Sequence[Invited], books: Verdict | None) -> Row:
    """Return the row of one channel: each address asked for has one message there and one row here."""
    sides = Sides(channel, invited, at.taken[channel], at.rows(channel))
    bounced = {one.address for taken in at.taken.values() for one in taken if one.word == "bounced"}
    asked, instead = sides.of_the_bulk(bounced)
    wanted, waiting = set(sides.wanted), [row for row in (*asked, *instead) if row.waits]
    there = Counter(one.address for one in sides.taken if one.address in wanted)
    doubled, silent = at.doubled(channel, wanted), len(wanted - set(there)) - sum(1 for row in asked if row.waits)
    others = len(sides.taken) - there.total()
    return Row(
        pipeline=pipeline, asked=len(sides.wanted), expected=sides.expected(), doubled=doubled,
        happened=Counter(row.word for row in asked if not row.waits), in_line=len(waiting),
        counted=f"{there.total()} taken, {'each once' if not doubled else f'{doubled} again'}; {others} for others",
        lost=at.lost(channel, {row.name for row in sides.rows if row.name}) + max(silent, 0), apart=sides.apart(),
        **said(books),
    )  # fmt: skip


def notices(at: Providers, books: Verdict) -> Row:
    """Return the row of the e-mails to the staff about credentials; those that nobody needs any more stay here."""
    found = at.database.execute(NOTICES, [at.began]).fetchall()
    ended, names = Counter(status for status, _, waits in found if not waits), {one.name for one in at.taken["email"]}
    ours = {name for _, name, _ in found if name}
    waiting, unneeded = sum(1 for *_, waits in found if waits), ended["not_needed"]
    return Row(
        pipeline="credentials, e-mails", asked=len(found), happened=+ended, counted=f"{len(ours & names)} taken",
        expected=+Counter({"sent": len(found) - waiting - unneeded, "not_needed": unneeded}), lost=len(ours - names),
        in_line=waiting, **said(books),
    )  # fmt: skip


def said(books: Verdict | None) -> dict[str, Any]:
    """Return what of a row tells of the books; None: another row tells it."""
    return {"books": books.sentence, "agree": books.agree} if books else {}
