"""Files stored lab messages in the chart: read, match, write the result versions, or put them on the worklist."""

from __future__ import annotations

from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.laboratory import services
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.reports import Outcome
from integrations.hl7 import oru
from integrations.hl7.reader import Message, NotHl7
from workers.celery_app import app
from workers.records import lab
from workers.runner import drain

Status = InboundMessage.Status
TELLS_MORE = (Status.WORKLIST, Status.REJECTED, Status.FILED, Status.DUPLICATE)


@app.task(name="lab_results.file")  # type: ignore[untyped-decorator]  # Celery has no types
def file_due() -> str:
    return drain(InboundMessage, file)


def file(message: InboundMessage) -> dict[str, Any]:
    """File one stored message; return its outcome fields.

    Safe to run twice: `file_report` gives the same chart for any order and repetition of messages.
    """
    try:
        report = oru.read(Message(bytes(message.raw)), default_tz=Clinic.current().zone)
    except NotHl7:
        return {"status": Status.REJECTED, "status_reason": "This is not an HL7 message."}
    outcomes = [services.file_report(message, each) for each in lab.reports(report)]
    if lab.finals_without_value(report):
        outcomes.append(Outcome(Status.WORKLIST, "A result became final without its value; see the preliminary one."))
    return merged(outcomes)


def merged(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return one outcome for a message about several patients: what one of them waits for, the message waits for."""
    if not outcomes:
        return {"status": Status.WORKLIST, "status_reason": "The message names no patient."}
    patients = {outcome.patient_id for outcome in outcomes if outcome.patient_id}
    worst = min(outcomes, key=lambda outcome: TELLS_MORE.index(outcome.status))
    return {
        "status": worst.status,
        "status_reason": worst.reason,
        "patient_id": patients.pop() if len(patients) == 1 else None,
    }
