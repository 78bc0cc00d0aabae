"""Holds the sweeps of visits, prescriptions and staff as the beat starts them: they beat, and twice is once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.core.models import Alert, Clinic, Heartbeat
from backend.apps.employees.models import Employee
from backend.apps.employees.tests.balance_factories import make_time_off_policy
from backend.apps.employees.tests.factories import make_employee
from backend.apps.prescriptions.tests.factories import make_prescription, make_refill
from workers import missed_visits, one_by_one, prescriptions, staff
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db


def test_missed_visits_are_marked_by_the_beat_and_a_visit_that_cannot_be_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    visits = [
        make_appointment(patient=make_reachable_patient(), appointment_datetime=timezone.now() - timedelta(hours=hours))
        for hours in (3, 4, 5)
    ]
    mark = services.mark_no_show

    def breaks(visit: Appointment, **given: object) -> Appointment:
        if visit.pk == visits[1].pk:
            raise KeyError(visit.patient.last_name)
        return mark(visit, **given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(services, "mark_no_show", breaks)
    with pytest.raises(HandlerBug, match=r"^KeyError in visits.mark_no_shows$"):
        missed_visits.mark_no_shows()
    assert f"visits.mark_no_shows {visits[1].pk}: KeyError in its handler\n" in caplog.text
    assert "in breaks" in caplog.text
    assert visits[1].patient.last_name not in caplog.text
    assert Heartbeat.objects.get(entry="mark no-shows").failures == 1
    assert Appointment.objects.filter(status="no_show").count() == 2
    monkeypatch.undo()
    assert [missed_visits.mark_no_shows() for _ in range(2)] == ["marked 1", "marked 0"]
    assert Heartbeat.objects.get(entry="mark no-shows").runs == 2


def test_what_does_not_fit_into_the_time_of_a_run_is_left_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_by_one, "BUDGET_S", -1.0)
    assert one_by_one.one_by_one("test", [uuid4()], lambda _: {"done": 1}) == {}


def test_prescriptions_expire_by_the_beat() -> None:
    yesterday = Clinic.today() - timedelta(days=1)
    make_prescription(prescribed_date=yesterday - timedelta(days=9), expiration_date=yesterday)
    assert [prescriptions.expire() for _ in range(2)] == ["expired 1", "expired 0"]
    assert Heartbeat.objects.get(entry="expire prescriptions").runs == 2


def test_requests_for_refills_are_watched_by_the_beat() -> None:
    make_refill(requested_date=timezone.now() - timedelta(days=2))
    assert [prescriptions.refills_waiting() for _ in range(2)] == ["told 1, cleared 0"] * 2
    assert Alert.objects.count() == Heartbeat.objects.get(entry="refill requests waiting").runs - 1 == 1


def test_paid_days_are_booked_and_checked_by_the_beat() -> None:
    make_time_off_policy(begins_on=Clinic.today().replace(day=1))
    employee = make_employee()
    assert staff.accrue() == "accrual 1, opening 1; 0 do not add up"
    Employee.objects.filter(pk=employee.pk).update(pto_balance=Decimal(3))
    assert staff.accrue() == "nothing to book; 1 do not add up"
    assert Heartbeat.objects.get(entry="time-off balances").runs == 2


def test_balances_are_checked_where_the_days_of_one_file_cannot_be_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    make_time_off_policy(begins_on=Clinic.today().replace(day=1))
    booked = make_employee()
    staff.accrue()
    Employee.objects.filter(pk=booked.pk).update(pto_balance=Decimal(3))
    make_employee()

    def breaks(*_: object, **__: object) -> None:
        raise KeyError

    monkeypatch.setattr(staff.balances, "catch_up", breaks)
    with pytest.raises(HandlerBug, match=r"^KeyError in staff.accrue$"):
        staff.accrue()
    assert Alert.objects.filter(cause__startswith="paid days:").count() == 1


def test_reviews_that_are_due_are_told_by_the_beat() -> None:
    make_employee()
    assert [staff.tell_reviews_due() for _ in range(2)] == ["told 1, cleared 0"] * 2
    assert Heartbeat.objects.get(entry="reviews due").runs == 2
