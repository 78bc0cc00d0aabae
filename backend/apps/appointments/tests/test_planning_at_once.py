"""Holds that whoever plans a visit at the same moment as others ends with the same reminders, as its patient is now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments import reminders, replanning, services
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderPolicy
from backend.apps.appointments.planning import Planner
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.patients import services as patients
from backend.apps.patients.models import Patient
from tests.support.races import at_once, wait_until_waited_for

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2027, 6, 1, 16, tzinfo=UTC)  # twelve o'clock in New York
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def book() -> Appointment:
    doctor, start = make_always_available(make_doctor()), NOON + 20 * DAY
    return services.book(by=None, patient=make_reachable_patient(), doctor=doctor, appointment_datetime=start)


def text_of(row: Appointment) -> AppointmentReminder:
    return AppointmentReminder.objects.get(appointment=row, offset_minutes=1440, status="pending")


def hour_there(row: Appointment) -> int:
    """Return at which hour of the patient's clock the text is sent."""
    zone = Clinic(time_zone=Patient.objects.get(pk=row.patient_id).time_zone).zone
    return text_of(row).scheduled_send_time.astimezone(zone).hour


def test_chunks_that_are_planned_at_once_leave_nobody_out_and_no_table_at_all_means_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reminders, "CHUNK", 1)
    ReminderPolicy.all_objects.all()._raw_delete(using="default")
    rows = [make_appointment(patient=make_reachable_patient()) for _ in range(5)]
    assert reminders.plan_all(Appointment.objects.all(), now=timezone.now()) == 20
    assert reminders.plan_all(rows, now=timezone.now()) == 0
    assert [row.reminders.filter(status="pending", work_state="waiting").count() for row in rows] == [4] * 5


def test_a_change_of_a_patient_does_not_wait_for_their_visit_and_whoever_holds_that_plans_by_it() -> None:
    row = book()

    def move() -> None:
        patients.correct(Patient.objects.get(pk=row.patient_id), by=None, time_zone="Pacific/Auckland")

    with transaction.atomic():
        held = Appointment.objects.select_for_update(no_key=True).get(pk=row.pk)  # as a confirmation begins
        assert at_once(move) == ["done"]
        assert text_of(row).scheduled_send_time == row.appointment_datetime - DAY
        services.confirm(held, by=None)
    text = text_of(row)
    assert (text.wording, text.appointment_version) == ("reminder", 2)
    assert hour_there(row) == 19


def test_whoever_changes_a_visit_in_any_way_plans_it_by_what_its_patient_became_meanwhile() -> None:
    row = book()

    def move() -> None:
        patients.correct(Patient.objects.get(pk=row.patient_id), by=None, time_zone="Pacific/Auckland")

    with transaction.atomic():
        held = Appointment.objects.select_for_update(no_key=True).get(pk=row.pk)
        assert at_once(move) == ["done"]
        services.change(held, by=None, reason="Back pain")
    assert hour_there(row) == 19


def test_planning_many_visits_holds_their_patients_and_reads_them_only_then() -> None:
    row, planner, now = book(), Planner.load(), timezone.now()

    def plan() -> None:
        replanning.bring_in_line([row.pk], planner, now=now)

    @transaction.atomic
    def hold_patient() -> None:
        Patient.objects.select_for_update(nowait=True, no_key=True).get(pk=row.patient_id)

    planned = threading.Thread(target=lambda: (plan(), connection.close()))
    with transaction.atomic():
        Appointment.objects.filter(pk=row.pk).update(reason="Back pain")
        planned.start()
        wait_until_waited_for()
        at_once(lambda: Patient.objects.filter(pk=row.patient_id).update(time_zone="Pacific/Auckland"))
    planned.join(10)
    assert hour_there(row) == 19
    with transaction.atomic():
        plan()
        assert at_once(hold_patient) == ["OperationalError"]
    assert at_once(hold_patient) == ["done"]


def test_counting_what_a_table_would_change_holds_nobody_up() -> None:
    row = book()

    @transaction.atomic
    def hold() -> None:
        Appointment.objects.select_for_update(nowait=True, no_key=True).get(pk=row.pk)
        AppointmentReminder.objects.select_for_update(nowait=True).get(pk=text_of(row).pk)

    with transaction.atomic():
        assert reminders.replan_ahead(dry_run=True).visits == 1
        assert at_once(hold) == ["done"]
