"""Holds that the right reminders are planned, taken back, planned anew, and judged late."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from backend.apps.appointments import reminders, services
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import (
    free_time,
    make_appointment,
    make_reachable_patient,
    make_reminder,
)
from backend.apps.core import dispatch
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.patients.tests.factories import make_patient
from tests.support.clocks import zone_at

pytestmark = pytest.mark.django_db

ALL = {(10080, "email"), (4320, "email"), (1440, "sms"), (120, "sms")}
HOUR = timedelta(hours=1)


def book(*, in_hours: float = 24 * 20, **patient: Any) -> Appointment:
    """Book a visit of a patient who agreed to both channels unless told otherwise."""
    return services.book(
        by=None,
        patient=make_reachable_patient(**patient),
        doctor=make_always_available(make_doctor()),
        appointment_datetime=timezone.now() + in_hours * HOUR,
    )


def live(appointment: Appointment) -> set[tuple[int, str]]:
    """Return (offset, channel) of the reminders that would still go out."""
    rows = AppointmentReminder.objects.filter(appointment=appointment, status="pending", work_state="waiting")
    return set(rows.values_list("offset_minutes", "reminder_type"))


def statuses(appointment: Appointment) -> list[tuple[int, str, str]]:
    rows = AppointmentReminder.objects.filter(appointment=appointment).order_by("appointment_version", "offset_minutes")
    return list(rows.values_list("appointment_version", "status", "work_state"))


class TestPlanning:
    def test_a_booking_plans_every_reminder_with_its_time_and_no_address(self) -> None:
        row = book()
        assert live(row) == ALL
        for reminder in AppointmentReminder.objects.filter(appointment=row):
            assert reminder.due_at == reminder.scheduled_send_time > timezone.now()
            assert (reminder.recipient_email, reminder.recipient_phone, reminder.appointment_version) == ("", "", 1)

    @pytest.mark.parametrize(
        ("hours", "planned"),
        [
            (100, {(4320, "email"), (1440, "sms"), (120, "sms")}),
            (30, {(1440, "sms"), (120, "sms")}),
            (3, {(120, "sms")}),
            (1.9, set()),
        ],
    )
    def test_times_that_are_past_at_booking_are_skipped(self, hours: float, planned: set[tuple[int, str]]) -> None:
        assert live(book(in_hours=hours, time_zone=zone_at())) == planned

    @pytest.mark.parametrize(
        ("patient", "channels"),
        [
            ({"sms_consent": False}, {"email"}),
            ({"email_consent": False}, {"sms"}),
            ({"phone": ""}, {"email"}),
            ({"email": ""}, {"sms"}),
            ({"sms_consent": False, "email_consent": False}, set()),
        ],
    )
    def test_only_channels_with_an_address_and_consent_are_planned(
        self, patient: dict[str, Any], channels: set[str]
    ) -> None:
        assert {channel for _, channel in live(book(**patient))} == channels

    def test_planning_twice_makes_no_second_row(self) -> None:
        row = book()
        reminders.plan(row, now=timezone.now())
        assert AppointmentReminder.objects.filter(appointment=row).count() == len(ALL)

    def test_a_visit_that_is_imported_from_the_past_has_no_reminders(self) -> None:
        row = services.book(
            by=None,
            patient=make_reachable_patient(),
            doctor=make_doctor(),
            appointment_datetime=timezone.now() - HOUR,
            imported=True,
        )
        assert not AppointmentReminder.objects.filter(appointment=row).exists()

    def test_the_database_refuses_the_same_reminder_twice(self) -> None:
        reminder = make_reminder()
        with pytest.raises(IntegrityError, match="reminder_once"):
            make_reminder(appointment=reminder.appointment, dedupe_key="another")


class TestChanges:
    @pytest.mark.parametrize("name", ["appointment_datetime", "doctor", "location"])
    def test_a_move_supersedes_what_was_planned_and_plans_anew(self, name: str) -> None:
        row = book()
        new = {
            "appointment_datetime": row.appointment_datetime + timedelta(days=1),
            "doctor": make_always_available(make_doctor()),
            "location": "Room 2",
        }[name]
        services.change(row, by=None, **{name: new})
        assert statuses(row) == [(1, "superseded", "done")] * 4 + [(2, "pending", "waiting")] * 4
        assert live(row) == ALL

    def test_a_change_that_does_not_move_the_visit_leaves_its_reminders(self) -> None:
        row = book()
        services.change(row, by=None, reason="cough")
        assert statuses(row) == [(1, "pending", "waiting")] * 4

    def test_a_confirmation_keeps_the_reminders_that_are_ahead(self) -> None:
        row = book(in_hours=30)
        services.confirm(row, by=None)
        assert live(row) == {(1440, "sms")}  # the one of the day itself is only for those who have not confirmed
        assert set(statuses(row)) == {(1, "superseded", "done"), (2, "pending", "waiting")}

    @pytest.mark.parametrize("verb", ["cancel", "check_in"])
    def test_a_patient_who_comes_or_cancels_is_not_reminded(self, verb: str) -> None:
        row = book()
        more = {"reason": "x"} if verb == "cancel" else {}
        getattr(services, verb)(row, by=None, **more)
        assert live(row) == set()
        assert set(statuses(row)) == {(1, "superseded", "done")}

    def test_a_patient_who_did_not_come_is_not_reminded(self) -> None:
        row = make_appointment(patient=make_reachable_patient(), appointment_datetime=timezone.now() - HOUR)
        make_reminder(appointment=row)
        services.mark_no_show(row, by=None)
        assert statuses(row) == [(1, "superseded", "done")]

    def test_a_rescheduled_visit_takes_its_reminders_along(self) -> None:
        old = book()
        new = services.reschedule(old, by=None, appointment_datetime=old.appointment_datetime + 3 * HOUR)
        assert live(old) == set()
        assert live(new) == ALL

    def test_moving_a_visit_there_and_back_leaves_one_set_of_reminders(self) -> None:
        row = book()
        first = row.appointment_datetime
        services.change(row, by=None, appointment_datetime=first + 24 * HOUR)
        services.change(row, by=None, appointment_datetime=first)
        assert live(row) == ALL
        assert AppointmentReminder.objects.filter(appointment=row, status="pending").count() == 4

    def test_what_was_sent_stays_sent(self) -> None:
        row = book()
        sent = AppointmentReminder.objects.get(appointment=row, offset_minutes=10080)
        sent.mark_as_sent("x1")
        AppointmentReminder.objects.filter(pk=sent.pk).update(work_state="done")
        services.cancel(row, by=None, reason="x")
        sent.refresh_from_db()
        assert (sent.status, sent.external_id) == ("sent", "x1")


class TestMidFlight:
    """What happens to a reminder that is due, or in a worker's hands, while the appointment changes."""

    @pytest.fixture
    def due(self) -> AppointmentReminder:
        patient = make_reachable_patient(time_zone=zone_at())  # it is day there
        row = make_appointment(patient=patient, appointment_datetime=timezone.now() + 23.9 * HOUR)
        return make_reminder(appointment=row)

    @pytest.fixture
    def rung(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        names: list[str] = []
        monkeypatch.setattr(dispatch, "send", names.append)  # the broker's door; everything before it is real
        return names

    def test_a_confirmation_does_not_swallow_a_reminder_that_is_due(
        self, due: AppointmentReminder, rung: list[str], django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            services.confirm(due.appointment, by=None)
        again = AppointmentReminder.work.overdue().get(appointment=due.appointment, appointment_version=2)
        assert (again.offset_minutes, again.scheduled_send_time) == (1440, due.scheduled_send_time)
        assert rung == ["reminders.deliver"]

    def test_a_worker_that_has_not_begun_loses_its_lease(self, due: AppointmentReminder) -> None:
        (leased,) = AppointmentReminder.work.lease(10)
        services.cancel(due.appointment, by=None, reason="x")
        assert leased.begin() is False
        assert AppointmentReminder.objects.get(pk=due.pk).status == "superseded"

    def test_a_worker_that_has_begun_keeps_its_row_and_may_finish(self, due: AppointmentReminder) -> None:
        (leased,) = AppointmentReminder.work.lease(10)
        assert leased.begin() is True
        services.confirm(due.appointment, by=None)
        row = AppointmentReminder.objects.select_related("appointment__patient").get(pk=due.pk)
        assert services.why_not(row, now=timezone.now()) is None
        assert not AppointmentReminder.objects.filter(
            appointment=due.appointment, appointment_version=2, offset_minutes=1440
        ).exists()
        assert leased.finish(status="sent", sent_at=timezone.now()) is True

    def test_a_row_that_is_given_up_is_failed(self, due: AppointmentReminder) -> None:
        (leased,) = AppointmentReminder.work.lease(10)
        leased.give_up("no such number")
        due.refresh_from_db()
        assert (due.status, due.work_state) == ("failed", "failed")


class TestDecidingLate:
    """Each refusal of `why_not`, and the one case where it has none."""

    def ask(self, reminder: AppointmentReminder, *, after: timedelta = timedelta()) -> str | None:
        row = AppointmentReminder.objects.select_related("appointment__patient").get(pk=reminder.pk)
        return services.why_not(row, now=reminder.scheduled_send_time + after)

    def test_a_reminder_that_is_on_time_goes_out(self) -> None:
        assert self.ask(make_reminder()) is None

    @pytest.mark.parametrize("status", ["checked_in", "in_progress", "completed", "cancelled", "no_show"])
    def test_a_visit_nobody_waits_for_is_not_reminded_of(self, status: str) -> None:
        reminder = make_reminder()
        more = {"cancelled_at": timezone.now()} if status == "cancelled" else {}
        Appointment.objects.filter(pk=reminder.appointment_id).update(status=status, **more)
        assert self.ask(reminder) == f"The appointment is {status}."

    def test_a_deleted_visit_is_not_reminded_of(self) -> None:
        reminder = make_reminder()
        reminder.appointment.delete()
        assert self.ask(reminder) == "The appointment is deleted."

    def test_a_visit_that_was_moved_behind_our_back_is_not_reminded_of_at_the_old_time(self) -> None:
        reminder = make_reminder()
        Appointment.objects.filter(pk=reminder.appointment_id).update(appointment_datetime=free_time())
        assert "has changed" in str(self.ask(reminder))

    def test_a_newer_reminder_of_the_same_kind_replaces_an_older_one(self) -> None:
        reminder = make_reminder()
        Appointment.objects.filter(pk=reminder.appointment_id).update(version=F("version") + 1)
        make_reminder(appointment=Appointment.objects.get(pk=reminder.appointment_id))
        assert "has changed" in str(self.ask(reminder))

    def test_a_reminder_is_not_sent_long_after_its_time_or_after_the_visit_began(self) -> None:
        reminder = make_reminder()
        assert self.ask(reminder, after=timedelta(hours=6)) is None
        assert self.ask(reminder, after=timedelta(hours=6, seconds=1)) == "It is too late for this reminder."
        assert self.ask(reminder, after=timedelta(hours=24)) == "The appointment has already begun."

    @pytest.mark.parametrize(
        ("patient", "reason"),
        [({"sms_consent": False}, "agreed"), ({"phone": ""}, "no address")],
    )
    def test_consent_and_address_are_asked_for_again(self, patient: dict[str, Any], reason: str) -> None:
        appointment = make_appointment(patient=make_patient(**{"sms_consent": True, **patient}))
        assert reason in str(self.ask(make_reminder(appointment=appointment)))

    def test_a_channel_nobody_provides_is_not_tried(self) -> None:
        assert "no provider" in str(self.ask(make_reminder(reminder_type="push")))


class TestStatus:
    @pytest.mark.parametrize(
        ("verbs", "status"),
        [
            (("mark_as_sent", "mark_as_delivered"), "delivered"),
            (("mark_as_delivered", "mark_as_sent"), "delivered"),
            (("mark_as_delivered", "mark_as_failed"), "delivered"),
            (("mark_as_failed", "mark_as_delivered", "mark_as_sent"), "failed"),
            (("mark_as_delivered", "mark_as_bounced", "mark_as_delivered"), "bounced"),
        ],
    )
    def test_a_status_only_rises_whatever_the_order_of_reports(self, verbs: tuple[str, ...], status: str) -> None:
        reminder = make_reminder()
        for verb in verbs:
            getattr(reminder, verb)()
        assert AppointmentReminder.objects.get(pk=reminder.pk).status == status

    def test_the_same_report_twice_changes_nothing(self) -> None:
        reminder = make_reminder()
        assert reminder.mark_as_sent("x1") is True
        sent_at = reminder.sent_at
        assert reminder.mark_as_sent("x2") is False
        stored = AppointmentReminder.objects.get(pk=reminder.pk)
        assert (stored.external_id, stored.sent_at) == ("x1", sent_at)

    def test_a_report_of_delivery_tells_when_it_was_sent_at_the_latest(self) -> None:
        reminder = make_reminder()
        reminder.mark_as_delivered()
        stored = AppointmentReminder.objects.get(pk=reminder.pk)
        assert stored.sent_at is not None
        assert stored.delivered_at is not None

    def test_a_failure_keeps_its_reason(self) -> None:
        reminder = make_reminder()
        reminder.mark_as_failed("30003 " + "x" * 300)
        assert AppointmentReminder.objects.get(pk=reminder.pk).status_reason.startswith("30003 ")

    def test_a_report_settles_a_row_that_was_held_for_want_of_an_answer(self) -> None:
        reminder = make_reminder(work_state="held")
        reminder.mark_as_delivered()
        stored = AppointmentReminder.objects.get(pk=reminder.pk)
        assert (stored.status, stored.work_state) == ("delivered", "done")

    def test_who_still_works_on_a_row_that_was_reported_on_loses_it(self) -> None:
        make_reminder(due_at=timezone.now() - timedelta(minutes=1))
        (reminder,) = AppointmentReminder.work.lease(1)
        AppointmentReminder.objects.get(pk=reminder.pk).mark_as_delivered()
        assert not reminder.begin()
        assert AppointmentReminder.objects.get(pk=reminder.pk).work_state == "done"

    def test_a_superseded_reminder_stays_so(self) -> None:
        reminder = make_reminder(status="superseded", work_state="done")
        assert reminder.mark_as_delivered() is False
        assert AppointmentReminder.objects.get(pk=reminder.pk).status == "superseded"
