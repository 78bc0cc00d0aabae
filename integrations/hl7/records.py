"""What a laboratory's report says, in frozen records; without it callers would have to know segments and fields.

They print as their type only: a log or a traceback must not show a patient. Named tuples, because one report makes a
hundred of them and a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import NamedTuple

from integrations.hl7.fields import BadField, Measured
from integrations.hl7.findings import Finding


class Coded(NamedTuple):
    """A code with its text and code system (CE, CWE, CNE), and the sender's second code for the same thing."""

    code: str = ""
    text: str = ""
    system: str = ""
    other_code: str = ""
    other_text: str = ""
    other_system: str = ""

    @property
    def label(self) -> str:
        """The text to show, or the code when there is none."""
        return self.text or self.other_text or self.code or self.other_code

    def __repr__(self) -> str:
        return hidden(self)


class Identifier(NamedTuple):
    """A number with who gave it out (CX) and its kind, as MR or SS. authority_id: their universal id, as an OID."""

    value: str
    authority: str = ""
    kind: str = ""
    authority_id: str = ""

    def __repr__(self) -> str:
        return hidden(self)


class Patient(NamedTuple):
    """PID. Empty where the message is. account: PID-18."""

    identifiers: tuple[Identifier, ...] = ()
    family: str = ""
    given: str = ""
    middle: str = ""
    birth_date: date | None = None
    sex: str = ""
    account: Identifier | None = None

    def __repr__(self) -> str:
        return hidden(self)


class Document(NamedTuple):
    """An encapsulated document or image (ED) as sent: `data` is still written in `encoding`. source: ED-1."""

    kind: str
    subtype: str
    encoding: str
    data: str
    source: str = ""

    def content(self) -> bytes:
        """Return the document itself.

        Raises:
            BadField: the encoding is not known, or the data are damaged.

        Source: HL7 v2.5.1, chapter 2A, data type ED; table 0299 (encoding).
        """
        try:
            match self.encoding.upper():
                case "BASE64":
                    return base64.b64decode("".join(self.data.split()), validate=True)
                case "HEX":
                    return bytes.fromhex(self.data)
                case "A" | "":
                    return self.data.encode()
        except (binascii.Error, ValueError):
            raise BadField(f"damaged {self.encoding} data: {len(self.data)} characters") from None
        raise BadField(f"encoding not known: {len(self.encoding)} characters")

    def __repr__(self) -> str:
        return hidden(self)


class Pointer(NamedTuple):
    """Where a document is kept that is not in the message (RP): its address or key, and the system that has it."""

    pointer: str
    application: str = ""
    kind: str = ""
    subtype: str = ""

    def __repr__(self) -> str:
        return hidden(self)


class Asked(NamedTuple):
    """What an OBX is about, before its value is known: OBX-2, 3, 4, 6, 7 and 8. The same in most reports of a test."""

    value_type: str = ""
    code: Coded = Coded()
    sub_id: str = ""
    unit: Coded = Coded()
    reference_range: str = ""
    flags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return hidden(self)


class Value(NamedTuple):
    """OBX-5 in every form that its type has.

    values: each repetition as text; a coded one as its text. measured: the first as a number, if it is one. moment,
    time_of_day: the first as a DT, TS or DTM, and as a TM. problem: the shape of what could not be read.
    """

    values: tuple[str, ...] = ()
    coded: Coded | None = None
    measured: Measured | None = None
    document: Document | None = None
    pointer: Pointer | None = None
    moment: datetime | None = None
    time_of_day: time | None = None
    problem: str = ""

    def __repr__(self) -> str:
        return hidden(self)


class Circumstances(NamedTuple):
    """How an observation was made. The same in most OBX of a report.

    status: OBX-11, table 0085. observed_at: OBX-14. access: OBX-13. producer: OBX-15. responsible: OBX-16. method:
    OBX-17. analyzed_at: OBX-19. performer: OBX-23, performer_address: OBX-24.
    """

    status: str = ""
    observed_at: datetime | None = None
    access: str = ""
    producer: Coded = Coded()
    responsible: Identifier | None = None
    method: Coded = Coded()
    analyzed_at: datetime | None = None
    performer: str = ""
    performer_address: str = ""

    def __repr__(self) -> str:
        return hidden(self)


class Observation(NamedTuple):
    """OBX with its notes, in three parts: a report says two of them again and again."""

    number: int  # which OBX of the message, from 1
    asked: Asked
    value: Value
    circumstances: Circumstances
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All values in one text, a line each."""
        return "\n".join(self.value.values)

    @property
    def segment(self) -> tuple[str, int]:
        """The segment it was read from: its name, and which of that name."""
        return "OBX", self.number

    def __repr__(self) -> str:
        return hidden(self)


class Specimen(NamedTuple):
    """SPM, or OBR-15 of versions that have no SPM.

    placer, filler: its numbers at the clinic and at the laboratory (SPM-2). kind: SPM-4. site: SPM-8.
    collected_at, collected_until: SPM-17. received_at: SPM-18. rejected: SPM-21. conditions: SPM-24.
    """

    segment: tuple[str, int]
    placer: str = ""
    filler: str = ""
    kind: Coded = Coded()
    method: Coded = Coded()
    site: Coded = Coded()
    description: str = ""
    collected_at: datetime | None = None
    collected_until: datetime | None = None
    received_at: datetime | None = None
    rejected: tuple[Coded, ...] = ()
    conditions: tuple[Coded, ...] = ()

    def __repr__(self) -> str:
        return hidden(self)


class Parent(NamedTuple):
    """The order (OBR-29) and its observation (OBR-26) that led to this order, as a culture leads to a susceptibility.

    code, sub_id, value: OBX-3, OBX-4 and the text of OBX-5 of that observation.
    """

    placer: str = ""
    filler: str = ""
    code: Coded = Coded()
    sub_id: str = ""
    value: str = ""

    def __repr__(self) -> str:
        return hidden(self)


class Order(NamedTuple):
    """OBR with the ORC before it. An observation that came without any OBR is in an order without a service.

    placer, filler: the order's numbers at the clinic and at the laboratory. control: ORC-1. status: OBR-25, table 0123.
    number: which OBR of the message, from 1; 0 when there was none. action: OBR-11. priority: as sent in TQ1-9,
    OBR-27, ORC-7 or OBR-5.
    """

    placer: str = ""
    filler: str = ""
    group: str = ""
    control: str = ""
    service: Coded = Coded()
    status: str = ""
    collected_at: datetime | None = None
    received_at: datetime | None = None
    reported_at: datetime | None = None
    provider: Identifier | None = None
    notes: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    number: int = 0
    collected_until: datetime | None = None
    action: str = ""
    priority: str = ""
    parent: Parent | None = None
    specimens: tuple[Specimen, ...] = ()

    @property
    def segment(self) -> tuple[str, int]:
        """The segment it was read from: its name, and which of that name."""
        return "OBR", self.number

    def __repr__(self) -> str:
        return hidden(self)


class PatientResults(NamedTuple):
    """One PID group: a patient and the orders reported for them."""

    patient: Patient
    orders: tuple[Order, ...] = ()

    def __repr__(self) -> str:
        return hidden(self)


@dataclass(frozen=True, slots=True)
class Report:
    """One message. `findings` tells what was odd, with places and without values."""

    message_code: str
    trigger: str
    control_id: str
    processing_id: str
    version: str
    sending_app: str
    sending_facility: str
    sent_at: datetime | None
    results: tuple[PatientResults, ...]
    findings: tuple[Finding, ...]


def hidden(record: object) -> str:
    """Return how a record prints: its type and nothing of a patient."""
    return f"{type(record).__name__}(...)"
