"""Makes rows of the clinical record for every source of it; see makers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.clinical_notes.tests.factories import make_note, make_soap
from backend.apps.laboratory.models import LabOrder, LabResult, LabSpecimen, LabTest
from backend.apps.laboratory.tests.factories import (
    NOON,
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_lab_result,
    make_lab_specimen,
    make_lab_test,
    make_panel,
)

_numbers = itertools.count(1)


def seen_order(**over: Any) -> LabOrder:
    """Save an order of one LOINC test, placed at a visit the patient came to."""
    visit = make_appointment(status="completed", checked_in_at=NOON)
    test = LabTest.objects.filter(test_code="2823-3").first() or make_lab_test(test_code="2823-3")
    fields = {"patient": visit.patient, "doctor": visit.doctor, "appointment": visit, "tests": [test]}
    return make_lab_order(**{"status": "completed", **fields, **over})


def full_result(**over: Any) -> LabResult:
    """Save a finding with all that a laboratory may say of it: a panel, its only specimen, codes of two systems."""
    order = over.pop("lab_order", None) or seen_order()
    panel = make_panel(order)
    make_lab_specimen(lab_order=order, panel=panel)
    fields = {
        "panel": panel,
        "source_message": make_inbound_message(feed=make_lab_feed(sending_facility=f"FHIR{next(_numbers)}")),
        "code_system_as_sent": "LN",
        "code_text_as_sent": "Potassium [Moles/volume] in Serum",
        "other_code_as_sent": "K  plus",
        "other_text_as_sent": "Kalium",
        "other_system_as_sent": "L",
        "result_value": "4.10",
        "numeric_value": Decimal("4.10"),
        "interpretation": "Slightly hemolysed.",
        "abnormal_flag": "critical_high",
    }
    return make_lab_result(lab_order=order, **{**fields, **over})


def bare_result(**over: Any) -> LabResult:
    order = make_lab_order(doctor=None, is_external=True, tests=[])
    blank = dict.fromkeys(("abnormal_flag", "value_type", "unit", "reference_range", "result_value"), "")
    fields = {**blank, "lab_test": None, "numeric_value": None, "result_date": None, "reported_at": None}
    return make_lab_result(lab_order=order, **{**fields, **over})


def reported_order(**over: Any) -> LabOrder:
    """Save an order of two tests with a finding of its own and a panel with a specimen."""
    order = seen_order(**{"tests": [make_lab_test(), make_lab_test(code_system="local")], **over})
    full_result(lab_order=order)
    return order


def unasked_order() -> LabOrder:
    """Save an order that came with its report, of two panels we have no tests for."""
    order = make_lab_order(doctor=None, is_external=True, tests=[], placer_order_number="P-7", status="in_progress")
    for text in ("Electrolytes", ""):
        panel = make_panel(order, panel_text=text)
        make_lab_result(lab_order=order, panel=panel, lab_test=None, status="preliminary")
    return order


def full_specimen(**over: Any) -> LabSpecimen:
    fields = {
        "type_system": "HL70487",
        "site": "Left arm",
        "description": "Two tubes",
        "condition": "Hemolyzed",
        "reject_reason": "Broken in transit",
        "collected_at": NOON,
        "collected_until": NOON + timedelta(minutes=5),
        "received_at": NOON + timedelta(hours=1),
    }
    return make_lab_specimen(lab_order=seen_order(), **{**fields, **over})


VITALS: Mapping[str, Any] = MappingProxyType({
    "temperature": Decimal("37.0"), "blood_pressure_systolic": 120, "blood_pressure_diastolic": 80, "heart_rate": 61,
    "respiratory_rate": 14, "oxygen_saturation": 98, "weight": Decimal("70.50"), "height": Decimal("178.0"),
})  # fmt: skip


def measured_note(note: ClinicalNote | None = None, **over: Any) -> SOAPNote:
    """Save a SOAP note with all vital signs, of a visit the patient came to, and sign it."""
    visit = make_appointment(status="completed", checked_in_at=NOON)
    note = note or make_note(patient=visit.patient, doctor=visit.doctor, appointment=visit)
    soap = make_soap(clinical_note=note, **{**VITALS, **over})
    note.sign(note.doctor.user)
    return soap


def bare_visit(status: str, **over: Any) -> Appointment:
    kinds = {"in_progress": "telemedicine", "completed": "follow_up"}
    return make_appointment(status=status, appointment_type=kinds.get(status, "consultation"), **over)


MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "appointment": (
        partial(make_appointment, reason="Cough", location="Room 2"),
        partial(bare_visit, "cancelled", cancellation_reason="Ill"),
        *(partial(bare_visit, status) for status in Appointment.Status.values),
    ),
    "encounter": (
        partial(bare_visit, "completed", reason="Cough", location="Room 2", checked_in_at=NOON, checked_out_at=NOON),
        partial(bare_visit, "in_progress"),
        partial(bare_visit, "checked_in"),
    ),
    "order": (
        partial(reported_order, diagnosis_code="E11.9", clinical_indication="Thirst", specimen_collected_at=NOON),
        partial(seen_order, status="cancelled", cancellation_reason="Twice"),
        unasked_order,
        partial(make_lab_order, tests=[]),
        *(partial(make_lab_order, status=status) for status in ("pending", "ordered", "specimen_collected")),
    ),
    "specimen": (
        full_specimen,
        partial(make_lab_specimen, type_system="SCT"),
        partial(make_lab_specimen, specimen_id="#1", type_code="", type_text=""),
    ),
    "report": (reported_order, unasked_order),
    "observation-vital-signs": (measured_note, partial(measured_note, height=None)),
    "observation-lab": (
        full_result,
        *(partial(bare_result, status=status) for status in ("pending", "preliminary", "corrected", "cancelled")),
        partial(bare_result, value_type="SN", result_value=">= 1000", unit="[arb'U]", flagged_critical=True),
        partial(bare_result, value_type="CWE", result_value="Detected", abnormal_flag="abnormal"),
        partial(bare_result, value_type="TX", result_value="Growth of\nE. coli"),
        partial(bare_result, value_type="NM", result_value=".5", numeric_value=Decimal("0.5"), unit="%"),
    ),
})  # fmt: skip
