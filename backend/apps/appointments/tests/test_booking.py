"""Holds the rules of booking: not in the past, inside the doctor's hours, nobody in two places, the race included."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.races import wait_until_waited_for


def open_doctor(**over: Any) -> Doctor:
    return make_always_available(make_doctor(**over))


def book(**over: Any) -> Appointment:
    over.setdefault("doctor", None)
    over.setdefault("patient", None)
    fields = {
        "by": None,
        "appointment_datetime": free_time(),
        **over,
        "doctor": over["doctor"] or open_doctor(),
        "patient": over["patient"] or make_patient(),
    }
    return services.book(**fields)


@pytest.mark.django_db
class TestTime:
    def test_a_booked_visit_is_stored_with_its_end(self) -> None:
        row = Appointment.objects.get(pk=book(duration_minutes=45).pk)
        assert row.status == "scheduled"
        assert row.ends_at == row.end_datetime == row.appointment_datetime + timedelta(minutes=45)

    def test_the_end_follows_every_change_whoever_makes_it(self) -> None:
        row = make_appointment(duration_minutes=30)
        Appointment.objects.filter(pk=row.pk).update(duration_minutes=480)
        stored = Appointment.objects.get(pk=row.pk)
        assert stored.ends_at == row.appointment_datetime + timedelta(hours=8)

    def test_a_past_time_is_refused_but_may_be_imported(self) -> None:
        past = timezone.now() - timedelta(minutes=1)
        with pytest.raises(DomainError, match="has passed"):
            book(appointment_datetime=past)
        assert book(appointment_datetime=past, imported=True).pk

    def test_a_year_that_cannot_be_right_is_refused(self) -> None:
        with pytest.raises(DomainError, match="two years"):
            book(appointment_datetime=timezone.now() + timedelta(days=900))
        with pytest.raises(ValidationError, match="year"):
            book(appointment_datetime=datetime(9999, 12, 31, 23, 59, tzinfo=UTC), imported=True)

    @pytest.mark.parametrize("minutes", [0, 4, 481])
    def test_a_duration_outside_5_to_480_minutes_is_refused_by_python_and_by_the_database(self, minutes: int) -> None:
        with pytest.raises(ValidationError):
            book(duration_minutes=minutes)
        with pytest.raises(IntegrityError, match="duration"):
            make_appointment(duration_minutes=minutes)

    @pytest.mark.parametrize("minutes", [5, 480])
    def test_the_shortest_and_the_longest_visit_can_be_booked(self, minutes: int) -> None:
        assert book(duration_minutes=minutes).end_datetime

    def test_today_is_today_at_the_clinic(self) -> None:
        Clinic.objects.create(name="West", time_zone="Pacific/Honolulu")
        row = Appointment(appointment_datetime=datetime(2026, 3, 3, 5, tzinfo=UTC))  # 2 March, 19:00 in Honolulu
        with time_machine.travel(datetime(2026, 3, 2, 12, tzinfo=UTC)):  # 2 March, 2:00 in Honolulu
            assert row.is_today
        with time_machine.travel(datetime(2026, 3, 3, 12, tzinfo=UTC)):
            assert not row.is_today


@pytest.mark.django_db
class TestHours:
    def test_a_time_outside_the_doctors_hours_is_refused(self) -> None:
        with pytest.raises(DomainError, match="does not see patients"):
            book(doctor=make_doctor())

    def test_a_reason_opens_a_time_outside_the_hours_and_stays_on_the_row(self) -> None:
        user = make_user()
        row = book(doctor=make_doctor(), by=user, availability_override_reason=" emergency ")
        stored = Appointment.objects.get(pk=row.pk)
        assert stored.availability_override_reason == "emergency"
        assert stored.availability_overridden_by == user

    def test_a_reason_of_blanks_is_no_reason(self) -> None:
        with pytest.raises(DomainError, match="does not see patients"):
            book(doctor=make_doctor(), availability_override_reason="   ")

    def test_a_doctor_who_takes_no_new_patients_still_sees_known_ones(self) -> None:
        doctor, patient = open_doctor(is_accepting_patients=False), make_patient()
        with pytest.raises(DomainError, match="new patients"):
            book(doctor=doctor, patient=patient)
        make_appointment(doctor=doctor, patient=patient, status="completed")
        assert book(doctor=doctor, patient=patient).pk

    def test_a_deleted_patient_is_not_booked(self) -> None:
        patient = make_patient()
        patient.delete()
        with pytest.raises(DomainError, match="no longer on file"):
            book(patient=patient)


@pytest.mark.django_db
class TestOneAtATime:
    def test_a_doctor_has_one_visit_at_a_time(self) -> None:
        first = book()
        with pytest.raises(Conflict, match="doctor already"):
            book(doctor=first.doctor, appointment_datetime=first.appointment_datetime + timedelta(minutes=29))
        assert Appointment.objects.count() == 1

    def test_a_patient_has_one_visit_at_a_time(self) -> None:
        first = book()
        with pytest.raises(Conflict, match="patient already"):
            book(patient=first.patient, appointment_datetime=first.appointment_datetime - timedelta(minutes=29))

    def test_a_visit_may_begin_the_moment_another_ends(self) -> None:
        first = book()
        assert book(doctor=first.doctor, patient=first.patient, appointment_datetime=first.end_datetime).pk

    @pytest.mark.parametrize("status", ["cancelled", "no_show", "completed"])
    def test_a_visit_that_is_over_holds_no_time(self, status: str) -> None:
        over = make_appointment(doctor=open_doctor(), status=status)
        assert book(doctor=over.doctor, appointment_datetime=over.appointment_datetime).pk

    @pytest.mark.parametrize("status", ["scheduled", "confirmed", "checked_in", "in_progress"])
    def test_a_visit_that_is_on_holds_its_time_against_raw_rows_too(self, status: str) -> None:
        held = make_appointment(status=status)
        twin = Appointment(doctor=held.doctor, patient=make_patient(), appointment_datetime=held.appointment_datetime)
        with pytest.raises(IntegrityError, match="doctor_once"), transaction.atomic():
            Appointment.objects.bulk_create([twin])

    def test_a_deleted_visit_holds_no_time(self) -> None:
        held = make_appointment()
        held.delete()
        assert make_appointment(doctor=held.doctor, appointment_datetime=held.appointment_datetime).pk

    def test_moving_a_visit_onto_another_is_refused_and_changes_nothing(self) -> None:
        first, second = book(), book()
        with pytest.raises(Conflict, match="doctor already"):
            services.change(second, by=None, doctor=first.doctor, appointment_datetime=first.appointment_datetime,
                            availability_override_reason="x")  # fmt: skip
        assert Appointment.objects.get(pk=second.pk).doctor == second.doctor


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run every job on a thread and connection of its own, started together; return what each returned or raised."""
    gate, results = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(place: int, job: Callable[[], Any]) -> None:
        try:
            gate.wait(timeout=10)
            results[place] = job()
        except DomainError as refusal:
            results[place] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results


@pytest.mark.django_db(transaction=True)
class TestRace:
    @pytest.mark.parametrize("who", ["doctor", "patient"])
    def test_of_many_simultaneous_bookings_exactly_one_wins(self, who: str) -> None:
        doctor, patient, when = open_doctor(), make_patient(), free_time()
        doctors = [doctor if who == "doctor" else open_doctor() for _ in range(6)]
        patients = [patient if who == "patient" else make_patient() for _ in range(6)]

        def job(place: int) -> Callable[[], Any]:
            start = when + timedelta(minutes=5 * place)  # every two of them overlap
            return lambda: book(doctor=doctors[place], patient=patients[place], appointment_datetime=start)

        results = at_once(*(job(place) for place in range(6)))
        refusals = [result for result in results if isinstance(result, Conflict)]
        assert len(refusals) == 5, results
        assert {str(refusal) for refusal in refusals} == {f"The {who} already has an appointment at that time."}
        assert Appointment.objects.count() == 1

    def test_the_database_alone_lets_one_of_two_raw_inserts_win(self) -> None:
        doctor, when, patients, refusals = make_doctor(), free_time(), [make_patient(), make_patient()], list[Any]()

        def insert(patient: Patient) -> None:
            Appointment.objects.create(doctor=doctor, patient=patient, appointment_datetime=when)

        def lose() -> None:
            try:
                insert(patients[1])
            except DatabaseError as refusal:
                refusals.append(refusal)
            finally:
                connection.close()

        second = threading.Thread(target=lose)
        with transaction.atomic():
            insert(patients[0])
            second.start()
            wait_until_waited_for()  # begun at the very same moment, PostgreSQL may call it a deadlock instead
        second.join(30)
        assert [type(refusal) for refusal in refusals] == [IntegrityError]
        assert Appointment.objects.get().patient == patients[0]

    def test_two_people_who_reschedule_one_visit_make_one_new_visit(self) -> None:
        old = book()

        def move(when: datetime) -> Callable[[], Any]:
            return lambda: services.reschedule(Appointment.objects.get(pk=old.pk), by=None, appointment_datetime=when)

        results = at_once(move(free_time()), move(free_time()))
        assert sum(isinstance(result, Appointment) for result in results) == 1
        assert Appointment.objects.filter(rescheduled_from=old).count() == 1

    def test_confirming_while_others_book_over_it_ends_without_a_deadlock(self) -> None:
        held = book()
        results = at_once(
            lambda: services.confirm(Appointment.objects.get(pk=held.pk), by=None),
            lambda: book(doctor=held.doctor, appointment_datetime=held.appointment_datetime),
            lambda: book(patient=held.patient, appointment_datetime=held.appointment_datetime),
        )
        assert [type(result).__name__ for result in results] == ["Appointment", "Conflict", "Conflict"]
