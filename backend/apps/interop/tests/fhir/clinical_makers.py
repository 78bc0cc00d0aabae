"""Makes rows of the clinical record for every source of it; see makers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.laboratory.models import LabOrder, LabResult
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


def seen_order(**over: Any) -> LabOrder:
    """Save an order of one LOINC test, placed at a visit the patient came to."""
    visit = make_appointment(status="completed", checked_in_at=NOON)
    test = make_lab_test(code_system="loinc", test_code="2823-3")
    fields = {"patient": visit.patient, "doctor": visit.doctor, "appointment": visit, "tests": [test]}
    return make_lab_order(**{"status": "completed", **fields, **over})


def full_result(**over: Any) -> LabResult:
    """Save a finding with all that a laboratory may say of it: a panel, its only specimen, codes of two systems."""
    order = over.pop("lab_order", None) or seen_order()
    panel = make_panel(order)
    make_lab_specimen(lab_order=order, panel=panel)
    fields = {
        "panel": panel,
        "source_message": make_inbound_message(feed=make_lab_feed()),
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


MAKERS: Mapping[str, tuple[Callable[[], Any], ...]] = MappingProxyType({
    "observation-lab": (
        full_result,
        *(partial(bare_result, status=status) for status in ("pending", "preliminary", "corrected", "cancelled")),
        partial(bare_result, value_type="SN", result_value=">= 1000", unit="[arb'U]", flagged_critical=True),
        partial(bare_result, value_type="CWE", result_value="Detected", abnormal_flag="abnormal"),
        partial(bare_result, value_type="TX", result_value="Growth of\nE. coli"),
        partial(bare_result, value_type="NM", result_value=".5", numeric_value=Decimal("0.5"), unit="%"),
    ),
})  # fmt: skip
