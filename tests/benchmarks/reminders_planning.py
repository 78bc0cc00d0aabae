"""Measures planning a million visits' reminders, and finding the due ones among them."""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import reminders
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.core import resealing
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.models import Patient
from tests.benchmarks.bars import Bar, tell
from tests.support import reminder_load

VISITS = int(os.environ.get("BENCH_VISITS", "1000000"))
PATIENTS, DOCTORS = max(VISITS // 10, 200), 200
BAR_S, BAR_MB, BAR_MS = 120.0, 100, 10.0
WARM_UP, LEASES = 5000, 20

PATIENT_ROWS = """
    INSERT INTO patients_patient (id, created_at, updated_at, is_deleted, medical_record_number, first_name, last_name,
        date_of_birth, gender, phone, email, address_line1, address_line2, city, state, postal_code, country,
        emergency_contact_name, emergency_contact_phone, emergency_contact_relationship, insurance_info, time_zone,
        preferred_language, sms_consent, sms_consent_at, email_consent, email_consent_at, demographics_as_of)
    SELECT uuidv7(), now(), now(), false, 'PLAN' || place, 'Person', 'Load', '1980-05-17', 'unknown',
        '+1415' || 2000000 + place, 'p' || place || '@example.org', '', '', '', '', '', 'US', '', '', '', '{}', '',
        'en', true, now(), true, now(), '{}'
    FROM generate_series(1, %(patients)s) place"""
VISIT_ROWS = """
    WITH who AS (SELECT id, row_number() OVER () - 1 AS place FROM patients_patient),
         by AS (SELECT id, row_number() OVER () - 1 AS place FROM doctors_doctor)
    INSERT INTO appointments_appointment (id, created_at, updated_at, is_deleted, patient_id, doctor_id, status,
        appointment_type, appointment_datetime, duration_minutes, location, reason, cancellation_reason,
        availability_override_reason, version)
    SELECT uuidv7(), now(), now(), false, who.id, by.id, 'scheduled', 'consultation',
        date_trunc('hour', now()) + interval '8 days' + (number / %(doctors)s) * interval '15 minutes', 15, '', '', '',
        '', 1
    FROM generate_series(0, %(visits)s - 1) number
    JOIN who ON who.place = number %% %(patients)s JOIN by ON by.place = number %% %(doctors)s"""


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    """Plan every visit of a clinic that never had reminders, then lease among what is pending."""
    written_s = clinic()
    print(f"{VISITS:,} visits of {PATIENTS:,} patients written in {written_s:.0f} s (not measured)")
    reminders.plan_all(Appointment.objects.order_by("pk")[:WARM_UP], now=timezone.now())
    gc.freeze()  # as `reminders plan` does
    before_mb, began = peak_mb(), time.perf_counter()
    planned = reminders.plan_all(Appointment.objects.all(), now=timezone.now())
    took_s, grown_mb = time.perf_counter() - began, peak_mb() - before_mb
    pending = AppointmentReminder.objects.filter(status="pending").count()
    print(f"{planned:,} reminders planned in {took_s:.1f} s ({planned / took_s:,.0f}/s), {pending:,} pending")
    per_million_s = took_s * 1_000_000 / VISITS
    return [
        Bar(f"planning {VISITS:,} visits", f"{BAR_S:.0f} s a million", f"{per_million_s:.0f} s", per_million_s < BAR_S),
        Bar("memory it needs more", f"{BAR_MB} MB", f"{grown_mb:.0f} MB", grown_mb < BAR_MB),
        due_query(pending),
    ]


def clinic() -> float:
    reminder_load.clear()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE doctors_doctor CASCADE")  # another benchmark may have left some
    for _ in range(DOCTORS):
        make_doctor()
    began = time.perf_counter()
    with connection.cursor() as cursor:
        asked = {"patients": PATIENTS, "doctors": DOCTORS, "visits": VISITS}
        cursor.execute(PATIENT_ROWS, asked)
        cursor.execute(VISIT_ROWS, asked)
    resealing.seal_all(Patient)  # they were written as an upgrade finds them
    reminder_load.vacuum()
    return time.perf_counter() - began


def due_query(pending: int) -> Bar:
    """Lease a hundred of which some are due, each time rolled back; show how PostgreSQL finds them."""
    connection.cursor().execute(
        "UPDATE appointments_appointmentreminder SET due_at = now() - interval '1 minute' WHERE id IN "
        "(SELECT id FROM appointments_appointmentreminder LIMIT 1000)"
    )
    reminder_load.vacuum()
    took = []
    for _ in range(LEASES):
        with rolled_back():
            began = time.perf_counter()
            found = AppointmentReminder.work.lease(100)
            took.append(1000 * (time.perf_counter() - began))
            assert len(found) == 100, len(found)
    with rolled_back(), CaptureQueriesContext(connection) as asked:  # not while time is taken: it costs a fifth
        AppointmentReminder.work.lease(100)
    explain(asked.captured_queries[-1]["sql"])
    middle = statistics.median(took)
    return Bar(f"leasing 100 of {pending:,} pending", f"{BAR_MS:.0f} ms", f"{middle:.1f} ms", middle < BAR_MS)


def explain(sql: str) -> None:
    with rolled_back(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) {sql}")
        for (line,) in cursor.fetchall():
            print(f"    {line}")


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def peak_mb() -> float:
    """Return the most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
