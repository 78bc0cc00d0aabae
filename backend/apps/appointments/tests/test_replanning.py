"""Holds that what is planned follows the visit, its patient and the table, and that nothing leaves twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import reminders, replanning, services
from backend.apps.appointments.models import Appointment, AppointmentReminder, ReminderPolicy
from backend.apps.appointments.tests.factories import (
    free_time,
    make_appointment,
    make_reachable_patient,
    make_reminder,
)
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.messaging.models import ContactRules
from backend.apps.patients import demographics
from backend.apps.patients import services as patients
from backend.apps.patients.models import ContactPoint, Patient

pytestmark = pytest.mark.django_db

NOON = datetime(2027, 6, 1, 16, tzinfo=UTC)  # twelve o'clock in New York
ALL = {(10080, "email"), (4320, "email"), (1440, "sms"), (120, "sms")}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def at_noon() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def book(*, start: datetime = NOON + 20 * DAY, patient: Patient | None = None, **more: Any) -> Appointment:
    return services.book(
        by=None,
        patient=patient or make_reachable_patient(),
        doctor=make_always_available(make_doctor()),
        appointment_datetime=start,
        **more,
    )


def live(appointment: Appointment) -> set[tuple[int, str]]:
    """Return (offset, channel) of the reminders that would still go out."""
    rows = AppointmentReminder.objects.filter(appointment=appointment, status="pending", work_state="waiting")
    return set(rows.values_list("offset_minutes", "reminder_type"))


def one(appointment: Appointment, minutes: int) -> AppointmentReminder:
    return AppointmentReminder.objects.get(appointment=appointment, offset_minutes=minutes, status="pending")


def sent(appointment: Appointment, minutes: int) -> AppointmentReminder:
    """Let a reminder have left, before its time as "send now" does."""
    row = one(appointment, minutes)
    row.mark_as_sent("x1")
    AppointmentReminder.objects.filter(pk=row.pk).update(work_state="done")
    return row


def everything() -> list[tuple[Any, ...]]:
    return list(AppointmentReminder.all_objects.order_by("pk").values_list())


class TestRows:
    def test_r01_a_row_holds_its_lane_its_words_its_end_and_its_start(self) -> None:
        row = book()
        start = row.appointment_datetime
        names = ("offset_minutes", "lane", "wording", "useful_until", "visit_starts_at", "due_at")
        assert list(AppointmentReminder.objects.order_by("offset_minutes").values_list(*names)) == [
            (120, 0, "soon", start - 1.5 * HOUR, start, start - 2 * HOUR),
            (1440, 1, "ask_to_confirm", start - 18 * HOUR, start, start - 24 * HOUR),
            (4320, 2, "reminder", start - 54 * HOUR, start, start - 72 * HOUR),
            (10080, 3, "reminder", start - 126 * HOUR, start, start - 168 * HOUR),
        ]
        reminder = one(row, 120)
        assert reminder.dedupe_key == f"reminder:{row.pk}:1:120:sms"
        reminder.full_clean(exclude=["appointment"])

    def test_planning_costs_the_same_however_many_rules_there_are(self, django_assert_max_num_queries: Any) -> None:
        row = make_appointment(patient=make_reachable_patient(), appointment_datetime=NOON + 20 * DAY)
        with django_assert_max_num_queries(9):  # clinic, rules, table, visit, points, rows, the COPY, a savepoint
            reminders.replan(row)
        assert live(row) == ALL

    def test_a_number_that_opted_out_is_reminded_by_mail(self) -> None:
        patient = make_reachable_patient()
        ContactPoint.objects.create(channel="sms", address=patient.phone, opted_out_at=NOON)
        assert live(book(patient=patient)) == {(minutes, "email") for minutes, _ in ALL}

    def test_r17_the_patients_hours_count_and_the_clinics_days(self) -> None:
        Clinic.objects.create(name="Elm Street Clinic", time_zone="America/New_York")
        row = book(patient=make_reachable_patient(time_zone="Pacific/Auckland"))  # noon is four in the morning there
        week, text = one(row, 10080), one(row, 1440)
        assert week.scheduled_send_time == row.appointment_datetime - 7 * DAY
        auckland = text.scheduled_send_time.astimezone(patient_zone(row))
        assert (auckland.hour, row.appointment_datetime - text.scheduled_send_time < 34 * HOUR) == (19, True)


def patient_zone(row: Appointment) -> Any:
    return Clinic(time_zone=row.patient.time_zone).zone


class TestMoves:
    @pytest.mark.parametrize("days", [-5, 5])
    def test_r03_a_move_earlier_or_later_supersedes_and_plans_anew(self, days: int) -> None:
        row = book()
        services.change(row, by=None, appointment_datetime=row.appointment_datetime + days * DAY)
        assert live(row) == ALL
        assert one(row, 1440).scheduled_send_time == row.appointment_datetime - DAY
        gone = AppointmentReminder.objects.filter(appointment=row, status="superseded")
        assert set(gone.values_list("appointment_version", "work_state")) == {(1, "done")}

    def test_r03_a_move_sends_again_what_told_the_old_time(self) -> None:
        row = book()
        sent(row, 1440)
        services.change(row, by=None, appointment_datetime=row.appointment_datetime + 2 * HOUR)
        assert live(row) == ALL

    @pytest.mark.parametrize("verb", ["change", "reschedule"])
    def test_r04_a_move_there_and_back_does_not_send_twice(self, verb: str) -> None:
        row = book()
        first = row.appointment_datetime
        sent(row, 1440)
        for moved in (first + 3 * DAY, first):
            row = getattr(services, verb)(row, by=None, appointment_datetime=moved)
        assert live(row) == ALL - {(1440, "sms")}
        waiting = AppointmentReminder.objects.filter(status="pending", work_state="waiting")
        assert waiting.count() == 3

    def test_r05_a_cancelled_visit_takes_its_reminders_along(self) -> None:
        row = book()
        services.cancel(row, by=None, reason="x")
        assert live(row) == set()
        assert not AppointmentReminder.work.overdue().exists()

    @pytest.mark.parametrize("name", ["location", "doctor"])
    def test_r08_another_room_or_doctor_refreshes_what_waits_and_repeats_nothing(self, name: str) -> None:
        row = book()
        sent(row, 10080)
        new = {"location": "Room 2", "doctor": make_always_available(make_doctor())}[name]
        services.change(row, by=None, **{name: new})
        assert live(row) == ALL - {(10080, "email")}
        waiting = AppointmentReminder.objects.filter(appointment=row, status="pending", work_state="waiting")
        assert set(waiting.values_list("appointment_version", flat=True)) == {row.version}

    @pytest.mark.parametrize("status", ["checked_in", "completed", "no_show"])
    def test_r09_who_came_or_did_not_come_is_not_reminded(self, status: str) -> None:
        row = book(start=NOON + 20 * DAY)
        Appointment.objects.filter(pk=row.pk).update(status=status)
        reminders.replan(row)
        assert live(row) == set()

    def test_r10_a_confirmation_takes_back_the_question_and_the_reminder_of_the_day(self) -> None:
        row = book()
        services.confirm(row, by=None)
        assert live(row) == ALL - {(120, "sms")}
        assert one(row, 1440).wording == "reminder"

    def test_r10_a_confirmation_repeats_nothing_that_left_before_its_time(self) -> None:
        row = book()
        sent(row, 1440)
        services.confirm(row, by=None)
        assert live(row) == {(10080, "email"), (4320, "email")}

    def test_r10_words_that_ask_no_longer_fit_a_confirmed_visit(self) -> None:
        reminder = make_reminder(wording="ask_to_confirm")
        assert reminders.why_not_wording(reminder) is None
        reminder.appointment.status = "confirmed"
        assert "confirmed" in str(reminders.why_not_wording(reminder))

    def test_what_staff_muted_stays_muted_when_the_visit_is_confirmed(self) -> None:
        row = book()
        AppointmentReminder.objects.filter(pk=one(row, 1440).pk).update(status="suppressed", work_state="done")
        services.confirm(row, by=None)
        assert live(row) == {(10080, "email"), (4320, "email")}

    def test_a_message_that_replaces_a_failed_one_stays_when_the_visit_is_confirmed(self) -> None:
        row = book()
        failed = one(row, 1440)
        AppointmentReminder.objects.filter(pk=failed.pk).update(status="failed", work_state="failed")
        instead = make_reminder(appointment=row, reminder_type="email", fallback_of=failed)
        services.confirm(row, by=None)
        instead.refresh_from_db()
        assert instead.status == "pending"
        assert live(row) == {(10080, "email"), (4320, "email"), (1440, "email")}
        services.change(row, by=None, appointment_datetime=row.appointment_datetime + HOUR)
        instead.refresh_from_db()
        assert instead.status == "superseded"

    def test_a_visit_booked_anew_at_the_time_of_a_cancelled_one_is_reminded_of_but_for_what_was_told(self) -> None:
        first = book()
        sent(first, 10080)
        for minutes, status in ((4320, "suppressed"), (1440, "failed"), (120, "superseded")):
            AppointmentReminder.objects.filter(pk=one(first, minutes).pk).update(status=status, work_state="done")
        services.cancel(first, by=None, reason="x")
        assert live(book(patient=first.patient)) == ALL - {(10080, "email")}

    def test_another_type_of_visit_is_reminded_of_by_its_own_rows(self) -> None:
        ReminderPolicy.objects.create(appointment_type="lab_work", offset_hours=48, channel="email")
        row = book()
        services.change(row, by=None, appointment_type="lab_work")
        assert (live(row), row.version) == ({(2880, "email")}, 1)

    def test_a_text_that_was_moved_to_the_evening_and_is_due_survives_a_replan(self, at_noon: Any) -> None:
        row = book(start=datetime(2027, 6, 21, 14, tzinfo=UTC))  # at ten; two hours before is eight in the morning
        text = one(row, 120)
        at_noon.move_to(text.scheduled_send_time + timedelta(seconds=10))
        reminders.replan(row)
        assert one(row, 120).scheduled_send_time == text.scheduled_send_time

    def test_r11_of_a_series_only_the_visit_that_changed_is_planned_anew(self) -> None:
        patient = make_reachable_patient()
        series = [book(start=NOON + (20 + 7 * week) * DAY, patient=patient) for week in range(4)]
        before = {row.pk: list(AppointmentReminder.objects.filter(appointment=row).values_list()) for row in series}
        services.change(series[1], by=None, appointment_datetime=series[1].appointment_datetime + DAY)
        for row in series:
            same = list(AppointmentReminder.objects.filter(appointment=row).values_list()) == before[row.pk]
            assert same is (row.pk != series[1].pk)

    def test_r12_an_imported_visit_of_the_past_sends_nothing(self) -> None:
        row = book(start=NOON - HOUR, imported=True)
        assert reminders.plan_all([row], now=timezone.now()) == 0
        assert not AppointmentReminder.objects.exists()

    def test_r13_a_reload_of_unchanged_visits_writes_nothing(self) -> None:
        rows = [book(start=NOON + 20 * DAY + place * HOUR) for place in range(20)]
        before = everything()
        with CaptureQueriesContext(connection) as asked:
            for row in rows:
                same = {name: getattr(row, name) for name in ("appointment_datetime", "doctor", "location", "reason")}
                services.change(row, by=None, **same)
        assert [query["sql"] for query in asked if "INSERT" in query["sql"] or "UPDATE" in query["sql"]] == []
        assert reminders.plan_all(Appointment.objects.all(), now=timezone.now()) == 0
        assert everything() == before


class TestPatients:
    def test_r07_a_merged_patient_is_reminded_once_and_as_the_record_that_stays(self) -> None:
        stays, goes = make_reachable_patient(sms_consent=False), make_reachable_patient()
        one_visit, other = book(patient=stays), book(patient=goes, start=NOON + 21 * DAY)
        assert (1440, "sms") in live(other)
        patients.merge(goes, by=None, into=stays)
        for row in (one_visit, other):
            assert live(row) == {(minutes, "email") for minutes, _ in ALL}
        pending = AppointmentReminder.objects.filter(status="pending")
        assert pending.count() == 8
        assert not pending.filter(reminder_type="sms").exists()

    def test_r19_another_zone_of_the_patient_moves_what_waits_in_place(self) -> None:
        row = book()
        before = {(10080, 4320): everything()}
        patients.correct(row.patient, by=None, time_zone="Pacific/Auckland")
        assert live(row) == ALL
        text = one(row, 1440)
        assert text.scheduled_send_time.astimezone(patient_zone(row)).hour == 19
        assert (text.due_at, text.appointment_version) == (text.scheduled_send_time, 1)
        assert len(everything()) == len(before[10080, 4320])

    def test_r19_another_system_that_tells_a_new_address_moves_them_too(self) -> None:
        row = book()
        address = {
            "address_line1": "1 Palm Road", "address_line2": "", "city": "Hilo", "state": "HI",
            "postal_code": "96720", "country": "US",
        }  # fmt: skip
        demographics.update(row.patient, said={"address": address}, as_of=NOON, source="adt")
        assert one(row, 1440).scheduled_send_time != row.appointment_datetime - DAY  # noon is six o'clock in Hilo

    def test_a_consent_taken_back_and_given_again_ends_with_the_same_reminders(self) -> None:
        row = book()
        before = live(row)
        patients.correct(row.patient, by=None, sms_consent=False)
        assert live(row) == {(minutes, "email") for minutes, _ in ALL}
        gone = AppointmentReminder.objects.filter(status="superseded")
        assert set(gone.values_list("status_reason", flat=True)) == {replanning.PLANNED_OTHERWISE}
        patients.correct(row.patient, by=None, sms_consent=True)
        assert live(row) == before
        assert AppointmentReminder.objects.filter(status="superseded").count() == 2

    def test_a_change_that_does_not_matter_plans_nothing(self) -> None:
        row = book()
        before = everything()
        patients.correct(row.patient, by=None, first_name="Grace")
        patients.correct(row.patient, by=None, city="Troy", time_zone="America/New_York")
        assert everything() == before


class TestTable:
    def test_rows_of_a_type_replace_the_general_ones_also_when_they_are_inactive(self) -> None:
        ReminderPolicy.objects.create(appointment_type="lab_work", offset_hours=48, channel="email")
        ReminderPolicy.objects.create(appointment_type="vaccination", offset_hours=48, channel="email", is_active=False)
        assert live(book(appointment_type="lab_work")) == {(2880, "email")}
        assert live(book(appointment_type="vaccination")) == set()
        assert live(book(appointment_type="procedure")) == ALL

    def test_the_defaults_hold_while_nobody_ever_wrote_a_row_and_not_after_all_were_removed(self) -> None:
        ReminderPolicy.objects.all().delete()
        assert live(book()) == set()
        ReminderPolicy.all_objects.all()._raw_delete(using="default")
        assert live(book()) == ALL

    def test_a_reminder_stays_where_what_replaces_it_in_the_table_would_have_left_already(self, at_noon: Any) -> None:
        near, far = book(start=NOON + 30 * HOUR), book()
        ReminderPolicy.objects.filter(offset_hours=24).update(offset_hours=36)
        assert reminders.replan_ahead(dry_run=True).kept == 1
        assert reminders.replan_ahead()[1:5] == (1, 0, 1, 1)  # of the far one
        assert (live(near), (2160, "sms") in live(far), (1440, "sms") in live(far)) == (
            {(1440, "sms"), (120, "sms")}, True, False,
        )  # fmt: skip
        patients.correct(near.patient, by=None, sms_consent=False)
        assert live(near) == {(120, "email")}

    def test_the_hours_of_the_clinic_are_those_of_its_rules(self) -> None:
        ContactRules.objects.create(opens_at="13:00", closes_at="14:00")
        row = book()
        assert one(row, 1440).scheduled_send_time.astimezone(Clinic().zone).hour == 13

    def test_the_next_channel_is_the_next_of_its_offset_that_reaches_the_patient(self) -> None:
        row = book()
        assert reminders.next_channel(one(row, 1440)) == "email"
        assert reminders.next_channel(one(row, 10080)) is None
        patients.correct(row.patient, by=None, email_consent=False)
        assert reminders.next_channel(one(row, 1440)) is None

    def test_a_text_is_no_next_channel_at_night(self, at_noon: Any) -> None:
        ReminderPolicy.objects.create(offset_days=7, channel="sms", order=2)
        mail = one(book(), 10080)
        assert reminders.next_channel(mail) == "sms"
        at_noon.shift(12 * HOUR)
        assert reminders.next_channel(mail) is None


class TestLate:
    def test_r22_what_a_paused_worker_finds_after_hours_is_not_sent_in_a_burst(self, at_noon: Any) -> None:
        rows = [book(start=NOON + 24 * HOUR + place * HOUR / 2) for place in range(1, 5)]
        at_noon.shift(9 * HOUR)
        due = AppointmentReminder.objects.filter(appointment__in=rows, due_at__lte=timezone.now())
        told = [reminders.why_not(row, now=timezone.now()) for row in due.select_related("appointment__patient")]
        assert told == ["It is too late for this reminder."] * 4

    def test_r22_a_text_is_not_made_up_for_in_the_night(self, at_noon: Any) -> None:
        row = book(start=NOON + 31 * HOUR)  # asked about at seven in the evening, good for six hours
        text = one(row, 1440)
        assert text.useful_until == datetime(2027, 6, 2, 0, tzinfo=UTC)  # eight in the evening
        at_noon.move_to(text.useful_until + timedelta(seconds=1))
        assert reminders.why_not(text, now=timezone.now()) == "It is too late for this reminder."

    def test_points_that_were_read_for_many_are_not_asked_for_again(self, django_assert_num_queries: Any) -> None:
        row = AppointmentReminder.objects.select_related("appointment__patient").get(pk=make_reminder().pk)
        point = ContactPoint(channel="sms", address=row.patient.phone, opted_out_at=NOON)
        with django_assert_num_queries(0):
            told = reminders.why_not(row, now=NOON, points={("sms", row.patient.phone): point})
        assert "no more messages" in str(told)


class TestMany:
    def test_many_visits_are_planned_in_few_statements_and_as_one_by_one(self) -> None:
        rows = [make_appointment(patient=make_reachable_patient(), appointment_datetime=free_time()) for _ in range(12)]
        with CaptureQueriesContext(connection) as asked:
            assert reminders.plan_all(Appointment.objects.all(), now=timezone.now()) == 48
        assert len(asked) <= 12
        planned = set(AppointmentReminder.objects.values_list("dedupe_key", "due_at", "useful_until", "lane"))
        AppointmentReminder.all_objects.all()._raw_delete(using="default")
        for row in rows:
            reminders.replan(row)
        assert set(AppointmentReminder.objects.values_list("dedupe_key", "due_at", "useful_until", "lane")) == planned

    @pytest.mark.parametrize("chunk", [1, 3, 100])
    def test_chunks_of_any_size_leave_nobody_out(self, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reminders, "CHUNK", chunk)
        rows = [make_appointment(patient=make_reachable_patient()) for _ in range(5)]
        seen = list[int]()
        sliced = Appointment.objects.order_by("pk")[:2]
        assert reminders.plan_all(sliced, now=timezone.now()) == 8
        assert reminders.plan_all(Appointment.objects.all(), now=timezone.now(), progress=seen.append) == 12
        assert reminders.plan_all(iter(rows), now=timezone.now()) == 0
        assert sum(seen) == 5
