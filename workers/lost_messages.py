"""Finds out what became of messages whose send was cut off, so that none is lost and none is sent twice.

A row is here when its worker died, or the provider's answer was lost, after it began to send. Asked in this order: has
the provider reported on it, does the provider know it, and, when enough time has passed, may it go out once more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core import dispatch
from backend.apps.core.work import WorkState, backoff
from backend.apps.laboratory.models import CriticalPage
from backend.apps.messaging import caps, consequences, events, outgoing
from backend.apps.messaging.consequences import Report
from backend.apps.messaging.models import Channel, MessageStatus, OutgoingMessage, ProviderEvent
from backend.apps.patients import consents
from integrations.email import LostEmail
from integrations.errors import Permanent, Transient, Unknown
from integrations.sms import LostSms
from workers import gateways, provider_events
from workers.beats import beating
from workers.celery_app import app
from workers.runner import HandlerBug, attempt, told_of

LATEST_TRIES = 50  # of a message: what was reported on older ones, most of which nobody heard of, is applied long since
AT_ONCE = 200  # rows of one run, the longest not looked at first
BUDGET_S = 45.0  # of one run; the next minute goes on
MARGIN = timedelta(minutes=1)  # between the provider's clock and ours
SOONEST = 0  # the lane of what is close to the visit: it cannot wait for certainty
LONGEST = timedelta(days=1)  # of waiting for a provider that is away
UNKNOWN = "nobody knows whether it was sent"
MAIL_STATUS = {"delivered": MessageStatus.DELIVERED, "not_delivered": MessageStatus.FAILED}  # by the words of a search


class Inconclusive(Exception):
    """Nobody can be asked: whether it was sent stays unknown. may_resend: a second message is better than none."""

    def __init__(self, *, may_resend: bool) -> None:
        super().__init__("nobody can be asked")
        self.may_resend = may_resend


@app.task(name="reminders.reconcile")  # type: ignore[untyped-decorator]  # Celery has no types
def reconcile() -> str:
    """Look into every uncertain send; two of these at once are harmless, for each step is taken by one only."""
    until, counts, bugs = time.monotonic() + BUDGET_S, Counter[str](), list[Exception]()
    with beating("reconcile uncertain sends"):
        for model in outgoing.kinds():
            rows = uncertain(model)
            _, bug = attempt(_apply_what_came, rows)
            for row in rows:
                if time.monotonic() < until:
                    what, error = attempt(_heard_and_looked_into if bug else look_into, row)
                    counts[what if error is None else _broken(row, error, bugs)] += 1
            followed, error = attempt(follow_leaders, model)
            counts["followed"] += followed or 0
            bugs += filter(None, [error])
    if bugs:
        raise HandlerBug(f"{type(bugs[-1]).__name__} in reminders.reconcile")
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()) if count) or "nothing uncertain"


def _heard_and_looked_into(row: OutgoingMessage) -> str:
    """Do for one row what could not be done for all of them together."""
    _apply_what_came([row])
    return look_into(row)


def _broken(row: OutgoingMessage, bug: Exception, bugs: list[Exception]) -> str:
    """Let the others go first next time: one that cannot be looked into costs only itself."""
    told_of(bug, row)
    bugs.append(bug)
    _later(row)
    return "broken"


def uncertain(model: outgoing.Kind) -> list[OutgoingMessage]:
    """Return rows nobody knows the outcome of; a digest is looked into once, through its leader."""
    held = model.all_objects.filter(work_state=WorkState.HELD, uncertain_since__isnull=False, digest_of__isnull=True)
    return list(held.order_by("updated_at", "pk")[:AT_ONCE])


def look_into(row: OutgoingMessage) -> str:
    """Take one step for one row; return what was done."""
    row.refresh_from_db()
    if row.work_state != WorkState.HELD or row.uncertain_since is None:
        return "adopted"
    now = events.transaction_now()
    if not _may_have_spoken(row):
        return _again(row, now, "not begun")
    try:
        report = ask(row)
    except Transient:
        return _wait_for(row, now)
    except Inconclusive as error:
        return _unknown(row, now, may_resend=error.may_resend)
    if report is not None:
        return _adopt(row, report, now)
    return _again(row, now, "not sent") if _is_old(row, now, 1) else _later(row)


def ask(row: OutgoingMessage) -> Report | None:
    """Return what the provider knows of the row's last try; None: it has no such message.

    Raises:
        Transient: it cannot be reached, or another message to the same number is on its way.
        Inconclusive: it cannot be asked, or it cannot tell.
    """
    if (row.provider, row.sender) != (gateways.provider(row.channel), gateways.account(row.channel)):
        raise Inconclusive(may_resend=True)
    return _ask_for_text(row) if row.channel == Channel.SMS else _ask_for_mail(row)


def _ask_for_text(row: OutgoingMessage) -> Report | None:
    transport = gateways.sms()
    if not transport.can_find:
        raise Inconclusive(may_resend=True)
    if _is_crowded(row):
        raise Transient("another message to this number is on its way", code="lost:crowded")
    since = _first_begun(row) - MARGIN
    others = _lost_too(row, since)
    lost = LostSms(row.recipient_phone, row.body_sha256, row.attempt_id, since, _taken(row, since), others)
    try:
        found = transport.find(lost)
    except (Unknown, Permanent) as error:
        if others and isinstance(error, Unknown):  # when it is known of them it may be the only one
            raise Transient("other texts to this number are looked for", code="lost:crowded") from None
        raise Inconclusive(may_resend=False) from None
    if found is None:
        return None
    word, code = found.status.provider_status, str(found.status.error_code or "")
    return Report(found.message_id, row.lease_no, word, **provider_events.of_twilio(word, code))


def _ask_for_mail(row: OutgoingMessage) -> Report | None:
    transport = gateways.email()
    if not transport.can_find:
        raise Inconclusive(may_resend=True)
    try:
        found = transport.find(LostEmail(row.recipient_email, row.attempt_id, _first_begun(row) - MARGIN))
    except (Unknown, Permanent):
        raise Inconclusive(may_resend=True) from None
    if found is None:
        return None
    word = found.provider_status[:30]
    status = MAIL_STATUS.get(word, MessageStatus.SENT)
    code = f"{row.provider}:{word}" if status == MessageStatus.FAILED else ""
    return Report(found.message_id, row.lease_no, word, status, code=code)


def _first_begun(row: OutgoingMessage) -> datetime:
    """Return when the first try that may have been taken began, at the latest."""
    begun = row.begun_at or row.created_at
    return min(begun, row.scheduled_send_time) if row.resends else begun


def _is_crowded(row: OutgoingMessage) -> bool:
    """Whether another message to this number is being sent: its id is not written down yet, and we might take it."""
    running = Q(work_state=WorkState.RUNNING, begun_at__isnull=False)
    return any(
        model.all_objects.filter(running, model.sent_to(row.recipient_phone)).exists() for model in outgoing.kinds()
    )


def _lost_too(row: OutgoingMessage, since: datetime) -> set[str]:
    """Return the digests of other texts to this number that went out since and of which nobody knows either."""
    held = Q(work_state=WorkState.HELD, begun_at__gte=since, digest_of__isnull=True)
    others = [
        model.all_objects.filter(held, model.sent_to(row.recipient_phone)).exclude(pk=row.pk)
        for model in outgoing.kinds()
    ]
    return {digest for found in others for digest in found.values_list("body_sha256", flat=True) if digest}


def _taken(row: OutgoingMessage, since: datetime) -> set[str]:
    return outgoing.ids_at(row) | _ids_of_pages(since)


def _is_anothers(row: OutgoingMessage, report: Report) -> bool:
    """Whether the text that was found turned out to be another message's meanwhile, or may yet."""
    if row.channel != Channel.SMS:
        return False
    return _is_crowded(row) or report.message_id in _taken(row, _first_begun(row) - MARGIN)


def _ids_of_pages(since: datetime) -> set[str]:
    """Return the provider's ids of pages about critical results: staff may have a patient's number."""
    pages = CriticalPage.all_objects.filter(created_at__gte=since - LONGEST).exclude(external_id="")
    return set(pages.values_list("external_id", flat=True))


def _apply_what_came(rows: Sequence[OutgoingMessage]) -> None:
    """Apply the provider's events about the tries of these rows before anything else is decided."""
    tries = [f"{row.pk}.{number}" for row in rows for number in _latest(row)]
    about = ~Q(attempt_id="") & Q(attempt_id__in=tries)  # the first half is the index's own condition
    came = ProviderEvent.objects.filter(about).exclude(kind="inbound")
    provider_events.apply_all([event for event in came if provider_events.report_of(event).status is not None])


def _latest(row: OutgoingMessage) -> range:
    """Return the row's last tries: a row that waits while its sender is stopped is leased again and again."""
    return range(max(row.lease_no - LATEST_TRIES, 0) + 1, row.lease_no + 1)


def _may_have_spoken(row: OutgoingMessage) -> bool:
    """Whether it was written down which provider takes it, which is done before that one is spoken to."""
    return row.begun_at is not None and row.provider != ""


def _adopt(row: OutgoingMessage, report: Report, now: datetime) -> str:
    """Take the message that was found for this row's own, and note what has become of it since."""
    sent = Report(report.message_id, row.lease_no, report.word, MessageStatus.SENT)
    with transaction.atomic():
        if report.sort in consequences.NOTED:
            consents.lock(outgoing.addresses_of([row.pk]))
        caps.lock(filter(None, [row.recipient_phone]))  # of two that found the same text one is first
        if (mine := _mine(row)) is None:
            return "left alone"
        if _is_anothers(row, report):
            return _later(row)
        events.apply([(mine, sent)], now=now)
        events.apply([(mine, report)], now=now)
    return "adopted"


def _again(row: OutgoingMessage, now: datetime, why: str) -> str:
    """Send once more what certainly was not sent; close to the visit another channel is quicker."""
    has_spoken = why == "not sent"
    if row.status != MessageStatus.PENDING:
        return _end(row, "settled", WorkState.DONE)
    if not events.is_useful(row, now) or row.attempts >= row.max_attempts or (has_spoken and row.lane == SOONEST):
        return _end(row, "given up", WorkState.FAILED, f"It was {why}.", instead=events.is_useful(row, now))
    due_at = now if has_spoken else now + backoff(row.attempts)
    return _back_in_line(row, due_at, resent=has_spoken)


def _unknown(row: OutgoingMessage, now: datetime, *, may_resend: bool) -> str:
    """Decide for a row of which nobody can say whether it was sent."""
    if not _is_old(row, now, 1):
        return _later(row)
    if row.lane == SOONEST:
        return _end(row, "given up", WorkState.HELD, UNKNOWN, instead=events.is_useful(row, now))
    if may_resend and not row.resends and events.is_useful(row, now) and row.attempts < row.max_attempts:
        return _back_in_line(row, now)
    return _end(row, "unknown", WorkState.HELD, UNKNOWN, tell=True)


def _wait_for(row: OutgoingMessage, now: datetime) -> str:
    """Leave the row for the next minute while its provider is away, as long as it helps anybody."""
    waited_enough = _is_old(row, now, 2) if row.lane == SOONEST else now - _first_begun(row) > LONGEST
    if waited_enough or not events.is_useful(row, now):
        return _unknown(row, now, may_resend=False)
    return _later(row)


def _is_old(row: OutgoingMessage, now: datetime, times: int) -> bool:
    return now - (row.begun_at or row.created_at) >= times * timedelta(seconds=settings.UNCERTAIN_AFTER_S)


def _later(row: OutgoingMessage) -> str:
    type(row).all_objects.filter(pk=row.pk, work_state=WorkState.HELD).update(updated_at=Now())
    return "uncertain"


def _mine(row: OutgoingMessage) -> OutgoingMessage | None:
    """Lock and return the row as it is now; None when somebody else has taken a step with it."""
    now = outgoing.locked([row.pk]).get(row.pk)
    if now is None or now.work_state != WorkState.HELD or now.uncertain_since is None or now.lease_no != row.lease_no:
        return None
    return now


def _back_in_line(row: OutgoingMessage, due_at: datetime, *, resent: bool = True) -> str:
    with transaction.atomic():
        if (mine := _mine(row)) is None:
            return "left alone"
        events.back_in_line(mine, due_at=due_at, resent=resent)
        _save_all(mine)
        dispatch.ring(mine.task_name)
    return "back in line"


def _end(
    row: OutgoingMessage, what: str, state: WorkState, error: str = "", *, instead: bool = False, tell: bool = False
) -> str:
    """Stop looking. instead: try the other channel; tell: a person has to find out."""
    with transaction.atomic():
        if (mine := _mine(row)) is None:
            return "left alone"
        mine.work_state, mine.uncertain_since, mine.last_error = state, None, error
        if state == WorkState.FAILED:
            mine.status, mine.status_reason = MessageStatus.FAILED, error
        for each in _save_all(mine):
            if instead:
                consequences.instead([each], "unknown" if state == WorkState.HELD else "lost")
            elif tell:
                consequences.open_unknown(each, "Nobody knows whether a message arrived; please ask the patient.")
    return what


def _save_all(leader: OutgoingMessage) -> list[OutgoingMessage]:
    """Save a message with those that were told in the same text."""
    everyone = [leader, *events.share([leader])[leader.pk]]
    events.save(everyone)
    return everyone


def follow_leaders(model: outgoing.Kind) -> int:
    """Settle messages whose digest is settled already: their worker died between the two."""
    lost = Q(digest_of__isnull=False, work_state=WorkState.HELD, uncertain_since__isnull=False)
    searched = Q(digest_of__work_state=WorkState.RUNNING) | Q(digest_of__uncertain_since__isnull=False)
    keys = set(model.all_objects.filter(lost).exclude(searched).values_list("digest_of_id", flat=True)[:AT_ONCE])
    with transaction.atomic():
        members = events.share(outgoing.locked(keys).values())
        alone = [member for found in members.values() for member in found]
        events.save(alone)
        failed = [member for member in alone if member.status in (MessageStatus.FAILED, MessageStatus.BOUNCED)]
        consequences.instead(failed, "lost")
    return len(alone)
