"""Reads a laboratory's report (ORU^R01 and its kin) into records; pure, tolerant, and one bad OBX costs only itself.

Source: HL7 v2.5.1, chapter 7, sections 7.3.1 (ORU^R01), 7.3.6 and 7.3.7 (OUL^R22 and R23, specimen first).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

from integrations.hl7.coded import kept
from integrations.hl7.converter import Converter
from integrations.hl7.findings import Finding
from integrations.hl7.observations import observation
from integrations.hl7.reader import Message, Segment
from integrations.hl7.records import Observation, Order, Patient, PatientResults, Report
from integrations.hl7.segments import order, patient

SPECIMEN_FIRST = frozenset({"R22", "R23"})  # OUL: the SPM stands before the orders made on it


def read(message: Message, *, default_tz: tzinfo) -> Report:
    """Return what `message` reports.

    Missing PV1, ORC, OBR or PID, several patients and several orders are all read. What cannot be understood is left
    out of its field and told in `findings`. `default_tz` is the sender's zone, for times without an offset.
    """
    convert = Converter(default_tz)
    head = message.head
    trigger = head.component(9, 2)
    walk = _Walk(convert, specimen_first=trigger in SPECIMEN_FIRST)
    for segment in message.segments:
        walk.take(segment)
    results = walk.finished()
    return Report(
        message_code=head.component(9, 1),
        trigger=trigger,
        control_id=head.text(10),
        processing_id=head.component(11),
        version=head.component(12),
        sending_app=head.component(3),
        sending_facility=head.component(4),
        sent_at=convert.moment(head, 7),
        results=results,
        findings=(*message.findings, *convert.findings),
    )


Notes = list[str]


@dataclass(slots=True)
class _OpenOrder:
    """An order whose observations and notes are still coming; segments are converted when all their notes are there."""

    request: Segment | None
    common: Segment | None
    timing: Segment | None = None
    notes: Notes = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)
    observations: list[tuple[Segment, Notes]] = field(default_factory=list)

    def closed(self, convert: Converter) -> Order:
        found: list[Observation] = [observation(convert, obx, tuple(notes)) for obx, notes in self.observations]
        whole = order(
            convert,
            self.request,
            self.common,
            timing=self.timing,
            specimens=self.specimens,
            notes=tuple(self.notes),
            observations=tuple(found),
        )
        for segment in (self.request, self.common, *self.specimens):
            if segment is not None:
                segment.release()
        return whole


@dataclass(slots=True)
class _OpenPatient:
    identity: Segment | None
    orders: list[_OpenOrder] = field(default_factory=list)

    def closed(self, convert: Converter) -> PatientResults:
        known = patient(convert, self.identity) if self.identity else Patient()
        if self.identity:
            self.identity.release()
        return PatientResults(known, tuple(each.closed(convert) for each in self.orders))


class _Walk:
    """Follows the segments in order: a PID opens a patient, an OBR an order, an NTE belongs to what came last."""

    def __init__(self, convert: Converter, *, specimen_first: bool) -> None:
        self._convert = convert
        self._specimen_first = specimen_first
        self._patients: list[_OpenPatient] = []
        self._common: Segment | None = None  # the ORC that waits for its OBR
        self._timing: Segment | None = None  # a TQ1 that stands before its OBR
        self._waiting: list[Segment] = []  # SPMs that stand before their OBR
        self._notes: Notes = []  # where the next NTE goes

    def take(self, segment: Segment) -> None:
        name = segment.name
        if name == "OBX":
            self._notes = []
            self._order(segment).observations.append((segment, self._notes))
        elif name == "NTE":
            self._notes += [line for line in segment.texts(3) if line]
            segment.release()
        elif name == "OBR":
            self._open(segment)
        elif name not in ("TCD", "CTD"):  # these stand between a segment and its notes
            self._notes = []
            self._take_other(segment)

    def _open(self, obr: Segment) -> None:
        opened = _OpenOrder(obr, self._common, self._timing, specimens=list(self._waiting))
        self._patient().orders.append(opened)
        self._common, self._timing, self._notes = None, None, opened.notes
        if not self._specimen_first:
            self._waiting = []

    def _take_other(self, segment: Segment) -> None:
        match segment.name:
            case "PID":
                self._patients.append(_OpenPatient(segment))
                self._common, self._timing, self._waiting = None, None, []
            case "ORC":
                self._common = segment
            case "TQ1":
                self._take_timing(segment)
            case "SPM":
                self._take_specimen(segment)

    def _take_timing(self, segment: Segment) -> None:
        """Keep the first TQ1 that says how urgent an order is: the last order's, or that of the ORC before it."""
        opened = self._last_order()
        if not kept(segment.component(9)):
            return
        if self._common is not None or opened is None:
            self._timing = self._timing or segment
        else:
            opened.timing = opened.timing or segment

    def _take_specimen(self, segment: Segment) -> None:
        opened = self._last_order()
        if self._specimen_first:
            self._waiting = [*self._after_specimens(), segment]
        elif opened is None:
            self._waiting.append(segment)
        else:
            opened.specimens.append(segment)

    def _after_specimens(self) -> list[Segment]:
        """Return the SPMs that still wait for their first order: one after an order begins a new specimen."""
        opened = self._last_order()
        used = opened.specimens if opened else []
        return [each for each in self._waiting if each not in used]

    def _last_order(self) -> _OpenOrder | None:
        return self._patients[-1].orders[-1] if self._patients and self._patients[-1].orders else None

    def _patient(self) -> _OpenPatient:
        """Return the patient who is spoken of; an empty one when no PID came."""
        if not self._patients:
            self._convert.note(Finding("PID", 1, 0, "missing"))
            self._patients.append(_OpenPatient(None))
        return self._patients[-1]

    def _order(self, segment: Segment) -> _OpenOrder:
        """Return the order an OBX belongs to; one without a service when no OBR came."""
        orders = self._patient().orders
        if not orders:
            self._convert.note(Finding("OBX", segment.number, 0, "no OBR before it"))
            orders.append(_OpenOrder(None, self._common))
        return orders[-1]

    def finished(self) -> tuple[PatientResults, ...]:
        return tuple(each.closed(self._convert) for each in self._patients)
