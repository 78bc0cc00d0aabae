"""Proves that the demo knows what a whole export holds; without it, it would call one whole that lacks something."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
from django.db.models.functions import Now

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.doctors.models import Doctor
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.tests.fhir.makers_of_papers import amendment, signed_note
from backend.apps.laboratory.tests.factories import make_lab_result
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_prescription
from tests.support.stage import database_url
from tests.workers import exporting
from tests.workers.exporting import carried_out, lines
from workers.cli import demo_fhir

folder = exporting.folder
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung", "folder")]


def test_the_demo_counts_in_the_tables_what_a_whole_export_holds() -> None:
    """Also of who was removed, of who was merged, of a doctor who left and of a note that was amended."""
    for make in (make_appointment, make_lab_result, make_prescription, make_patient_insurance, make_claim):
        kept, removed = make(), make()
        Patient.objects.filter(pk=_about(removed)).update(is_deleted=True, deleted_at=Now())
        into = make_patient()
        Patient.objects.filter(pk=_about(kept)).update(is_deleted=True, deleted_at=Now(), merged_into=into)
    first = signed_note()
    amendment(amendment(first))
    Patient.objects.filter(pk=signed_note().patient_id).update(is_deleted=True, deleted_at=Now())
    Doctor.objects.filter(pk=first.doctor_id).update(is_deleted=True, deleted_at=Now())
    job = carried_out(Asked(types=tuple(demo_fhir.SQL)))
    with psycopg.connect(database_url()) as database:
        assert Counter(line["resourceType"] for line in lines(job)) == demo_fhir.counted(database)


def _about(row: Any) -> Any:
    """Return the key of the patient of a row."""
    for name in ("lab_order", "patient_insurance"):
        row = getattr(row, name, row)
    return row.patient_id
