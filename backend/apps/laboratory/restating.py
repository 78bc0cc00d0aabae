"""Lets a result that became final without its value take a preliminary one that arrives after it.

Source: HL7 v2.5.1, chapter 7, table 0085, code U.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import InboundMessage, InboundStatus, LabResult, Restatement, ResultStatus
from backend.apps.laboratory.versions import New

TAKEN = (WorkState.RUNNING, WorkState.DONE, WorkState.FAILED, WorkState.HELD)


def follow(new: Sequence[New], fresh: Collection[LabResult]) -> None:
    """Remember what restates, and put back in line what restates something that is only on file since now.

    Called in the transaction that files `new`, with the patients' rows locked, so of two workers one sees the other's.
    """
    first = {id(row) for row in fresh if row.status == ResultStatus.PRELIMINARY}
    keys = {key for each in new if id(each.result) in first for key in (each.result.result_key, *each.former_keys)}
    if keys:
        meant = Restatement.objects.filter(result_key__in=keys).order_by("message_id")
        _again(list(dict.fromkeys(meant.values_list("message_id", flat=True))))
    said = {(each.result.source_message_id, each.result.result_key) for each in new if each.restates}
    if said:
        rows = [Restatement(message_id=message, result_key=key) for message, key in said if message]
        Restatement.objects.bulk_create(rows, ignore_conflicts=True)


def _again(messages: Sequence[UUID]) -> None:
    """Put messages back in line but those a person refused; one that a worker holds is taken from it."""
    rows = InboundMessage.work.exclude(status=InboundStatus.REJECTED)
    for pk in messages:
        rows.back_in_line(pk, at_rest=TAKEN)
