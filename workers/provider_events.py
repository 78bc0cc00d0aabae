"""Applies what providers report to our messages: in batches, for a burst of reports follows every burst of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from backend.apps.core import alerts
from backend.apps.core.sealed import same
from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import CriticalPage
from backend.apps.messaging import events, outgoing
from backend.apps.messaging.consequences import NOTED, Report
from backend.apps.messaging.models import Channel, EventOutcome, OutgoingMessage, ProviderEvent
from backend.apps.patients import consents, contacts
from backend.apps.patients.models import ConsentMethod
from integrations.email import sendgrid_events
from integrations.sms import twilio_codes
from workers import replies
from workers.celery_app import app
from workers.runner import drain_together

ATTEMPT = re.compile(r"(?P<pk>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<lease_no>[0-9]{1,9})")
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PLAIN_WORD = re.compile(r"[a-z_]{1,30}")
BUSY, UNKNOWN_YET = timedelta(seconds=2), timedelta(seconds=30)  # until an event is looked at again
GIVE_UP = timedelta(minutes=15)  # by then our own commit is there, or the message is not ours
SKEW = timedelta(hours=1)  # between the provider's clock and ours, at most
TWILIO, SENDGRID = "twilio", "sendgrid"
OPT_IN = "group_resubscribe"

Outcomes = dict[Any, Mapping[str, Any]]


@app.task(name="provider_events.apply")  # type: ignore[untyped-decorator]  # Celery has no types
def apply() -> str:
    return drain_together(ProviderEvent, apply_all)


def apply_all(received: Sequence[ProviderEvent]) -> list[Mapping[str, Any]]:
    """Apply events; return the fields to save with each.

    Safe to run twice: a status only rises, and what follows from it is done in the transaction in which it rose.
    """
    outcomes: Outcomes = {event.pk: replies.handle(event) or {} for event in received if event.kind == "inbound"}
    with transaction.atomic():
        outcomes |= _apply_statuses([event for event in received if event.pk not in outcomes])
    return [outcomes[event.pk] for event in received]


def attempt_of(attempt_id: str) -> tuple[UUID | None, int | None]:
    """Return the message and the try an attempt id names; None for what is not of our making."""
    found = ATTEMPT.fullmatch(attempt_id)
    return (UUID(found["pk"]), int(found["lease_no"])) if found else (None, None)


def report_of(event: ProviderEvent) -> Report:
    """Return what an event says, in our words."""
    says = _of_sendgrid(event) if event.provider == SENDGRID else of_twilio(event.provider_status, event.error_code)
    return Report(event.message_id, attempt_of(event.attempt_id)[1], event.provider_status, **says)


def of_twilio(word: str, error_code: str) -> dict[str, Any]:
    """Return the fields of a `Report` that Twilio's word and error code give."""
    code = int(error_code) if error_code.isascii() and error_code.isdigit() else None
    status, flag = twilio_codes.status_of(word, code), twilio_codes.flag_of(word)
    if status not in ("failed", "bounced"):
        return {"status": status}
    sort = "cancelled" if flag == "cancelled_by_us" else twilio_codes.sort_name(code)
    passes = sort in ("transient", "misconfigured")
    return {"status": status, "sort": sort, "code": f"twilio:{code or word}", "may_retry": passes}


def _apply_statuses(received: Sequence[ProviderEvent]) -> Outcomes:
    if not received:
        return {}
    now, outcomes, pairs = events.transaction_now(), Outcomes(), list[tuple[OutgoingMessage, ProviderEvent]]()
    keys = _keys_of(received)
    noted = [keys[event.pk] for event in received if report_of(event).sort in NOTED]
    consents.lock(outgoing.addresses_of([key for key in noted if key]) | {*map(_wisher, filter(_is_wish, received))})
    rows = outgoing.locked([key for key in keys.values() if key])
    absent = [key for key in keys.values() if key and key not in rows]
    busy, pages = set(outgoing.find_all(absent)), _pages_among(absent)
    for event in received:
        key, says_nothing = keys[event.pk], report_of(event).status is None
        if key in rows:
            pairs.append((rows[key], event))
        elif says_nothing or key in pages:
            outcomes[event.pk] = {"outcome": EventOutcome.IGNORED}
        elif key in busy or event.created_at > now - GIVE_UP:
            outcomes[event.pk] = _look_again(event, now + (BUSY if key in busy else UNKNOWN_YET))
        else:
            outcomes[event.pk] = {"outcome": EventOutcome.UNMATCHED}
    pairs.sort(key=lambda pair: _moment(pair[1]))
    told = events.apply([(row, report_of(event)) for row, event in pairs], now=now)
    outcomes |= {event.pk: {"outcome": one.outcome} for (_, event), one in zip(pairs, told, strict=True)}
    for event in sorted(received, key=_moment):
        _heed(event)
    return outcomes


def _moment(event: ProviderEvent) -> tuple[datetime, datetime]:
    return event.occurred_at or event.created_at, event.created_at


def _keys_of(received: Sequence[ProviderEvent]) -> dict[Any, UUID | None]:
    """Return by event the message it is about: by our own attempt id, else by the provider's name for it."""
    keys = {event.pk: attempt_of(event.attempt_id)[0] for event in received}
    named = outgoing.by_external_id({event.message_id for event in received if keys[event.pk] is None})
    for event in received:
        if keys[event.pk] is None and event.message_id in named:
            keys[event.pk] = named[event.message_id].pk
    return keys


def _pages_among(keys: Sequence[UUID]) -> set[UUID]:
    """Return those that are pages about critical results: the laboratory looks after them itself."""
    return set(CriticalPage.all_objects.filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()


def _look_again(event: ProviderEvent, due_at: datetime) -> dict[str, Any]:
    """Put an event back in line, the attempt not counted; the runner finds that it is no longer leased.

    Our own commit may be on its way, or another worker has the message just now.
    """
    mine = ProviderEvent.work.filter(pk=event.pk, lease_no=event.lease_no, work_state=WorkState.RUNNING)
    back = {"work_state": WorkState.WAITING, "leased_until": None, "attempts": F("attempts") - 1}
    mine.update(**back, due_at=due_at, updated_at=Now())
    return {}


def _of_sendgrid(event: ProviderEvent) -> dict[str, Any]:
    word = event.provider_status
    kind, reason, enhanced = (str(event.payload.get(name, "")) for name in ("type", "reason", "status"))
    error = sendgrid_events.error_for(word, bounce_type=kind, reason=reason, enhanced=enhanced)
    status = sendgrid_events.status_of(word)
    if error is None:
        return {"status": status}
    is_blocked = word == "bounce" and error.sort == "blocked"  # by the mailbox's server, and for this time
    return {"status": status, "sort": error.sort, "code": error.code, "may_retry": is_blocked}


def _is_wish(event: ProviderEvent) -> bool:
    return event.provider == SENDGRID and event.provider_status in (*sendgrid_events.OPT_OUTS, OPT_IN)


def _wisher(event: ProviderEvent) -> tuple[str, str]:
    return Channel.EMAIL, contacts.mailbox(event.mailbox)


def _is_overtaken(event: ProviderEvent, address: str) -> bool:
    """Whether a later wish of the same mailbox is here already; to call our mail spam is never taken back."""
    said_at, _ = _moment(event)
    later = ProviderEvent.objects.filter(
        same(ProviderEvent, "mailbox_index", address),
        created_at__gte=said_at - SKEW,  # for the index: nothing is here before it was said
        occurred_at__gt=said_at,
        provider=SENDGRID,
        provider_status__in=(*sendgrid_events.OPT_OUTS, OPT_IN),
    )
    return event.provider_status != "spamreport" and (later.exists() or _was_refused_later(event, address, said_at))


def _was_refused_later(event: ProviderEvent, address: str, said_at: datetime) -> bool:
    """Whether the mailbox opted out after an opt-in was said, and not through the provider: by our own page, say."""
    if event.provider_status != OPT_IN:
        return False
    closed = contacts.known_at(Channel.EMAIL, address).filter(opted_out_at__gt=said_at)
    evidence = [point.opted_out_evidence for point in closed]
    return any(not UUID_TEXT.fullmatch(one) or not ProviderEvent.objects.filter(pk=one).exists() for one in evidence)


def _heed(event: ProviderEvent) -> None:
    """Do what an event asks for whatever became of the message: its reader's wish, or a look by a person."""
    word, (_, address) = event.provider_status, _wisher(event)
    if address and _is_wish(event) and not _is_overtaken(event, address):
        if word == OPT_IN:
            consents.opt_in_email(address, method=ConsentMethod.UNSUBSCRIBE, evidence=str(event.pk))
        else:
            how = ConsentMethod.UNSUBSCRIBE if word.endswith("unsubscribe") else ConsentMethod.PROVIDER
            consents.opt_out_email(address, method=how, evidence=str(event.pk))
    known = sendgrid_events.STATUSES if event.provider == SENDGRID else twilio_codes.WORDS
    if word not in known:
        shown = word if PLAIN_WORD.fullmatch(word) else "(not a plain word)"
        alerts.open_once(
            f"provider word:{event.provider}:{shown}",
            kind="messages_word_unknown",
            sentence=f"{event.provider.capitalize()} reports a status we do not know: {shown}. Nothing was changed.",
        )
