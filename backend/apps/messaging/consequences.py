"""What has to be done when a message did not arrive or came twice; without it a patient would never hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.apps.core import alerts
from backend.apps.messaging import fallbacks, tasks
from backend.apps.messaging.models import MessageStatus, OutgoingMessage, ProviderEvent, StaffTask, TaskKind
from backend.apps.patients import consents

LOST, ADDRESS, DOUBLE, FOUND = "lost", "address", "double", "found"
NOTED = ("bad_address", "opted_out")  # sorts that say something of an address
TOLD = (MessageStatus.SENT, MessageStatus.DELIVERED)
FAILING = ("failed", "undelivered", "canceled", "bounce", "dropped")  # provider words
CANCELLED = "cancelled"  # we took it back ourselves: nobody has to be told in another way
WHY = {
    "bad_address": "The number or address cannot take it.",
    "opted_out": "The owner of the number or address wants no messages from us.",
    "blocked": "Somebody on the way blocks it.",
    "expired": "It was not delivered in time.",
    "lost": "It was lost on the way to the provider.",
    "unknown": "Nobody knows whether it was sent.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says about one message.

    message_id: its name for the message. lease_no: which try of ours it was; None: known by the provider's name only.
    word: how far it is, in the provider's word; status: in ours, None when nothing of ours changes. sort: why it did
    not arrive, as `integrations.errors` names that; code: the provider's, as "twilio:30005". may_retry: it failed by
    something that passes.
    """

    message_id: str
    lease_no: int | None
    word: str
    status: str | None
    sort: str = ""
    code: str = ""
    may_retry: bool = False


def follow(rows: Sequence[OutgoingMessage], report: Report, follows: frozenset[str]) -> None:
    """Do what follows for the messages of one text: the leader first, then those it told of. Safe to repeat.

    LOST: it will not arrive. ADDRESS: the report may say something of the number or mailbox. DOUBLE: an earlier try was
    taken as well. FOUND: it was given up, and is there after all.
    """
    leader = rows[0]
    if FOUND in follows:
        causes = [f"unknown:{row.pk}" for row in rows]
        if report.status in TOLD:
            causes += [fallbacks.cause_of_call(row) for row in rows]
        for task in StaffTask.objects.filter(cause__in=causes, done_at__isnull=True):
            tasks.complete(task, by=None, note="The provider has reported on it since.")
    if ADDRESS in follows:
        mark(leader, sort=report.sort, code=report.code)
    if LOST in follows and report.sort != CANCELLED:
        instead(rows, report.sort)
    if DOUBLE in follows and report.lease_no is not None:
        _tell_of_a_double(leader, report.lease_no)


def instead(rows: Sequence[OutgoingMessage], sort: str) -> None:
    """Say each of them in another way."""
    for row in rows:
        fallbacks.fall_back(row, reason=WHY.get(sort, "The provider did not deliver it."))


def open_unknown(row: OutgoingMessage, sentence: str, *, cause: str = "") -> StaffTask:
    """Tell the front desk that nobody knows whether a message arrived."""
    subject, cause = fallbacks.subject_of(row), cause or f"unknown:{row.pk}"
    return tasks.open_once(TaskKind.UNKNOWN, cause, sentence, patient=row.patient, subject_id=subject)


def mark(row: OutgoingMessage, *, sort: str, code: str) -> None:
    """Note what a failure of this sort says of the number or mailbox; tell the operator where it is about us."""
    if sort == "bad_address" and row.recipient:
        consents.mark_unusable(row.channel, row.recipient, code=code)
        fallbacks.ask_to_fix(row)
    elif sort == "opted_out" and row.recipient:
        consents.mark_opted_out(row.channel, row.recipient, code=code)
    elif sort in ("blocked", "misconfigured"):
        tell_the_operator(sort, code)


def tell_the_operator(sort: str, code: str) -> None:
    """Open one alert for all messages that fail by this code: no other row can mend it."""
    alerts.open_once(
        f"messages {sort}:{code}",
        kind=f"messages_{sort}",
        sentence=f"Messages do not arrive: {code} ({sort}). Content, registration or account.",
    )


def _tell_of_a_double(row: OutgoingMessage, lease_no: int) -> None:
    """Open one task, ever; none when the earlier try is known to have failed."""
    cause, attempt_id = f"double:{row.pk}", f"{row.pk}.{lease_no}"
    failed = ProviderEvent.objects.filter(attempt_id=attempt_id, provider_status__in=FAILING)
    if not failed.exists() and not StaffTask.objects.filter(cause=cause).exists():
        open_unknown(row, "A message may have come twice: a lost try of it came to light later.", cause=cause)
