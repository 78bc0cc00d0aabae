"""Reads a laboratory's report (ORU^R01 and its kin) into records; pure, tolerant, and one bad OBX costs only itself.

Source: HL7 v2.5.1, chapter 7, section 7.3.1 (ORU^R01); sections 7.4.1 and 7.4.2 (OBR, OBX); chapter 3, 3.4.2 (PID).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import tzinfo

from integrations.hl7.reader import Finding, Message, Segment
from integrations.hl7.records import Observation, Order, Patient, PatientResults, Report
from integrations.hl7.segments import Converter


def read(message: Message, *, default_tz: tzinfo) -> Report:
    """Return what `message` reports.

    Missing PV1, ORC, OBR or PID, several patients and several orders are all read. What cannot be understood is left
    out of its field and told in `findings`. `default_tz` is the sender's zone, for times without an offset.
    """
    convert = Converter(default_tz)
    walk = _Walk(convert)
    for segment in message.segments:
        walk.take(segment)
    head = message.head
    sent_at = convert.moment(head, 7)
    return Report(
        message_code=head.component(9, 1),
        trigger=head.component(9, 2),
        control_id=head.text(10),
        processing_id=head.component(11),
        version=head.component(12),
        sending_app=head.component(3),
        sending_facility=head.component(4),
        sent_at=sent_at,
        results=walk.finished(),
        findings=(*message.findings, *convert.findings),
    )


@dataclass
class _OpenOrder:
    """An order whose observations and notes are still coming."""

    order: Order
    observations: list[Observation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def closed(self) -> Order:
        return replace(self.order, observations=tuple(self.observations), notes=tuple(self.notes))


@dataclass
class _OpenPatient:
    patient: Patient
    orders: list[_OpenOrder] = field(default_factory=list)

    def closed(self) -> PatientResults:
        return PatientResults(self.patient, tuple(order.closed() for order in self.orders))


class _Walk:
    """Follows the segments in order: a PID opens a patient, an OBR an order, an NTE belongs to what came last."""

    def __init__(self, convert: Converter) -> None:
        self._convert = convert
        self._patients: list[_OpenPatient] = []
        self._common: Segment | None = None  # the ORC that waits for its OBR
        self._noted = ""  # what an NTE would be a note to

    def take(self, segment: Segment) -> None:
        match segment.name:
            case "PID":
                self._patients.append(_OpenPatient(self._convert.patient(segment)))
                self._common = None
            case "ORC":
                self._common = segment
            case "OBR":
                order = self._convert.order(segment, self._common)
                self._patient().orders.append(_OpenOrder(order))
                self._common = None
            case "OBX":
                self._order(segment).observations.append(self._convert.observation(segment))
            case "NTE":
                self._note(segment)
        if segment.name not in ("NTE", "TCD", "CTD"):
            self._noted = segment.name

    def _patient(self) -> _OpenPatient:
        """Return the patient who is spoken of; an empty one when no PID came."""
        if not self._patients:
            self._convert.findings.append(Finding("PID", 1, 0, "missing"))
            self._patients.append(_OpenPatient(Patient()))
        return self._patients[-1]

    def _order(self, segment: Segment) -> _OpenOrder:
        """Return the order an OBX belongs to; one without a service when no OBR came."""
        orders = self._patient().orders
        if not orders:
            self._convert.findings.append(Finding("OBX", segment.number, 0, "no OBR before it"))
            orders.append(_OpenOrder(self._convert.bare_order(self._common)))
        return orders[-1]

    def _note(self, segment: Segment) -> None:
        lines = [line for line in segment.texts(3) if line]
        if not lines or self._noted not in ("OBR", "OBX"):
            return
        order = self._patients[-1].orders[-1]
        if self._noted == "OBR":
            order.notes.extend(lines)
        else:
            last = order.observations[-1]
            order.observations[-1] = replace(last, notes=(*last.notes, *lines))

    def finished(self) -> tuple[PatientResults, ...]:
        return tuple(patient.closed() for patient in self._patients)
