"""Holds the dictionary between HL7's tables and the clinic's words; a wrong line would file a wrong result."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from backend.apps.laboratory.models import AbnormalFlag, ResultStatus
from integrations.hl7 import oru
from integrations.hl7.fields import Measured
from integrations.hl7.reader import Message
from integrations.hl7.records import (
    Asked,
    Circumstances,
    Coded,
    Identifier,
    Observation,
    Order,
    Patient,
    PatientResults,
    Report,
    Value,
)
from workers.records import lab

NOON, ONE = datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 13, tzinfo=UTC)
CODE = Coded(code="2823-3", text="Potassium", system="LN")
USUAL = {"value_type": "NM", "code": CODE, "values": ("4.1",)}


def observed(**over: Any) -> Observation:
    asked, value, circumstances = (
        kind(**{name: given for name, given in {**USUAL, **over}.items() if name in kind._fields})
        for kind in (Asked, Value, Circumstances)
    )
    return Observation(over.get("number", 1), asked, value, circumstances, over.get("notes", ()))


def report(*results: PatientResults) -> Report:
    names = {"processing_id": "P", "version": "2.5.1", "sending_app": "LIS", "sending_facility": "LAB"}
    return Report("ORU", "R01", "1", **names, sent_at=ONE, results=results, findings=())


# Table 0085; N (not asked for), V and B have no meaning of their own here and take the order's.
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("F", "final"), ("U", "final"), ("C", "corrected"), ("P", "preliminary"), ("R", "preliminary"),
        ("S", "preliminary"), ("I", "pending"), ("O", "pending"), ("D", "cancelled"), ("W", "cancelled"),
        ("X", "cancelled"), ("", "corrected"), ("N", "corrected"), ("?", "corrected"),
    ],
)  # fmt: skip
def test_an_observation_has_its_own_status_or_else_its_orders(sent: str, status: str) -> None:
    assert lab.observation(observed(status=sent), "corrected").status == status


def test_without_any_status_a_result_is_final() -> None:
    assert lab.observation(observed(), "").status == "final"


# Table 0123.
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("A", "preliminary"), ("R", "preliminary"),
        ("I", "pending"), ("O", "pending"), ("S", "pending"), ("X", "cancelled"), ("", ""), ("Y", ""), ("Z", ""),
    ],
)  # fmt: skip
def test_an_orders_status(sent: str, status: str) -> None:
    assert lab.order(Order(status=sent)).status == status


# Table 0078; sensitivities (S, R, I) and trends (U, D) are no abnormality.
@pytest.mark.parametrize(
    ("sent", "flag"),
    [
        (("N",), "normal"), (("H",), "high"), ((">",), "high"), (("L",), "low"), (("<",), "low"),
        (("HH",), "critical_high"), (("LL",), "critical_low"), (("A",), "abnormal"), (("AA",), "abnormal"),
        ((), ""), (("S",), ""), (("U", "HH"), "critical_high"), (("hh",), ""),
        (("N", "H"), "high"), (("A", "LL"), "critical_low"),
    ],
)  # fmt: skip
def test_of_several_flags_the_worst_counts(sent: tuple[str, ...], flag: str) -> None:
    assert lab.observation(observed(flags=sent), "").flag == flag


def test_the_tables_hold_only_words_the_clinic_has() -> None:
    assert {*lab.OBSERVATION_STATUS.values(), *lab.ORDER_STATUS.values()} <= set(ResultStatus.values)
    assert set(lab.FLAGS.values()) == set(lab.WORST_FIRST) == set(AbnormalFlag.values)


@pytest.mark.parametrize(
    ("measured", "values", "number"),
    [
        (Measured(Decimal("4.1")), ("4.1",), Decimal("4.1")),
        (Measured(Decimal(0)), ("0",), Decimal(0)),
        (Measured(Decimal("0.01"), comparator="<"), ("<0.01",), None),
        (Measured(Decimal(100), separator="-", second=Decimal(200)), ("100-200",), None),
        (Measured(Decimal(1), separator=":", second=Decimal(128)), ("1:128",), None),
        (Measured(Decimal("4.1")), ("4.1", "4.2"), None),
        (Measured(None), ("positive",), None),
        (None, ("positive",), None),
    ],
)
def test_only_exactly_one_number_is_a_number(
    measured: Measured | None, values: tuple[str, ...], number: Decimal | None
) -> None:
    found = lab.observation(observed(measured=measured, values=values), "")
    assert found.numeric == number
    assert found.value == "\n".join(values)


def test_every_field_of_an_observation_finds_its_place() -> None:
    sent = observed(
        number=7,
        sub_id="2",
        unit=Coded(code="mmol/L", text="millimole"),
        reference_range="3.5-5.1",
        observed_at=NOON,
        notes=("hemolyzed", "repeat"),
    )
    found = lab.observation(sent, "final")
    assert (found.code, found.text, found.system, found.value_type) == ("2823-3", "Potassium", "LN", "NM")
    assert (found.sub_id, found.unit, found.range) == ("2", "mmol/L", "3.5-5.1")
    assert (found.observed_at, found.notes, found.index) == (NOON, "hemolyzed\nrepeat", 7)
    assert lab.observation(observed(unit=Coded(text="drops")), "").unit == "drops"


def test_orders_and_patients_keep_what_was_sent_and_invent_nothing() -> None:
    numbers = (
        Identifier("M1", "CLINIC", "MR"),
        Identifier("P1"),
        Identifier("S1", "", "SS"),
        Identifier("A1", "", "AN"),
    )
    patient = Patient(numbers, "Doe", "Jo", "", None, "F")
    order = Order("P1", "F1", service=CODE, status="F", collected_at=NOON, reported_at=ONE, observations=(observed(),))
    (found,) = lab.reports(report(PatientResults(patient, (order,))))
    assert found.patient.identifiers == (("M1", "CLINIC"), ("P1", ""))  # an account number is no record number
    assert (found.patient.family_name, found.patient.given_name, found.patient.birth_date) == ("Doe", "Jo", None)
    (panel,) = found.orders
    assert (panel.placer, panel.filler, panel.code, panel.text) == ("P1", "F1", "2823-3", "Potassium")
    assert (panel.observed_at, panel.reported_at, found.sent_at) == (NOON, ONE, ONE)
    assert [each.status for each in panel.observations] == ["final"]


def test_each_patient_of_a_message_gets_a_report_of_their_own() -> None:
    found = lab.reports(report(PatientResults(Patient(family="A")), PatientResults(Patient(family="B"))))
    assert [each.patient.family_name for each in found] == ["A", "B"]
    assert lab.reports(report()) == []


def test_a_real_message_arrives_in_the_clinics_words() -> None:
    raw = (
        b"MSH|^~\\&|LIS|LAB|||20260302130000+0000||ORU^R01|1|P|2.5.1\r"
        b"PID|1||M1^^^CLINIC^MR||Doe^Jo||19800517|F\r"
        b"OBR|1|P1|F1|24323-8^Panel^LN|||20260302120000+0000|||||||||||||||20260302130000+0000|||F\r"
        b"OBX|1|NM|2823-3^Potassium^LN||6.9|mmol/L|3.5-5.1|HH|||C\r"
        b"OBX|2|SN|1-8^Titer^LN||<^5|U|||||F\r"
    )
    (found,) = lab.reports(oru.read(Message(raw), default_tz=UTC))
    potassium, titer = found.orders[0].observations
    assert found.patient.birth_date == date(1980, 5, 17)
    assert (potassium.numeric, potassium.flag, potassium.status) == (Decimal("6.9"), "critical_high", "corrected")
    assert (titer.numeric, titer.status) == (None, "final")
    assert (found.orders[0].observed_at, found.orders[0].reported_at) == (NOON, ONE)


def test_a_final_without_its_value_says_that_it_restates_one_and_hides_nothing() -> None:
    raw = (
        b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5.1\rPID|1||M1^^^C^MR\rOBR|1|||X\r"
        b"OBX|1|NM|2823-3^Potassium^LN||||||||U\rOBX|2|NM|2345-7^Glucose^LN||99||||||F\r"
    )
    (found,) = lab.reports(oru.read(Message(raw), default_tz=UTC))
    assert [(each.code, each.restates) for each in found.orders[0].observations] == [
        ("2823-3", True),
        ("2345-7", False),
    ]
