"""Stores messages that labs push, many in one commit; what is stored may be acknowledged, and nothing else."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.contrib.postgres.functions import TransactionNow
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from backend.apps.core import dispatch
from backend.apps.core.work import WorkState
from backend.apps.laboratory.models import InboundMessage
from integrations.hl7 import ack
from integrations.hl7.ack import Code, Reason
from integrations.hl7.head import Head, read_head

RESULTS = frozenset({("ORU", "R01"), ("ORU", "R30"), ("ORU", "R32")})
WITHOUT_TRIGGER = ("ORU", "")  # older senders leave MSH-9.2 out
Status = InboundMessage.Status

Verdict = tuple[Code, Reason | None, str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came: its bytes and the address of the peer that sent it."""

    raw: bytes = field(repr=False)
    peer: str


def store(arrivals: Sequence[Arrival]) -> list[bytes]:
    """Store all of `arrivals` in one commit and return the acknowledgement of each, in order.

    A message that was stored before (same sender, control id and content) counts as a repetition and is acknowledged
    as it was. Another content under a known control id is stored as a row of its own and flagged.

    Raises:
        DatabaseError: nothing was stored and nothing may be acknowledged.
    """
    heads = [read_head(arrival.raw) for arrival in arrivals]
    rows = [_row(arrival, head) for arrival, head in zip(arrivals, heads, strict=True)]
    with transaction.atomic():
        _insert(rows)
        if any(row.status == Status.RECEIVED for row in rows):
            dispatch.ring(InboundMessage.task_name)
    return [_answer(head) for head in heads]


def _insert(rows: list[InboundMessage]) -> None:
    times = Counter(row.dedupe_key for row in rows)
    fresh = {row.dedupe_key: row for row in reversed(rows)}
    in_one_order = sorted(fresh.values(), key=lambda row: row.dedupe_key)  # or two who store the same would deadlock
    InboundMessage.all_objects.bulk_create(in_one_order, ignore_conflicts=True)
    ours = {row.pk for row in in_one_order}
    stored = InboundMessage.all_objects.filter(dedupe_key__in=fresh).values_list("dedupe_key", "pk")
    repeated = defaultdict(list)
    for key, pk in stored:
        repeated[times[key] - (pk in ours)].append(pk)
    for count, keys in sorted(repeated.items()):
        if count:
            same = InboundMessage.all_objects.filter(pk__in=keys)
            same.update(repeats=F("repeats") + count, updated_at=timezone.now())
    _flag_conflicts({row.control_id for row in in_one_order} - {""})


def _flag_conflicts(control_ids: set[str]) -> None:
    """Flag rows whose control id another content of the same sender has too: a person looks at both."""
    names = ("sending_application", "sending_facility", "control_id")
    same_name = InboundMessage.all_objects.filter(**{name: OuterRef(name) for name in names})
    rows = InboundMessage.all_objects.filter(control_id__in=control_ids, conflict=False)
    other = Exists(same_name.exclude(sha256=OuterRef("sha256")))
    rows.filter(other).update(conflict=True, updated_at=timezone.now())


def _row(arrival: Arrival, head: Head) -> InboundMessage:
    digest = hashlib.sha256(arrival.raw).hexdigest()
    code, _, why = verdict(head)
    names = {
        "sending_application": head.sending_app[:250],
        "sending_facility": head.sending_facility[:250],
        "control_id": head.control_id[:250],
    }
    accepted = code is Code.ACCEPT
    return InboundMessage(
        **names,
        raw=arrival.raw,
        sha256=digest,
        size_bytes=len(arrival.raw),
        peer=arrival.peer[:60],
        message_type="^".join(part for part in (head.message_code, head.trigger) if part)[:60],
        version=head.version[:60],
        ack_code=ack.told(head, code).decode(),
        status=Status.RECEIVED if accepted else Status.REJECTED,
        status_reason=why,
        work_state=WorkState.WAITING if accepted else WorkState.DONE,
        due_at=TransactionNow(),  # the database's clock, which leases go by
        dedupe_key=InboundMessage.key_of(**names, sha256=digest),
    )


def verdict(head: Head) -> Verdict:
    """Return how a message with this head is answered, and why in a sentence when it is refused."""
    if not head.is_hl7:
        return Code.REJECT, Reason.SEGMENTS, "This is not an HL7 message."
    if not head.control_id:
        return Code.ERROR, Reason.REQUIRED_FIELD, "The message has no control id (MSH-10)."
    kind = (head.message_code, head.trigger)
    if kind not in RESULTS and kind != WITHOUT_TRIGGER:
        return Code.REJECT, Reason.MESSAGE_TYPE, "This type of message is not taken yet."
    return Code.ACCEPT, None, ""


def refusal(arrival: Arrival) -> bytes:
    """Return the answer to a message the database will not hold: the sender keeps it and may try again."""
    return _built(read_head(arrival.raw), Code.ERROR, Reason.INTERNAL)


def _answer(head: Head) -> bytes:
    code, reason, _ = verdict(head)
    return _built(head, code, reason)


def _built(head: Head, code: Code, reason: Reason | None) -> bytes:
    return ack.build(head, code, control_id=uuid.uuid4().hex[:20], at=timezone.now(), reason=reason)
