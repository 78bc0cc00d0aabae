"""What the clinic asks a laboratory for, in frozen records; without it callers would have to know segments and fields.

They print as their type only: a log or a traceback must not show a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

OML, ORM = "OML^O21", "ORM^O01"
NEW, CANCEL, CHANGE = "NW", "CA", "XO"  # ORC-1, table 0119


@dataclass(frozen=True, slots=True)
class Envelope:
    """MSH. kind: OML or ORM. processing_id: P or T. charset: MSH-18, as "8859/1"; empty for UTF-8. sent_at is aware."""

    kind: str
    version: str
    control_id: str
    processing_id: str
    sent_at: datetime
    sending_app: str
    sending_facility: str
    receiving_app: str = ""
    receiving_facility: str = ""
    charset: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """PID, no more than a laboratory needs. sex: table 0001. authority: who gave out the record number."""

    number: str
    authority: str
    family: str
    given: str
    birth_date: date
    sex: str


@dataclass(frozen=True, slots=True, repr=False)
class Provider:
    npi: str
    family: str
    given: str


@dataclass(frozen=True, slots=True)
class OrderedTest:
    """One OBR. system: LN for LOINC, L for the clinic's own. specimen: table 0487, empty for none.

    control: what becomes of this test when the order changes; empty: the same as of the order.
    """

    code: str
    text: str
    system: str
    specimen: str = ""
    control: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Order:
    """One order. priority: S, A or R (tables 0485 and 0078). diagnosis: ICD-10-CM. reason: why, in words.

    at: when the order was written, changed or cancelled; ORC-9. cancelled_because: ORC-16.
    """

    number: str
    control: str
    priority: str
    at: datetime
    person: Person
    tests: tuple[OrderedTest, ...]
    provider: Provider | None = None
    collected_at: datetime | None = None
    diagnosis: str = ""
    reason: str = ""
    cancelled_because: str = ""
