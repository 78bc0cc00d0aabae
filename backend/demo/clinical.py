"""What the doctors of the demo clinic did: notes, lab orders with results, prescriptions of every fifth visit."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from backend.apps.appointments.models import Appointment
from backend.apps.clinical_notes.models import ClinicalNote, SOAPNote
from backend.apps.doctors.models import Doctor
from backend.apps.laboratory.models import LabOrder, LabResult, LabTest
from backend.apps.prescriptions.models import Medication, Prescription
from backend.demo.people import CHUNK, Tell

ONE_VISIT_IN = 5
TESTS = (
    ("2823-3", "Potassium", "3.5", "5.1", "mmol/L", "chemistry"),
    ("2345-7", "Glucose", "70", "99", "mg/dL", "chemistry"),
    ("2160-0", "Creatinine", "0.6", "1.3", "mg/dL", "chemistry"),
    ("4548-4", "Hemoglobin A1c", "4.0", "5.6", "%", "chemistry"),
    ("718-7", "Hemoglobin", "12.0", "17.5", "g/dL", "hematology"),
    ("6690-2", "Leukocytes", "4.5", "11.0", "10*3/uL", "hematology"),
    ("777-3", "Platelets", "150", "400", "10*3/uL", "hematology"),
    ("3016-3", "Thyrotropin", "0.4", "4.0", "m[IU]/L", "immunology"),
)
MEDICATIONS = (
    ("00093-1048-01", "314076", "lisinopril", "10 mg", "antihypertensive"),
    ("00093-7214-01", "861007", "metformin", "500 mg", "antidiabetic"),
    ("00093-3109-05", "308192", "amoxicillin", "500 mg", "antibiotic"),
    ("00904-5853-60", "197805", "ibuprofen", "400 mg", "analgesic"),
    ("00093-0752-01", "197381", "atenolol", "50 mg", "antihypertensive"),
)


def catalog() -> tuple[list[LabTest], list[Medication]]:
    """Create the tests and medications the demo uses."""
    tests = [
        LabTest(
            test_code=code,
            test_name=name,
            normal_range_min=Decimal(low),
            normal_range_max=Decimal(high),
            unit_of_measure=unit,
            test_category=category,
            price=Decimal(25),
        )
        for code, name, low, high, unit, category in TESTS
    ]
    medications = [
        Medication(
            ndc_code=ndc, rxnorm_code=rxcui, generic_name=name, strength=strength, drug_class=kind, dosage_form="tablet"
        )
        for ndc, rxcui, name, strength, kind in MEDICATIONS
    ]
    return LabTest.objects.bulk_create(tests), Medication.objects.bulk_create(medications)


def create(tell: Tell) -> dict[str, int]:
    """Create what came of every fifth completed visit; return how many of each."""
    tests, medications = catalog()
    counts = {"results": 0, "prescriptions": 0, "notes": 0}
    for part in parts(Appointment.objects.filter(status="completed").select_related("doctor").order_by("pk")):
        visits = part[::ONE_VISIT_IN]
        counts["results"] += laboratory(visits, tests)
        counts["prescriptions"] += len(Prescription.objects.bulk_create(prescriptions(visits, medications)))
        counts["notes"] += notes(visits)
        tell(len(part))
    return counts


def parts(rows: QuerySet[Appointment]) -> Iterator[list[Appointment]]:
    """Yield all rows in lists of `CHUNK`, by key: memory stays flat at any size."""
    last = None
    while part := list((rows.filter(pk__gt=last) if last else rows)[:CHUNK]):
        yield part
        last = part[-1].pk


def laboratory(visits: list[Appointment], tests: list[LabTest]) -> int:
    rows = [
        result(made, test, visit.doctor.user_id)
        for visit, made in zip(visits, LabOrder.objects.bulk_create(map(order, visits)), strict=True)
        for test in random.Random(made.order_number).sample(tests, 2)  # noqa: S311  # made-up data
    ]
    LabOrder.tests.through.objects.bulk_create(
        LabOrder.tests.through(laborder_id=row.lab_order_id, labtest_id=row.lab_test_id) for row in rows
    )
    return len(LabResult.objects.bulk_create(rows))


def order(visit: Appointment) -> LabOrder:
    done = visit.appointment_datetime + timedelta(hours=20)
    return LabOrder(
        patient_id=visit.patient_id,
        doctor_id=visit.doctor_id,
        appointment=visit,
        status="completed",
        order_number=f"D{visit.pk.hex[-16:]}",
        order_date=visit.appointment_datetime,
        specimen_collected_at=visit.appointment_datetime,
        completed_at=done,
    )


def result(made: LabOrder, test: LabTest, doctor_user_id: UUID) -> LabResult:
    """Return a final result that scatters around the test's range, verified and released a day later."""
    low, high = float(test.normal_range_min or 0), float(test.normal_range_max or 1)
    value = round(random.Random(f"{made.pk}{test.pk}").gauss((low + high) / 2, (high - low) / 3), 1)  # noqa: S311  # made-up data
    key = f"{made.pk}:{test.test_code}"
    return LabResult(
        lab_order=made,
        lab_test=test,
        status="final",
        abnormal_flag="high" if value > high else "low" if value < low else "normal",
        result_value=str(value),
        numeric_value=Decimal(str(value)),
        value_type="NM",
        unit=test.unit_of_measure,
        reference_range=test.normal_range_display,
        result_date=made.completed_at,
        reported_at=made.completed_at,
        code_as_sent=test.test_code,
        code_system_as_sent="LN",
        verified_by_id=doctor_user_id,
        verified_at=made.completed_at,
        released_at=made.completed_at,
        result_key=sha256(key.encode()).hexdigest(),
        digest=sha256(f"{key}:{value}".encode()).hexdigest(),
    )


def prescriptions(visits: Iterable[Appointment], medications: list[Medication]) -> Iterator[Prescription]:
    for number, visit in enumerate(visits):
        on = visit.appointment_datetime.date()
        yield Prescription(
            patient_id=visit.patient_id,
            doctor_id=visit.doctor_id,
            medication=medications[number % len(medications)],
            appointment=visit,
            prescription_number=f"D{visit.pk.hex[-16:]}",
            prescribed_date=on,
            dosage="1 tablet",
            dose_quantity=1,
            dose_unit="{tablet}",
            frequency="once a day",
            quantity=30,
            refills_allowed=3,
            refills_remaining=3,
            expiration_date=on + timedelta(days=365),
        )


def notes(visits: list[Appointment]) -> int:
    made = ClinicalNote.objects.bulk_create(
        ClinicalNote(
            patient_id=visit.patient_id,
            doctor_id=visit.doctor_id,
            appointment=visit,
            chief_complaint="Check-up",
            content="Patient feels well.",
        )
        for visit in visits
    )
    dice = random.Random(2)  # noqa: S311  # made-up data
    SOAPNote.objects.bulk_create(
        SOAPNote(
            clinical_note=note,
            subjective="No complaints.",
            temperature=Decimal("36.8"),
            blood_pressure_systolic=dice.randrange(105, 150),
            blood_pressure_diastolic=dice.randrange(60, 95),
            heart_rate=dice.randrange(55, 95),
            respiratory_rate=dice.randrange(12, 20),
            oxygen_saturation=dice.randrange(94, 100),
            weight=Decimal(dice.randrange(50, 110)),
            height=Decimal(dice.randrange(150, 195)),
        )
        for note in made
    )
    return sign(made)


def sign(drafts: list[ClinicalNote]) -> int:
    """Sign each note as its doctor; only then are it and its parts closed."""
    author = Doctor.objects.filter(pk=OuterRef("doctor_id")).values("user_id")[:1]
    return ClinicalNote.objects.filter(pk__in=[note.pk for note in drafts]).update(
        is_signed=True, signed_at=Now(), signed_by=Subquery(author)
    )
