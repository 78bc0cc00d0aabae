"""Many visits with a reminder each that is due now; without it each test of speed or loss would make its own clinic."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core.bases import uuid7
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.models import Patient
from tests.support.clocks import zone_at

DAY = 1440
A_DOCTORS = 100  # visits of one doctor, five minutes apart
TABLES = (
    "appointments_appointmentreminder", "appointments_appointment", "messaging_patientlink", "messaging_providerevent",
    "messaging_stafftask", "messaging_sender", "patients_patient",
)  # fmt: skip
_numbers = itertools.count(1)


def due_texts(count: int, *, offset_minutes: int = DAY) -> list[str]:
    """Save `count` visits of as many patients, each with one text message that is due; return the numbers."""
    Clinic.objects.get_or_create(name="Elm Street Clinic", defaults={"phone": "+15185550100"})
    patients = reachable(count)
    doctors = [make_doctor() for _ in range(-(-count // A_DOCTORS))]
    visits = Appointment.objects.bulk_create(visit(patient, doctors, place) for place, patient in enumerate(patients))
    now = timezone.now()
    AppointmentReminder.objects.bulk_create(
        AppointmentReminder(
            appointment=one,
            appointment_version=one.version,
            offset_minutes=offset_minutes,
            reminder_type="sms",
            wording="ask_to_confirm",
            lane=1,
            scheduled_send_time=now,
            useful_until=now + timedelta(hours=5),
            due_at=now - timedelta(seconds=1),
            dedupe_key=f"load:{uuid7()}",
        )
        for one in visits
    )
    return [patient.phone for patient in patients]


def reachable(count: int) -> list[Patient]:
    """Save patients who agreed to text messages, each with a number of their own."""
    now, first = timezone.now(), next(_numbers)
    places = range(first, first + count)
    for _ in range(count - 1):
        next(_numbers)
    return Patient.objects.bulk_create(
        Patient(
            medical_record_number=f"LOAD{place:08d}",
            first_name="Person",
            last_name="Load",
            date_of_birth=date(1980, 5, 17),
            phone=f"+1415{5550000 + place:07d}" if place < 4_000_000 else f"+1628{place:07d}",
            time_zone=zone_at(),
            sms_consent=True,
            sms_consent_at=now,
        )
        for place in places
    )


def visit(patient: Patient, doctors: Sequence[Doctor], place: int) -> Appointment:
    """Return a visit of tomorrow that no other of its doctor overlaps."""
    start = timezone.now().replace(second=0, microsecond=0) + timedelta(hours=23)
    return Appointment(
        patient=patient,
        doctor=doctors[place // A_DOCTORS],
        appointment_datetime=start + timedelta(minutes=5 * (place % A_DOCTORS)),
        duration_minutes=5,
    )


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def vacuum() -> None:
    """Do what autovacuum does once a minute: PostgreSQL plans by the sizes it finds then."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")


def rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
