"""Reads a laboratory's report (ORU^R01 and its kin) into records; pure, tolerant, and one bad OBX costs only itself.

Source: HL7 v2.5.1, chapter 7, section 7.3.1 (ORU^R01); sections 7.4.1 and 7.4.2 (OBR, OBX); chapter 3, 3.4.2 (PID).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

from integrations.hl7.reader import Finding, Message, Segment
from integrations.hl7.records import Order, Patient, PatientResults, Report
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


Notes = list[str]


@dataclass
class _OpenOrder:
    """An order whose observations and notes are still coming; segments are converted when all their notes are there."""

    request: Segment | None
    common: Segment | None
    notes: Notes = field(default_factory=list)
    observations: list[tuple[Segment, Notes]] = field(default_factory=list)

    def closed(self, convert: Converter) -> Order:
        observations = tuple(convert.observation(segment, tuple(notes)) for segment, notes in self.observations)
        return convert.order(self.request, self.common, notes=tuple(self.notes), observations=observations)


@dataclass
class _OpenPatient:
    identity: Segment | None
    orders: list[_OpenOrder] = field(default_factory=list)

    def closed(self, convert: Converter) -> PatientResults:
        patient = convert.patient(self.identity) if self.identity else Patient()
        return PatientResults(patient, tuple(order.closed(convert) for order in self.orders))


class _Walk:
    """Follows the segments in order: a PID opens a patient, an OBR an order, an NTE belongs to what came last."""

    def __init__(self, convert: Converter) -> None:
        self._convert = convert
        self._patients: list[_OpenPatient] = []
        self._common: Segment | None = None  # the ORC that waits for its OBR
        self._notes: Notes = []  # where the next NTE goes

    def take(self, segment: Segment) -> None:
        match segment.name:
            case "NTE":
                self._notes += [line for line in segment.texts(3) if line]
            case "TCD" | "CTD":
                pass  # between a segment and its notes
            case "OBX":
                self._notes = []
                self._order(segment).observations.append((segment, self._notes))
            case "OBR":
                self._patient().orders.append(order := _OpenOrder(segment, self._common))
                self._common, self._notes = None, order.notes
            case _:
                self._notes = []
                self._take_other(segment)

    def _take_other(self, segment: Segment) -> None:
        if segment.name == "PID":
            self._patients.append(_OpenPatient(segment))
            self._common = None
        elif segment.name == "ORC":
            self._common = segment

    def _patient(self) -> _OpenPatient:
        """Return the patient who is spoken of; an empty one when no PID came."""
        if not self._patients:
            self._convert.findings.append(Finding("PID", 1, 0, "missing"))
            self._patients.append(_OpenPatient(None))
        return self._patients[-1]

    def _order(self, segment: Segment) -> _OpenOrder:
        """Return the order an OBX belongs to; one without a service when no OBR came."""
        orders = self._patient().orders
        if not orders:
            self._convert.findings.append(Finding("OBX", segment.number, 0, "no OBR before it"))
            orders.append(_OpenOrder(None, self._common))
        return orders[-1]

    def finished(self) -> tuple[PatientResults, ...]:
        return tuple(patient.closed(self._convert) for patient in self._patients)
