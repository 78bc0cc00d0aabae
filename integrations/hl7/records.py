"""What a laboratory's report says, in frozen records; without it callers would have to know segments and fields.

They print as their type only: a log or a traceback must not show a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from integrations.hl7.fields import Measured
from integrations.hl7.reader import Finding


@dataclass(frozen=True, slots=True)
class Coded:
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


@dataclass(frozen=True, slots=True, repr=False)
class Identifier:
    """A number with who gave it out (CX) and its kind, as MR or SS."""

    value: str
    authority: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Patient:
    """PID. Empty where the message is."""

    identifiers: tuple[Identifier, ...] = ()
    family: str = ""
    given: str = ""
    middle: str = ""
    birth_date: date | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """An encapsulated document or image (ED) as sent: `data` is still written in `encoding`."""

    kind: str
    subtype: str
    encoding: str
    data: str


@dataclass(frozen=True, slots=True, repr=False)
class Observation:
    """OBX with its notes.

    values: each repetition of OBX-5 as text; a coded one as its text. measured: the first as a number, if it is one.
    status: OBX-11, table 0085. observed_at: OBX-14.
    """

    number: int  # which OBX of the message, from 1
    value_type: str
    code: Coded
    sub_id: str = ""
    values: tuple[str, ...] = ()
    coded: Coded | None = None
    measured: Measured | None = None
    document: Document | None = None
    unit: Coded = Coded()
    reference_range: str = ""
    flags: tuple[str, ...] = ()
    status: str = ""
    observed_at: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All values in one text, a line each."""
        return "\n".join(self.values)


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """OBR with the ORC before it. An observation that came without any OBR is in an order without a service.

    placer, filler: the order's numbers at the clinic and at the laboratory. status: OBR-25, table 0123.
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


@dataclass(frozen=True, slots=True, repr=False)
class PatientResults:
    """One PID group: a patient and the orders reported for them."""

    patient: Patient
    orders: tuple[Order, ...] = ()


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
