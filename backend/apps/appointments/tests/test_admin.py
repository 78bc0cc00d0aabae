"""Holds that the admin books by the same rules as the API and never shows what the role table denies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import (
    free_time,
    make_appointment,
    make_reachable_patient,
    make_reminder,
)
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

pytestmark = pytest.mark.django_db

LIST = "/admin/appointments/appointment/"
REMINDERS = "/admin/appointments/appointmentreminder/"


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def form(**over: Any) -> dict[str, Any]:
    when = over.pop("when", None) or free_time()
    fields = {
        "patient": make_reachable_patient().pk,
        "doctor": make_always_available(make_doctor()).pk,
        "appointment_type": "consultation",
        "appointment_datetime_0": f"{when:%Y-%m-%d}",
        "appointment_datetime_1": f"{when:%H:%M:%S}",
        "duration_minutes": 30,
    }
    return {**fields, **over}


@pytest.mark.parametrize("url", [LIST, REMINDERS])
def test_the_desk_lists_and_searches(url: str) -> None:
    reminder = make_reminder()
    make_reminder()
    number = reminder.appointment.patient.medical_record_number
    answer = search(signed_in("receptionist"), url, number)
    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) == 1
    assert signed_in("pharmacist").get(url).status_code == 403


def test_a_booking_in_the_admin_plans_its_reminders() -> None:
    answer = signed_in("receptionist").post(f"{LIST}add/", form())
    assert answer.status_code == 302
    row = Appointment.objects.get()
    assert (row.status, row.duration_minutes) == ("scheduled", 30)
    assert AppointmentReminder.objects.filter(appointment=row).count() == 4


def test_a_booking_that_the_rules_refuse_is_refused_with_the_sentence() -> None:
    client = signed_in("receptionist")
    answer = client.post(f"{LIST}add/", form(when=timezone.now() - timedelta(days=2)), follow=True)
    assert "This time has passed" in answer.content.decode()
    taken = make_appointment(doctor=make_always_available(make_doctor()))
    answer = client.post(f"{LIST}add/", form(doctor=taken.doctor_id, when=taken.appointment_datetime), follow=True)
    assert "The doctor already has an appointment at that time." in answer.content.decode()
    assert Appointment.objects.count() == 1


def test_a_move_in_the_admin_raises_the_version_and_plans_anew() -> None:
    client = signed_in("receptionist")
    client.post(f"{LIST}add/", form())
    row = Appointment.objects.get()
    moved = form(
        patient=row.patient_id,
        doctor=row.doctor_id,
        when=row.appointment_datetime + timedelta(days=1),
    )
    assert client.post(f"{LIST}{row.pk}/change/", moved).status_code == 302
    stored = Appointment.objects.get(pk=row.pk)
    assert (stored.version, stored.appointment_datetime) == (2, row.appointment_datetime + timedelta(days=1))
    assert AppointmentReminder.objects.filter(appointment=row, status="pending", appointment_version=2).count() == 4


def test_nobody_deletes_an_appointment_or_writes_a_reminder() -> None:
    client, reminder = signed_in("admin"), make_reminder()
    assert client.post(f"{LIST}{reminder.appointment_id}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{REMINDERS}add/").status_code == 403
    assert client.post(f"{REMINDERS}{reminder.pk}/change/", {"reminder_type": "push"}).status_code == 403
    assert client.get(f"{REMINDERS}{reminder.pk}/change/").status_code == 200
