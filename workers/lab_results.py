"""Files stored lab messages in the chart: read, match, write the result versions, or put them on the worklist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any
from uuid import UUID

from django.db.models import prefetch_related_objects
from django.utils import timezone

from backend.apps.core.sealed import opened
from backend.apps.laboratory import conflicts, services
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.reports import Outcome, ReportIn
from integrations.hl7 import oru
from integrations.hl7.findings import Finding
from integrations.hl7.reader import Message, NotHl7
from integrations.hl7.validate import validate
from workers import kinds, other_messages
from workers.celery_app import app
from workers.records import lab
from workers.records.findings import kept
from workers.runner import drain_together

Status = InboundMessage.Status
TELLS_MORE = (Status.WORKLIST, Status.REJECTED, Status.FILED, Status.DUPLICATE)
TOGETHER_BYTES = 16 * 2**20  # of messages that are in memory at a time
CONFLICT = "Another message with other content came under the same control id; look at both."


@app.task(name="lab_results.file")  # type: ignore[untyped-decorator]  # Celery has no types
def file_due() -> str:
    return drain_together(InboundMessage, file_all)


def file_all(messages: Sequence[InboundMessage]) -> list[dict[str, Any]]:
    """File stored messages together; return the outcome fields of each.

    Safe to run twice: `file_reports` gives the same chart for any order and repetition of messages.
    """
    prefetch_related_objects(list(messages), "feed")
    outcomes: dict[UUID, dict[str, Any]] = {}
    for group in portions(messages):
        outcomes.update(_filed(group))
    conflicts.tell(messages)
    return [outcomes[message.pk] for message in messages]


def file(message: InboundMessage) -> dict[str, Any]:
    """File one stored message, once more if need be; return its outcome fields.

    Within a transaction that is rolled back nothing of it stays: no result, no page, no file.
    """
    return file_all([message])[0]


def portions(messages: Sequence[InboundMessage]) -> Iterator[list[InboundMessage]]:
    """Yield the messages in order, in groups that are not too large to be held in memory."""
    group, size = list[InboundMessage](), 0
    for message in messages:
        if group and size + message.size_bytes > TOGETHER_BYTES:
            yield group
            group, size = [], 0
        group.append(message)
        size += message.size_bytes
    if group:
        yield group


@dataclass(slots=True)
class Read:
    """A message that has been read, and what was odd about it."""

    message: InboundMessage
    reports: list[ReportIn]
    findings: list[Finding] = field(default_factory=list)


def _filed(messages: list[InboundMessage]) -> dict[UUID, dict[str, Any]]:
    results, others = list[InboundMessage](), list[InboundMessage]()
    for message in messages:
        (results if message.message_type.partition("^")[0] in kinds.RESULT_CODES else others).append(message)
    done = {message.pk: other_messages.handle(message) for message in others}
    raws = dict(InboundMessage.all_objects.filter(pk__in=[row.pk for row in results]).values_list("pk", "raw"))
    known, zones = list[Read](), Zones()
    for message in results:
        try:
            known.append(read(message, opened(raws.pop(message.pk), message.pk), zones.of(message)))
        except NotHl7:
            done[message.pk] = _outcome(Status.REJECTED, "This is not an HL7 message.")
    outcomes = services.file_reports([(each.message, each.reports) for each in known])
    done.update({each.message.pk: _told(each, found) for each, found in zip(known, outcomes, strict=True)})
    return done


class Zones:
    """The zones of times without an offset, each looked up once: the laboratory's own, else the clinic's."""

    def __init__(self) -> None:
        self._known: dict[UUID | None, tzinfo] = {}

    def of(self, message: InboundMessage) -> tzinfo:
        if message.feed_id not in self._known:
            self._known[message.feed_id] = message.zone
        return self._known[message.feed_id]


def read(message: InboundMessage, raw: bytes, zone: tzinfo) -> Read:
    """Return what a message reports, and what is odd about it.

    Raises:
        NotHl7: it is no HL7 message.
    """
    parsed = Message(raw, message.usual_charset)
    report = oru.read(parsed, default_tz=zone)
    reports = lab.reports(report)
    findings = dict.fromkeys((*report.findings, *lab.findings(reports), *validate(parsed)))
    return Read(message, reports, list(findings))


def _told(one: Read, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the outcome fields of a message, with what was odd about it and whether a person should look."""
    fields = merged(outcomes)
    if one.message.conflict and fields["status"] in {Status.FILED, Status.DUPLICATE}:
        fields["status_reason"] = f"{fields['status_reason']} {CONFLICT}".strip()
    filed_at = one.message.filed_at or (timezone.now() if fields["status"] == Status.FILED else None)
    return {**fields, "filed_at": filed_at, "findings": kept(one.findings)}


def merged(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return one outcome for a message about several patients: what one of them waits for, the message waits for."""
    if not outcomes:
        return {"status": Status.WORKLIST, "status_reason": "The message names no patient.", "patient_id": None}
    patients = {outcome.patient_id for outcome in outcomes if outcome.patient_id}
    worst = min(outcomes, key=lambda outcome: TELLS_MORE.index(Status(outcome.status)))
    return {
        "status": worst.status,
        "status_reason": worst.reason,
        "patient_id": patients.pop() if len(patients) == 1 else None,
    }


def _outcome(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "status_reason": reason, "patient_id": None}
