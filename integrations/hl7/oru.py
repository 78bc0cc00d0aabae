"""Reads a laboratory's report (ORU^R01 and its kin) into records; pure, tolerant, and one bad OBX costs only itself.

Source: HL7 v2.5.1, chapter 7, sections 7.3.1 (ORU^R01), 7.3.6 to 7.3.8 (OUL^R22 to R24).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from integrations.hl7 import coded
from integrations.hl7.coded import first, kept
from integrations.hl7.converter import Converter
from integrations.hl7.findings import Finding
from integrations.hl7.observations import consecutive
from integrations.hl7.reader import Message, Part, Segment
from integrations.hl7.records import Observation, Order, Patient, PatientResults, Report
from integrations.hl7.segments import order, patient

SPECIMEN_FIRST = frozenset({"R22", "R23"})  # OUL: the SPM stands before the orders made on it
COMMON_LAST = frozenset({"R22", "R23", "R24"})  # OUL: the ORC stands behind its OBR
MOST_GROUPS = 20_000  # patients and orders of one message; far above any real one
READ = frozenset({"PID", "ORC", "OBR", "NTE", "TQ1", "SPM"})
BEFORE_NOTES = frozenset({"TCD", "CTD"})  # these stand between a segment and its notes


def read(message: Message, *, default_tz: tzinfo) -> Report:
    """Return what `message` reports.

    Missing PV1, ORC, OBR or PID, several patients and several orders are all read. What cannot be understood is left
    out of its field and told in `findings`. `default_tz` is the sender's zone, for times without an offset.
    """
    convert = Converter(default_tz)
    head = message.head
    signs, decode, field = message.separators, message.decode, head.filled(12)
    kind = [*coded.components(field[9], signs, decode), "", ""]
    walk = _Walk(convert, message, trigger=kind[1])
    results = walk.over(message.parts)
    sent_at = convert.stamp(("MSH", 1, 7), field[7], signs, decode)
    return Report(
        message_code=kind[0],
        trigger=kind[1],
        control_id=decode(field[10]),
        processing_id=first(field[11], signs, decode),
        version=first(field[12], signs, decode),
        sending_app=first(field[3], signs, decode),
        sending_facility=first(field[4], signs, decode),
        sent_at=sent_at,
        results=results,
        findings=(*message.findings, *(convert.findings and _in_order(convert.findings, message.parts))),
    )


def _in_order(findings: list[Finding], parts: Sequence[Part]) -> list[Finding]:
    """Return findings in the order of the segments they tell of; what is missing comes first."""
    places = {(name, number): place for place, (name, number, _) in enumerate(parts)}
    return sorted(findings, key=lambda finding: (places.get(finding[:2], -1), finding.field))


@dataclass(slots=True)
class _OpenOrder:
    """An order whose observations, specimens and notes are still coming."""

    request: Segment | None
    common: Segment | None
    timing: Segment | None = None
    specimens: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)

    def closed(self, convert: Converter) -> Order:
        return order(
            convert,
            self.request,
            self.common,
            timing=self.timing,
            specimens=self.specimens,
            notes=tuple(self.notes),
            observations=tuple(self.observations),
        )


@dataclass(slots=True)
class _OpenPatient:
    identity: Patient
    orders: list[Order] = field(default_factory=list)


class _Walk:
    """Follows the segments in order: a PID opens a patient, an OBR an order, an NTE belongs to what came last.

    An order is converted when the next one opens: of 100,000 segments only the records are kept.
    """

    def __init__(self, convert: Converter, message: Message, *, trigger: str) -> None:
        self._convert = convert
        self._message = message
        self._specimen_first = trigger in SPECIMEN_FIRST
        self._common_last = trigger in COMMON_LAST
        self._patients: list[_OpenPatient] = []
        self._order: _OpenOrder | None = None  # the one that observations belong to
        self._common: Segment | None = None  # the ORC that waits for its OBR
        self._timing: Segment | None = None  # a TQ1 that stands before its OBR
        self._waiting: list[Segment] = []  # SPMs that stand before their OBR
        self._notes: list[str] | None = None  # where the next NTE goes; None while it is nobody's
        self._observed: list[str] = []  # notes of the last observation, not yet in it

    def over(self, parts: Sequence[Part]) -> tuple[PatientResults, ...]:
        """Take every segment, and return the patients."""
        convert, message = self._convert, self._message
        following, groups = iter(parts), 0
        part = next(following, None)
        while part is not None:
            name, number, _ = part
            if name == "OBX":
                self._annotate()
                opened = self._order or self._unordered(number)
                found, part = consecutive(convert, message, part, following)
                opened.observations += found
                self._notes = self._observed
                continue
            if name in READ:
                groups += name in ("PID", "OBR")
                if groups > MOST_GROUPS:
                    convert.note(Finding(name, number, 0, f"only the first {MOST_GROUPS} patients and orders are read"))
                    break
                self._take(message.segment(part))
            elif name not in BEFORE_NOTES:
                self._notes = None
            part = next(following, None)
        self._close()
        return tuple(PatientResults(each.identity, tuple(each.orders)) for each in self._patients)

    def _take(self, segment: Segment) -> None:
        if segment.name == "NTE":
            if self._notes is not None:
                self._notes += [line for line in segment.texts(3) if line]
            return
        self._annotate()
        self._notes = None
        match segment.name:
            case "OBR":
                self._open(segment)
            case "PID":
                self._close()
                self._patients.append(_OpenPatient(patient(self._convert, segment)))
                self._common, self._timing, self._waiting = None, None, []
            case "ORC":
                self._take_common(segment)
            case "TQ1":
                self._take_timing(segment)
            case "SPM":
                self._take_specimen(segment)

    def _annotate(self) -> None:
        """Put the notes that came after the last observation into it."""
        if self._observed and self._order:
            last = self._order.observations
            last[-1] = last[-1]._replace(notes=tuple(self._observed))
            self._observed = []

    def _close(self) -> None:
        """Convert the open order: nothing more can belong to it."""
        self._annotate()
        if self._order is not None:
            self._patient().orders.append(self._order.closed(self._convert))
            self._order = None

    def _open(self, obr: Segment) -> None:
        self._close()
        self._patient()
        self._order = self._begun(obr)
        self._notes = self._order.notes

    def _begun(self, obr: Segment | None) -> _OpenOrder:
        """Return an order with what came before it; a specimen of an OUL is that of the next orders too."""
        begun = _OpenOrder(obr, self._common, self._timing, specimens=list(self._waiting))
        self._common = self._timing = None
        if not self._specimen_first:
            self._waiting = []
        return begun

    def _take_common(self, orc: Segment) -> None:
        """Keep an ORC for the OBR after it, or in an OUL give it to the OBR just before it."""
        last = self._order
        if self._common_last and last and last.request and not (last.common or last.observations):
            last.common, self._notes = orc, last.notes
        else:
            self._common = orc

    def _take_timing(self, segment: Segment) -> None:
        """Keep the first TQ1 that says how urgent an order is: the last order's, or that of the ORC before it."""
        if not kept(segment.component(9)):
            return
        if self._common is not None or self._order is None:
            self._timing = self._timing or segment
        else:
            self._order.timing = self._order.timing or segment

    def _take_specimen(self, segment: Segment) -> None:
        """Keep an SPM for its order: the last one, or in an OUL the next ones until another specimen comes."""
        if self._specimen_first and self._order is not None:
            self._close()
            self._waiting = [segment]
        elif self._order is None:
            self._waiting.append(segment)
        else:
            self._order.specimens.append(segment)

    def _patient(self) -> _OpenPatient:
        """Return the patient who is spoken of; an empty one when no PID came."""
        if not self._patients:
            self._convert.note(Finding("PID", 1, 0, "missing"))
            self._patients.append(_OpenPatient(Patient()))
        return self._patients[-1]

    def _unordered(self, number: int) -> _OpenOrder:
        """Open an order without a service for an observation that no OBR came before."""
        self._patient()
        self._convert.note(Finding("OBX", number, 0, "no OBR before it"))
        self._order = self._begun(None)
        return self._order
