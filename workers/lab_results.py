"""Files stored lab messages in the chart: read, match, write the result versions, or put them on the worklist."""

from __future__ import annotations

from typing import Any

from backend.apps.core.models import Clinic
from backend.apps.laboratory import services
from backend.apps.laboratory.models import InboundMessage
from integrations.hl7 import oru
from integrations.hl7.reader import Message, NotHl7
from workers.celery_app import app
from workers.records import lab
from workers.runner import drain


@app.task(name="lab_results.file")  # type: ignore[untyped-decorator]  # Celery has no types
def file_due() -> str:
    return drain(InboundMessage, file)


def file(message: InboundMessage) -> dict[str, Any]:
    """File one stored message; return its outcome fields.

    Safe to run twice: `file_report` gives the same chart for any order and repetition of messages.
    """
    raw = bytes(InboundMessage.objects.values_list("raw", flat=True).get(pk=message.pk))
    try:
        report = oru.read(Message(raw), default_tz=Clinic.current().zone)
    except NotHl7:
        return {"status": InboundMessage.Status.REJECTED, "status_reason": "This is not an HL7 message."}
    outcome = services.file_report(message, lab.report(report))
    return {"status": outcome.status, "status_reason": outcome.reason, "patient_id": outcome.patient_id}
