"""Orders as the frozen records that `integrations.hl7.orders` writes. Reads rows; no clock, no network.

Source: HL7 v2.5.1, tables 0001 (sex), 0485 (priority), 0487 (specimen type) and 0396 (code systems).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from backend.apps.core.models import Clinic
from backend.apps.laboratory.models import LabFeed, LabOrder, LabOrderMessage, LabTest
from integrations.hl7.order_records import CANCEL, CHANGE, NEW, Envelope, Order, OrderedTest, Person, Provider

APPLICATION = "CARERELAY"
SEX = {"female": "F", "male": "M", "other": "O", "unknown": "U"}
PRIORITY = {"routine": "R", "urgent": "A", "stat": "S"}
SYSTEM = {"loinc": "LN", "local": "L"}
SPECIMEN = {
    "blood": "BLD", "serum": "SER", "plasma": "PLAS", "urine": "UR", "stool": "STL", "swab": "SWA", "sputum": "SPT",
    "tissue": "TISS", "csf": "CSF", "saliva": "SAL", "none": "", "other": "ORH",
}  # fmt: skip


def order(message: LabOrderMessage, earlier: Sequence[OrderedTest] = ()) -> Order:
    """Return what a message says about its order as it stands now.

    earlier: what the laboratory was last told of its tests. A change says of each test whether it is new, changed or no
    longer wanted; a cancellation names all of them.
    """
    row = message.lab_order
    tests = [_test(each) for each in row.tests.order_by("test_code")]
    return Order(
        number=row.order_number,
        control=message.control,
        priority=PRIORITY[row.priority],
        at=_at(row, message.control).astimezone(Clinic.current().zone),
        person=_person(row, message.feed),
        tests=tuple(_changed(tests, earlier) if message.control != NEW else tests),
        provider=_provider(row),
        collected_at=row.specimen_collected_at and row.specimen_collected_at.astimezone(Clinic.current().zone),
        diagnosis=row.diagnosis_code,
        reason=row.clinical_indication,
        cancelled_because=row.cancellation_reason if message.control == CANCEL else "",
    )


def envelope(message: LabOrderMessage, *, at: datetime, in_production: bool) -> Envelope:
    """Return who speaks to whom. Only a clinic in production sends orders that are real (MSH-11 P)."""
    feed, clinic = message.feed, Clinic.current()
    return Envelope(
        kind=feed.order_message,
        version=feed.order_version,
        control_id=message.control_id,
        processing_id="P" if in_production and "P" in feed.processing_ids else "T",
        sent_at=at.astimezone(clinic.zone),
        sending_app=APPLICATION,
        sending_facility=clinic.npi_number or clinic.name,
        receiving_app=feed.sending_application,
        receiving_facility=feed.sending_facility,
        charset=feed.charset,
    )


def _test(row: LabTest) -> OrderedTest:
    return OrderedTest(row.test_code, row.test_name, SYSTEM[row.code_system], SPECIMEN[row.specimen_type])


def _changed(tests: Sequence[OrderedTest], earlier: Sequence[OrderedTest]) -> list[OrderedTest]:
    known = {test.code: test for test in earlier if test.control != CANCEL}
    now = {test.code for test in tests}
    gone = [
        OrderedTest(test.code, test.text, test.system, control=CANCEL)
        for code, test in known.items()
        if code not in now
    ]
    return [_with_control(test, test.code in known) for test in tests] + gone


def _with_control(test: OrderedTest, known: bool) -> OrderedTest:
    return test if known else OrderedTest(test.code, test.text, test.system, test.specimen, control=NEW)


def _at(row: LabOrder, control: str) -> datetime:
    moments = {CHANGE: row.updated_at, CANCEL: row.cancelled_at}
    return moments.get(control) or row.order_date


def _person(row: LabOrder, feed: LabFeed) -> Person:
    patient = row.patient
    return Person(
        number=patient.medical_record_number,
        authority=feed.assigning_authority,
        family=patient.last_name,
        given=patient.first_name,
        birth_date=patient.date_of_birth,
        sex=SEX[patient.gender],
    )


def _provider(row: LabOrder) -> Provider | None:
    if row.doctor is None:
        return None
    return Provider(row.doctor.npi_number, row.doctor.user.last_name, row.doctor.user.first_name)
