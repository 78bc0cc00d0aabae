"""Proves that a visit nobody came to is marked once, late too, and that the desk can take it back with a reason."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments import missed, no_shows, services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.messaging.models import PatientMessage, StaffTask
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
JUST_LONG_ENOUGH = timedelta(minutes=90)  # 30 of the visit, and 60


def over(ago: timedelta = timedelta(hours=3), **fields: Any) -> Appointment:
    fields.setdefault("patient", None)
    patient = fields.pop("patient") or make_reachable_patient()
    return make_appointment(patient=patient, appointment_datetime=timezone.now() - ago, **fields)


def sweep() -> int:
    return sum(missed.mark(pk) for pk in list(missed.due()))


def status(visit: Appointment) -> str:
    return Appointment.objects.get(pk=visit.pk).status


def test_who_is_awaited_long_after_the_end_is_marked_once_and_written_to_once() -> None:
    visits = [over(JUST_LONG_ENOUGH), over(status="confirmed")]
    reminder = make_reminder(appointment=visits[0])
    assert (sweep(), sweep()) == (2, 0)
    assert {status(visit) for visit in visits} == {"no_show"}
    reminder.refresh_from_db()
    assert reminder.status == "superseded"
    assert {message.subject_id for message in PatientMessage.objects.all()} == {visit.pk for visit in visits}


def test_who_is_here_or_may_still_come_is_left_alone() -> None:
    kept = [over(status=status) for status in ("checked_in", "in_progress", "completed", "cancelled")]
    kept += [over(JUST_LONG_ENOUGH - timedelta(minutes=1)), over(duration_minutes=180), make_appointment()]
    kept.append(over())
    kept[-1].delete()
    assert sweep() == 0
    assert {row.status for row in Appointment.all_objects.all()}.isdisjoint({"no_show"})


def test_after_days_of_downtime_a_patient_is_written_to_once_about_the_last_visit_and_not_about_old_ones() -> None:
    often, long_ago = make_reachable_patient(), over(timedelta(days=9))
    visits = [over(timedelta(days=days), patient=often) for days in (8, 2, 1)]
    assert sweep() == 4
    assert {status(visit) for visit in [*visits, long_ago]} == {"no_show"}
    assert PatientMessage.objects.get().subject_id == visits[-1].pk


def test_who_cannot_be_written_to_is_one_call_for_the_desk() -> None:
    patient = make_patient()
    for days in (2, 1):
        over(timedelta(days=days), patient=patient)
    sweep()
    assert StaffTask.objects.get().patient == patient


def test_a_sweep_that_dies_leaves_the_visit_awaited_and_the_next_marks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    visit = over()
    reminder = make_reminder(appointment=visit)

    def dies(_visit: Appointment) -> None:
        raise RuntimeError

    monkeypatch.setattr(no_shows, "follow_up", dies)
    with pytest.raises(RuntimeError):
        sweep()
    reminder.refresh_from_db()
    assert (status(visit), reminder.status, PatientMessage.objects.count()) == ("scheduled", "pending", 0)
    monkeypatch.undo()
    assert sweep() == 1
    assert PatientMessage.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_visit_somebody_has_in_hand_is_neither_marked_nor_waited_for() -> None:
    visit, marked = over(), list[bool]()

    def mark() -> None:
        marked.append(missed.mark(visit.pk))
        connection.close()

    with transaction.atomic():
        row = Appointment.objects.select_for_update().get(pk=visit.pk)
        services.check_in(row, by=None)
        thread = threading.Thread(target=mark)
        thread.start()
        thread.join(30)
    assert (marked, status(visit)) == ([False], "checked_in")


def test_who_came_after_all_is_not_written_to_and_the_reason_is_written_down() -> None:
    desk, visit = make_user("receptionist"), over()
    sweep()
    url = f"/api/v1/appointments/{visit.pk}/came_after_all/"
    assert client_for(visit.patient.user or make_user("patient")).post(url, {"reason": "I came."}).status_code == 403
    assert client_for(desk).post(url, {}).status_code == 400
    answer = client_for(desk).post(url, {"reason": "Went straight to the lab.", "is_over": True})
    assert (answer.status_code, answer.data["status"]) == (200, "completed")
    assert PatientMessage.objects.get().status == "superseded"
    noted = AuditLog.objects.get(action="came_after_all.reason")
    assert (noted.user_id, noted.patient_id, noted.resource_id) == (desk.pk, visit.patient_id, str(visit.pk))
    assert noted.detail["reason"] == "Went straight to the lab."
    assert client_for(desk).post(url, {"reason": "Again."}).status_code == 422


def test_of_another_visit_that_was_missed_the_patient_hears_then() -> None:
    patient = make_reachable_patient()
    earlier, later = (over(timedelta(hours=hours), patient=patient) for hours in (9, 4))
    sweep()
    missed.came_after_all(Appointment.objects.get(pk=later.pk), by=None, reason="Was here.", is_over=True)
    waiting = PatientMessage.objects.get(status="pending")
    assert waiting.subject_id == earlier.pk


def test_the_call_about_who_came_after_all_is_off_the_desk() -> None:
    visit = over(patient=make_patient())
    sweep()
    missed.came_after_all(Appointment.objects.get(pk=visit.pk), by=make_user("nurse"), reason="Sat in the hall.")
    assert StaffTask.objects.get().done_at is not None


def test_a_time_that_is_anothers_by_now_is_only_told_as_over() -> None:
    doctor = make_doctor()
    visit = over(doctor=doctor, status="no_show")
    over(doctor=doctor, status="in_progress")
    with pytest.raises(Conflict, match="already has an appointment"):
        missed.came_after_all(Appointment.objects.get(pk=visit.pk), by=None, reason="Here.")
    with pytest.raises(DomainError, match="how it is known"):
        missed.came_after_all(Appointment.objects.get(pk=visit.pk), by=None, reason=" ")
    missed.came_after_all(Appointment.objects.get(pk=visit.pk), by=None, reason="Here.", is_over=True)
    assert status(visit) == "completed"


def test_of_a_visit_of_long_ago_it_is_only_told_that_it_is_over() -> None:
    visits = [over(timedelta(days=days, hours=3), status="no_show") for days in (29, 31)]
    for visit, is_over in zip(visits, (False, True), strict=True):
        row = Appointment.objects.get(pk=visit.pk)
        if is_over:
            with pytest.raises(DomainError, match="more than 30 days ago"):
                missed.came_after_all(row, by=None, reason="The chart says so.")
        missed.came_after_all(row, by=None, reason="The chart says so.", is_over=is_over)
    assert [status(visit) for visit in visits] == ["checked_in", "completed"]


def test_a_visit_that_was_missed_is_not_checked_in_without_a_reason() -> None:
    with pytest.raises(DomainError, match="came after all"):
        services.check_in(over(status="no_show"), by=None)
