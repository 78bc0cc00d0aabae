"""What a laboratory reports, in the clinic's own words; without this filing would have to know HL7."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PatientIn:
    """Whom the report is about, as far as it says. identifiers: (number, who assigned it), every one that was sent."""

    identifiers: tuple[tuple[str, str], ...] = ()
    family_name: str = ""
    given_name: str = ""
    birth_date: date | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class DocumentIn:
    """A document that came inside the message: its bytes, or why they could not be read (a sentence without values)."""

    content: bytes = b""
    problem: str = ""
    kind: str = ""  # what the sender calls it, as "PDF"


@dataclass(frozen=True, slots=True)
class SpecimenIn:
    """One specimen, as sent. specimen_id: the laboratory's number for it, else the clinic's, else empty."""

    specimen_id: str = ""
    code: str = ""
    text: str = ""
    system: str = ""
    site: str = ""
    description: str = ""
    collected_at: datetime | None = None
    collected_until: datetime | None = None
    received_at: datetime | None = None
    condition: str = ""
    reject_reason: str = ""


@dataclass(frozen=True, slots=True)
class ParentIn:
    """The finding that led to an order: the laboratory's number of its panel, its code and its sub-id."""

    number: str
    code: str
    sub_id: str = ""


@dataclass(frozen=True, slots=True)
class ObservationIn:
    """One observation, as sent.

    value_type: the sender's word for the kind of value ("NM", "TX"). numeric: the value where it is one number.
    status, flag: values of `ResultStatus` and `AbnormalFlag`; flag is empty when none was sent.
    critical: the laboratory calls a value that has no bounds very abnormal. flags: as sent.
    restates: it has no value of its own; it says that the preliminary value on file is final now.
    segment, index: the segment it was read from, and which of that name in the message, from 1. All moments are aware.
    """

    code: str
    value: str = ""
    text: str = ""
    system: str = ""
    sub_id: str = ""
    value_type: str = ""
    numeric: Decimal | None = None
    unit: str = ""
    range: str = ""
    flag: str = ""
    critical: bool = False
    status: str = "final"
    observed_at: datetime | None = None
    notes: str = ""
    index: int = 0
    segment: str = "OBX"
    other_code: str = ""
    other_text: str = ""
    other_system: str = ""
    flags: str = ""
    restates: bool = False
    document: DocumentIn | None = None


@dataclass(frozen=True, slots=True)
class OrderIn:
    """One panel or test and what was observed for it.

    placer, filler: the numbers of who asked and of the laboratory, either may be empty. status: a `ResultStatus`, or
    empty. priority: an `OrderPriority`, or empty. observed_at: when the specimen was taken. reported_at: when the
    laboratory reported or last changed it.
    """

    placer: str = ""
    filler: str = ""
    code: str = ""
    text: str = ""
    system: str = ""
    status: str = ""
    observed_at: datetime | None = None
    reported_at: datetime | None = None
    priority: str = ""
    observations: tuple[ObservationIn, ...] = ()
    other_code: str = ""
    other_system: str = ""
    index: int = 0  # which OBR of the message, from 1
    specimens: tuple[SpecimenIn, ...] = ()
    parent: ParentIn | None = None


@dataclass(frozen=True, slots=True)
class ReportIn:
    """One message. sent_at: when the sender says it sent this."""

    patient: PatientIn
    orders: tuple[OrderIn, ...] = ()
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: an `InboundStatus`, why (a sentence without patient data), and whose it is."""

    status: str
    reason: str = ""
    patient_id: UUID | None = None
    filed: int = 0  # new versions


def clean(text: str) -> str:
    """Return the text without what PostgreSQL cannot hold, and without the blanks around it."""
    return (text.replace("\x00", "") if "\x00" in text else text).strip()
