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
from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import CriticalPage
from backend.apps.messaging import events, outgoing
from backend.apps.messaging.consequences import Report
from backend.apps.messaging.models import EventOutcome, OutgoingMessage, ProviderEvent
from backend.apps.patients import consents
from backend.apps.patients.models import ConsentMethod
from integrations.email import sendgrid_events
from integrations.sms import twilio_codes
from workers import replies
from workers.celery_app import app
from workers.runner import drain_together

ATTEMPT = re.compile(r"(?P<pk>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<lease_no>[0-9]{1,9})")
PLAIN_WORD = re.compile(r"[a-z_]{1,30}")
BUSY, UNKNOWN_YET = timedelta(seconds=2), timedelta(seconds=30)  # until an event is looked at again
GIVE_UP = timedelta(minutes=15)  # by then our own commit is there, or the message is not ours
TWILIO, SENDGRID = "twilio", "sendgrid"

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
    now, outcomes, pairs = events.database_now(), Outcomes(), list[tuple[OutgoingMessage, ProviderEvent]]()
    keys = _keys_of(received)
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
    pairs.sort(key=lambda pair: (pair[1].occurred_at or pair[1].created_at, pair[1].created_at))
    told = events.apply([(row, report_of(event)) for row, event in pairs], now=now)
    outcomes |= {event.pk: {"outcome": one.outcome} for (_, event), one in zip(pairs, told, strict=True)}
    for event in received:
        _heed(event)
    return outcomes


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


def _heed(event: ProviderEvent) -> None:
    """Do what an event asks for whatever became of the message: its reader's wish, or a look by a person."""
    word = event.provider_status
    if event.provider == SENDGRID and (address := str(event.payload.get("email", ""))):
        if word in sendgrid_events.OPT_OUTS:
            how = ConsentMethod.UNSUBSCRIBE if word.endswith("unsubscribe") else ConsentMethod.PROVIDER
            consents.opt_out_email(address, method=how, evidence=str(event.pk))
        elif word == "group_resubscribe":
            consents.opt_in_email(address, method=ConsentMethod.UNSUBSCRIBE, evidence=str(event.pk))
    known = sendgrid_events.STATUSES if event.provider == SENDGRID else twilio_codes.WORDS
    if word not in known:
        shown = word if PLAIN_WORD.fullmatch(word) else "(not a plain word)"
        alerts.open_once(
            f"provider word:{event.provider}:{shown}",
            kind="messages_word_unknown",
            sentence=f"{event.provider.capitalize()} reports a status we do not know: {shown}. Nothing was changed.",
        )
