"""Hands one file to a partner, exactly once whoever dies on the way; without it claims would be lost or doubled.

To a partner with folders a file goes under a hidden name, which is committed (staged) before it is renamed: whoever
comes after a crash finds the part and renames it, or finds none and knows that it was renamed, for only we take it
away. To a partner with a web API it goes in one call, under a key that makes a repeat harmless for a day; after that
only where the partner itself refuses what it had. Either is known only where the file was put: a partner that has
another address or transport by then tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import Interchange, TradingPartner
from backend.apps.insurance.models.partners import Transport
from backend.apps.insurance.models.submissions import InterchangeStatus
from integrations.clearinghouse.port import Direct, Placed, Staged
from integrations.errors import Permanent, Transient, Unknown

Status = InterchangeStatus
KEY_HOLDS = timedelta(hours=23)  # partners keep an Idempotency-Key for a day
REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,80}").fullmatch
LEFT = frozenset({Status.SENT, Status.ACKNOWLEDGED, Status.REJECTED})
BEGUN = frozenset({Status.SPEAKING, Status.IN_DOUBT})  # a call that may have been taken
MOVED = (
    "It was put where this partner no longer is: only there is seen whether it was taken. Set the old address again, "
    "or ask the partner and mark the file as received or not received."
)
AWAY = (
    "Another disk or server stands where it was put: only there is seen whether it was taken. Bring that back and have "
    "it sent again, or ask the partner and mark the file as received or not received."
)
TAKEN = "The partner has another file of that name, and ours lies beside it."


class LeaseLost(Exception):
    """Another worker has the file: hands off."""


class ForAPerson(Exception):
    """Nothing that a machine may do is left; the text says why."""


class Answered(Exception):
    """The partner's answer to the file came first: it is there."""


def hand_over(item: Interchange, partner: TradingPartner, door: Staged | Direct) -> None:
    """Send a leased file, and write down that it was sent. Safe to run again after a crash at any point.

    Raises:
        Transient, Unknown: it stays where it is, to be run again.
        Permanent: the partner refuses this file.
        LeaseLost, ForAPerson: see there.
    """
    row = Interchange.objects.defer("content").get(pk=item.pk)
    try:
        if row.status in LEFT:
            raise Answered
        if partner.transport == Transport.HTTPS:
            _in_one_call(item, row, partner, cast("Direct", door))
        else:
            _by_rename(item, row, cast("Staged", door))
    except Answered:
        item.finish()


def _by_rename(item: Interchange, row: Interchange, door: Staged) -> None:
    if row.status in BEGUN:
        raise ForAPerson(MOVED)
    if row.status == Status.READY:
        content = bytes(row.content)
        _still_ours(item)
        at = door.put_part(row.file_name, content)
        _note(item, {Status.READY}, status=Status.STAGED, staged_at=timezone.now(), staged_where=at)
    else:
        placed = door.state(row.file_name, row.staged_where)
        if placed is Placed.BOTH:
            raise ForAPerson(TAKEN)
        if placed is not Placed.PART:
            _sent(item)
            return
    door.rename(row.file_name)
    _sent(item)


def _in_one_call(item: Interchange, row: Interchange, partner: TradingPartner, door: Direct) -> None:
    is_first, now = row.status == Status.READY, timezone.now()
    if is_first:
        _note(item, {Status.READY}, status=Status.SPEAKING, spoken_at=now, staged_where=door.place())
    elif row.status not in BEGUN or row.staged_where not in ("", door.place()):
        raise ForAPerson(MOVED)
    elif not partner.rejects_duplicates and row.spoken_at and now - row.spoken_at > KEY_HOLDS:
        raise ForAPerson("It may have been received, and the partner no longer knows it as a repeat.")
    try:
        receipt = door.send(row.file_name, bytes(row.content), row.sha256)
    except Unknown:
        _note(item, BEGUN, status=Status.IN_DOUBT)
        raise
    except (Transient, Permanent):
        if is_first:  # a refusal says nothing of an earlier try
            _note(item, {Status.SPEAKING}, status=Status.READY, spoken_at=None)
        raise
    _sent(item, f"Receipt {receipt.reference}." if REFERENCE(receipt.reference) else "")


def _still_ours(item: Interchange) -> None:
    if not item.begin():
        raise LeaseLost


def _note(item: Interchange, since: Collection[str], **changes: Any) -> None:
    """Commit how far the file has come since one of these states, while it is ours.

    Raises:
        Answered, LeaseLost: nothing was written.
    """
    mine = Interchange.work.filter(pk=item.pk, lease_no=item.lease_no, work_state=WorkState.RUNNING)
    if mine.filter(status__in=since).update(**changes, updated_at=timezone.now()):
        return
    raise Answered if mine.filter(status__in=LEFT).exists() else LeaseLost


@transaction.atomic
def _sent(item: Interchange, proof: str = "") -> None:
    """Write down that the file left, also when the lease is lost: it is true."""
    interchanges.mark_sent(item, at=timezone.now(), proof=proof)
    item.finish()
