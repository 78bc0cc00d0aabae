"""What a provider's word does to a message; without it a late or repeated word would undo what we know already.

Knows no provider: `workers.provider_events` turns their words into reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models.functions import Now

from backend.apps.core.bulk import update_each
from backend.apps.core.work import WorkState
from backend.apps.messaging import consequences, outgoing
from backend.apps.messaging.consequences import ADDRESS, DOUBLE, FOUND, LOST, Report
from backend.apps.messaging.models import RANK, EventOutcome, MessageStatus, OutgoingMessage

ARRIVES = (MessageStatus.SENT, MessageStatus.DELIVERED)
EXPIRED = "expired"  # the sort of what must not come late
EARLY = frozenset({"queued", "accepted", "scheduled", "sending", "processed"})  # not written over a later word
SOON, LATER = timedelta(minutes=2), timedelta(minutes=10)  # until it goes out again; soon: close to the visit
SHARED = (
    "status", "status_reason", "work_state", "leased_until", "uncertain_since", "last_error", "sent_at", "delivered_at",
    "provider_status", "error_code",
)  # fmt: skip
OWN = ("external_id", "provider", "due_at", "begun_at", "resends", "digest_of")


@dataclass(frozen=True, slots=True)
class Told:
    """What one report did to its message. changed: fields of it. follows: what has to be done because of it."""

    outcome: EventOutcome
    changed: bool = False
    follows: frozenset[str] = frozenset()


NOTHING_NEW = Told(EventOutcome.UNCHANGED)


def transaction_now() -> datetime:
    """Return the moment the transaction began at, by the clock of the database that leases and due times go by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    return now


def apply(reports: Sequence[tuple[OutgoingMessage, Report]], *, now: datetime) -> list[Told]:
    """Apply reports in order to messages that the caller's transaction has locked, and save what changed.

    Those of one digest share what becomes of its leader. Safe to repeat: then nothing rises and nothing follows.
    """
    told = [receive(row, report, now=now) for row, report in reports]
    changed = {row.pk: row for (row, _), one in zip(reports, told, strict=True) if one.changed}
    members = share(changed.values())
    save([*changed.values(), *(member for found in members.values() for member in found)])
    for (row, report), one in zip(reports, told, strict=True):
        if one.follows:
            consequences.follow([row, *members[row.pk]], report, one.follows)
    return told


def receive(row: OutgoingMessage, report: Report, *, now: datetime) -> Told:
    """Apply one report to the row in memory.

    A pending message that has a provider's id failed before and is tried again. So a word about that id is old, unless
    it arrived after all. A word about an earlier try whose answer was lost ends the search, and the new try too while
    that has not begun; has it begun, the patient may get both, and that the other one failed changes nothing. What we
    gave up and what arrived all the same has arrived.
    """
    if report.status is None or row.status not in RANK:
        return Told(EventOutcome.IGNORED) if report.status is None else NOTHING_NEW
    is_tried_again = row.status == MessageStatus.PENDING and row.external_id != ""
    is_its_id = report.message_id != "" and report.message_id == row.external_id
    if is_tried_again and is_its_id and report.status != MessageStatus.DELIVERED:
        return NOTHING_NEW
    is_latest = report.lease_no is None or report.lease_no >= row.lease_no or (is_its_id and not is_tried_again)
    if report.status not in ARRIVES:
        is_latest = is_latest and not (row.status in ARRIVES and _is_another(row, report))
        return _failed(row, report, now=now) if is_latest else Told(EventOutcome.UNCHANGED, False, _marks(report))
    has_begun = row.begun_at is not None and row.work_state != WorkState.WAITING
    both = {DOUBLE} if has_begun and not is_latest else set[str]()
    if _is_given_up(row):
        was_told = row.status == MessageStatus.FAILED and outgoing.has_replacement(row)
        both = {FOUND, DOUBLE} if was_told else {*both, FOUND}
    return _arrives(row, report, now=now, follows=frozenset(both))


def share(leaders: Collection[OutgoingMessage]) -> dict[object, list[OutgoingMessage]]:
    """Give what became of each leader to the messages told with it, in memory; return those by the leader's key.

    When the leader goes back in line they do as well, each for itself. Who was told in words the leader has not left
    with (it was tried again without this one, or is not wanted any more) is parted from it, and looked for by itself.
    """
    by_key, members = {leader.pk: leader for leader in leaders}, defaultdict[object, list[OutgoingMessage]](list)
    for member in outgoing.told_with(leaders):
        leader = by_key[member.__dict__["digest_of_id"]]
        if member.status not in RANK:
            continue
        if leader.status not in RANK or member.body_sha256 != leader.body_sha256:
            type(member).all_objects.filter(pk=member.pk).update(digest_of=None, updated_at=Now())
            continue
        for name in SHARED:
            setattr(member, name, getattr(leader, name))
        if leader.work_state == WorkState.WAITING:
            member.due_at, member.begun_at, member.resends = leader.due_at, None, leader.resends
            member.provider, member.digest_of = "", None
        members[leader.pk].append(member)
    return members


def save(rows: Collection[OutgoingMessage]) -> None:
    for model in {type(row) for row in rows}:
        update_each([row for row in rows if type(row) is model], [*SHARED, *OWN])


def back_in_line(row: OutgoingMessage, *, due_at: datetime, resent: bool = True) -> None:
    """Let the message go out once more, as a try of its own; in memory. resent: it may have gone out before."""
    row.status, row.work_state = MessageStatus.PENDING, WorkState.WAITING
    row.due_at, row.begun_at, row.leased_until = due_at, None, None
    row.sent_at = row.uncertain_since = None
    row.resends += int(resent)
    row.provider = row.last_error = ""


def is_useful(row: OutgoingMessage, at: datetime) -> bool:
    return row.useful_until is None or at < row.useful_until


def _is_another(row: OutgoingMessage, report: Report) -> bool:
    """Whether it is about a message of another name than the one we know this row's by."""
    return "" not in (report.message_id, row.external_id) and report.message_id != row.external_id


def _is_given_up(row: OutgoingMessage) -> bool:
    """Whether we stopped looking for a lost one (`workers.lost_messages`); no provider has refused it."""
    if row.work_state == WorkState.HELD:
        return row.uncertain_since is None
    return row.work_state == WorkState.FAILED and row.provider != "" and row.external_id == row.error_code == ""


def _arrives(row: OutgoingMessage, report: Report, *, now: datetime, follows: frozenset[str]) -> Told:
    new = MessageStatus(str(report.status))
    if _is_given_up(row) and row.status == MessageStatus.FAILED:
        row.status, row.work_state = MessageStatus.PENDING, WorkState.HELD
    if RANK[new] <= RANK[MessageStatus(row.status)]:
        says_more = RANK[new] == RANK[MessageStatus(row.status)] and report.word not in (*EARLY, row.provider_status)
        if says_more and report.message_id in ("", row.external_id):
            row.provider_status = report.word
            return Told(EventOutcome.UNCHANGED, True, follows)
        return Told(EventOutcome.UNCHANGED, False, follows)
    if row.status == MessageStatus.PENDING:
        row.external_id = report.message_id or row.external_id
    row.status_reason = row.error_code = ""
    row.sent_at = row.sent_at or now
    row.delivered_at = now if new == MessageStatus.DELIVERED else row.delivered_at
    _settle(row, new, report)
    return Told(EventOutcome.APPLIED, True, follows)


def _failed(row: OutgoingMessage, report: Report, *, now: datetime) -> Told:
    """Let it go out once more where that helps, else end it. It was accepted once: a second time is the last."""
    new = MessageStatus(str(report.status))
    if RANK[new] <= RANK[MessageStatus(row.status)]:
        return NOTHING_NEW
    row.external_id = report.message_id or row.external_id
    row.error_code = report.code[:40]
    due_at = now + (LATER if row.lane else SOON)
    if report.may_retry and row.work_state == WorkState.WAITING:
        return Told(EventOutcome.APPLIED, True)
    found = frozenset({FOUND}) if _is_given_up(row) else frozenset[str]()
    may_help = row.status != MessageStatus.DELIVERED and not row.resends and is_useful(row, due_at) and not found
    if report.may_retry and may_help and not outgoing.has_replacement(row):
        back_in_line(row, due_at=due_at)
        row.provider_status = report.word
        return Told(EventOutcome.APPLIED, True, _marks(report))
    row.status_reason = f"{report.sort or 'refused'}: {report.code or report.word}"[:200]
    _settle(row, new, report)
    is_over = report.sort == EXPIRED and not is_useful(row, now)
    lost = frozenset[str]() if is_over else frozenset({LOST})
    return Told(EventOutcome.APPLIED, True, _marks(report) | lost | found)


def _settle(row: OutgoingMessage, new: MessageStatus, report: Report) -> None:
    """Note the status; whoever still works on the row loses it, for there is nothing left to do."""
    row.status, row.provider_status = new, report.word
    row.uncertain_since = row.leased_until = None
    if row.work_state != WorkState.FAILED:
        row.work_state, row.last_error = WorkState.DONE, ""


def _marks(report: Report) -> frozenset[str]:
    return frozenset({ADDRESS}) if report.sort else frozenset()
