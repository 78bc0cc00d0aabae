"""Hands one file to a partner, exactly once whoever dies on the way; without it claims would be lost or doubled.

To a partner with folders a file goes under a hidden name, which is committed (staged) before it is renamed: whoever
comes after a crash finds the part and renames it, or finds none and knows that it was renamed, for only we take it
away. To a partner with a web API it goes in one call, under a key that makes a repeat harmless for a day; after that
only where the partner itself refuses what it had.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from backend.apps.core.work import note_all
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


class LeaseLost(Exception):
    """Another worker has the file: hands off."""


class ForAPerson(Exception):
    """Nothing that a machine may do is left; the text says why."""


def hand_over(item: Interchange, partner: TradingPartner, door: Staged | Direct) -> None:
    """Send a leased file, and write down that it was sent. Safe to run again after a crash at any point.

    Raises:
        Transient, Unknown: it stays where it is, to be run again.
        Permanent: the partner refuses this file.
        LeaseLost, ForAPerson: see there.
    """
    row = Interchange.objects.defer("content").get(pk=item.pk)
    if row.status in LEFT:  # its acknowledgement came first
        item.finish()
    elif partner.transport == Transport.HTTPS:
        _in_one_call(item, row, partner, cast("Direct", door))
    else:
        _by_rename(item, row, partner, cast("Staged", door))


def _by_rename(item: Interchange, row: Interchange, partner: TradingPartner, door: Staged) -> None:
    if row.status == Status.READY:
        content = bytes(row.content)
        _still_ours(item)
        door.put_part(row.file_name, content)
        _note(item, status=Status.STAGED, staged_at=timezone.now(), staged_where=where(partner))
    elif (placed := door.state(row.file_name)) is not Placed.PART:
        if placed is Placed.NEITHER and row.staged_where not in ("", where(partner)):
            raise ForAPerson("It was put where this partner no longer is: only there is seen whether it was taken.")
        _sent(item)
        return
    door.rename(row.file_name)
    _sent(item)


def where(partner: TradingPartner) -> str:
    """Return a digest of the place files go to: that a part is gone proves nothing anywhere else."""
    place = (partner.transport, partner.host, partner.port, partner.username, partner.outbound_folder)
    return hashlib.sha256("\n".join(map(str, place)).encode()).hexdigest()


def _in_one_call(item: Interchange, row: Interchange, partner: TradingPartner, door: Direct) -> None:
    is_first = row.status == Status.READY
    now = timezone.now()
    if is_first:
        _note(item, status=Status.SPEAKING, spoken_at=now)
    elif not partner.rejects_duplicates and row.spoken_at and now - row.spoken_at > KEY_HOLDS:
        raise ForAPerson("It may have been received, and the partner no longer knows it as a repeat.")
    try:
        receipt = door.send(row.file_name, bytes(row.content), row.sha256)
    except Unknown:
        _note(item, status=Status.IN_DOUBT)
        raise
    except (Transient, Permanent):
        if is_first:  # a refusal says nothing of an earlier try
            _note(item, status=Status.READY, spoken_at=None)
        raise
    _sent(item, f"Receipt {receipt.reference}." if REFERENCE(receipt.reference) else "")


def _still_ours(item: Interchange) -> None:
    if not item.begin():
        raise LeaseLost


def _note(item: Interchange, **changes: Any) -> None:
    """Commit how far the file has come, while it is ours."""
    if not note_all([(item, changes)]):
        raise LeaseLost


@transaction.atomic
def _sent(item: Interchange, proof: str = "") -> None:
    """Write down that the file left, also when the lease is lost: it is true."""
    interchanges.mark_sent(item, at=timezone.now(), proof=proof)
    item.finish()
