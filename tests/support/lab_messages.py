"""Writes and stores small results as a laboratory sends them; without it each test would invent its own HL7."""

from __future__ import annotations

from typing import Any

from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message
from backend.apps.patients.models import Patient


def oru(
    *patients: Patient, status: str = "F", value: str = "4.1", minute: int = 0, flag: str = "N", **over: Any
) -> InboundMessage:
    """Save a message with one potassium result for each of `patients`, from the same specimen each time."""
    lines = [f"MSH|^~\\&|LIS|LAB|CR|CLINIC|2026030213{minute:02d}00||ORU^R01|M{minute}{status}{value}|P|2.5.1"]
    for place, patient in enumerate(patients, start=1):
        born = f"{patient.date_of_birth:%Y%m%d}"
        name = f"{patient.last_name}^{patient.first_name}"
        lines += [
            f"PID|{place}||{patient.medical_record_number}^^^CLINIC^MR||{name}||{born}|F",
            f"OBR|1||F{patient.medical_record_number}|24323-8^Panel^LN|||202603021200|||||||||||||||202603021{minute:03d}"
            f"|||{status}",
            f"OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L|3.5-5.1|{flag}|||{status}",
        ]
    return make_inbound_message("\r".join(lines).encode(), **over)
