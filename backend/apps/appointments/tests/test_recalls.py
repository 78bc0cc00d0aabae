"""Holds that who is due is asked, seldom and at decent hours, never who comes anyway, and at last a person calls."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.appointments import recalls, services
from backend.apps.appointments.models import Appointment, Recall
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.appointments.tests.waitlist_factories import make_recall, make_recall_rule
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.messaging.models import ContactRules, PatientMessage, StaffTask
from backend.apps.patients import merging
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def came(days_ago: int, **over: Any) -> Appointment:
    """Save a completed visit at noon of that day."""
    over.setdefault("patient", None)
    start = datetime.combine(Clinic.today() - days_ago * DAY, time(12), Clinic.current().zone)
    patient = over.pop("patient") or make_reachable_patient()
    return make_appointment(patient=patient, appointment_datetime=start, status="completed", **over)


def stored(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def ask(after: timedelta = timedelta(0)) -> tuple[int, int]:
    return recalls.remind(now=timezone.now() + after)


def book(patient: Patient, **over: Any) -> Appointment:
    fields = {"appointment_datetime": timezone.now() + 9 * DAY, "appointment_type": "consultation", **over}
    return services.book(by=None, patient=patient, doctor=make_always_available(make_doctor()), **fields)


class TestOpening:
    def test_who_last_came_so_long_ago_is_due_from_that_day_on(self) -> None:
        rule = make_recall_rule(after_days=180)
        due, today = came(200).patient, came(180).patient
        came(179)
        assert recalls.open_due() == 2
        rows = {row.patient_id: row for row in Recall.objects.all()}
        assert {key: row.due_on for key, row in rows.items()} == {
            due.pk: Clinic.today() - 20 * DAY,
            today.pk: Clinic.today(),
        }
        assert {(row.rule, row.appointment_type, row.status) for row in rows.values()} == {
            (rule, "consultation", "open")
        }
        assert {row.pk.version for row in rows.values()} == {7}

    def test_opening_twice_opens_once(self) -> None:
        make_recall_rule()
        make_recall_rule(after_days=90)
        came(200)
        assert (recalls.open_due(), recalls.open_due()) == (1, 0)

    @pytest.mark.parametrize("why", ["came again", "visit ahead", "other kind ahead", "deleted", "rule off", "missed"])
    def test_who_is_not_due_is_left_alone(self, why: str) -> None:
        make_recall_rule(is_active=why != "rule off")
        patient = came(200).patient if why != "missed" else make_reachable_patient()
        if why == "came again":
            came(10, patient=patient)
        if why == "missed":
            make_appointment(patient=patient, appointment_datetime=timezone.now() - 200 * DAY, status="no_show")
        if "ahead" in why:
            kind = "procedure" if "other" in why else "consultation"
            make_appointment(patient=patient, appointment_type=kind)
        if why == "deleted":
            patient.delete()
        assert recalls.open_due() == 0

    def test_who_was_dismissed_is_due_again_only_after_another_visit(self) -> None:
        make_recall_rule()
        patient = came(400).patient
        recalls.open_due()
        recalls.dismiss(Recall.objects.get(), by=None)
        assert recalls.open_due() == 0
        Recall.objects.update(created_at=timezone.now() - 300 * DAY)
        came(200, patient=patient)
        assert recalls.open_due() == 1

    def test_the_cost_does_not_grow_with_the_patients(self) -> None:
        make_recall_rule()
        for _ in range(3):
            came(200)
        with CaptureQueriesContext(connection) as few:
            recalls.open_due()
            ask()
        for _ in range(20):
            came(200)
        with CaptureQueriesContext(connection) as many:
            recalls.open_due()
            assert ask() == (20, 0)
        assert len(many) == len(few)


class TestAsking:
    def test_one_message_is_written_for_the_next_business_morning_of_the_patient(self) -> None:
        zone = ZoneInfo("America/Los_Angeles")
        recall = make_recall(patient=make_reachable_patient(time_zone=zone.key), reason="diabetes check")
        assert ask() == (1, 0)
        message, row = PatientMessage.objects.get(), stored(recall)
        assert (message.patient, message.channel, message.wording) == (recall.patient, "email", "recall")
        assert message.subject_id == recall.pk
        at = message.due_at.astimezone(zone)
        assert at > timezone.now()
        assert at.weekday() < 5
        assert time(10) <= at.time() < time(12)
        assert (row.status, row.reminded_times) == ("reminded", 1)

    def test_running_again_or_after_days_of_downtime_writes_no_second_one(self) -> None:
        make_recall()
        assert [ask(), ask(), ask(29 * DAY)] == [(1, 0), (0, 0), (0, 0)]
        assert PatientMessage.objects.count() == 1

    def test_after_three_messages_in_vain_a_person_calls_once(self) -> None:
        recall = make_recall()
        told = [ask(days * DAY) for days in (0, 31, 62, 93, 124)]
        assert told == [(1, 0), (1, 0), (1, 0), (0, 1), (0, 0)]
        task = StaffTask.objects.get()
        assert (task.kind, task.patient, task.subject_id) == ("recall", recall.patient, recall.pk)
        assert "three" in task.sentence

    def test_a_message_that_did_not_leave_is_none_of_the_three(self) -> None:
        make_recall()
        for days in (0, 31, 62):
            ask(days * DAY)
        first = PatientMessage.objects.order_by("created_at")[0]
        PatientMessage.objects.filter(pk=first.pk).update(status="suppressed", work_state="done")
        assert [ask(93 * DAY), ask(124 * DAY)] == [(1, 0), (0, 1)]

    def test_who_is_written_to_in_vain_for_half_a_year_is_called(self) -> None:
        make_recall()
        for month in range(6):
            assert ask(31 * month * DAY) == (1, 0)
            PatientMessage.objects.update(status="suppressed", work_state="done")
        assert ask(31 * 6 * DAY) == (0, 1)
        assert "cannot be written to" in StaffTask.objects.get().sentence

    def test_who_agreed_to_nothing_is_called_and_not_written_to(self) -> None:
        make_recall(patient=make_patient())
        assert [ask(), ask()] == [(0, 1), (0, 0)]
        assert "cannot be written to" in StaffTask.objects.get().sentence
        assert not PatientMessage.objects.exists()

    def test_a_patient_who_is_due_for_two_things_gets_one_message(self) -> None:
        first = make_recall()
        make_recall(patient=first.patient, appointment_type="vaccination")
        assert [ask(), ask()] == [(1, 0), (0, 0)]

    @pytest.mark.parametrize("why", ["not yet", "visit ahead", "dismissed", "deleted"])
    def test_who_need_not_be_asked_is_not(self, why: str) -> None:
        recall = make_recall(**({"due_on": Clinic.today() + DAY} if why == "not yet" else {}))
        if why == "visit ahead":
            make_appointment(patient=recall.patient, appointment_type="procedure")
        if why == "dismissed":
            recalls.dismiss(recall, by=None)
        if why == "deleted":
            recall.patient.delete()
        assert ask() == (0, 0)

    def test_a_run_writes_no_more_than_a_day_s_worth_the_longest_overdue_first(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.RECALLS_A_DAY = 3
        monkeypatch.setattr(recalls, "CHUNK", 2)
        rows = [make_recall(due_on=Clinic.today() - days * DAY) for days in (1, 5, 3, 2, 4)]
        assert ask() == (3, 0)
        asked = {row.pk for row in Recall.objects.filter(status="reminded")}
        assert asked == {rows[1].pk, rows[2].pk, rows[4].pk}

    def test_hours_that_begin_late_hold(self) -> None:
        ContactRules.objects.create(opens_at=time(13), closes_at=time(20))
        make_recall()
        ask()
        at = PatientMessage.objects.get().due_at.astimezone(Clinic.current().zone)
        assert time(13) <= at.time() < time(15)


class TestClosing:
    def test_a_booked_visit_of_the_kind_closes_it_with_its_message_and_task(self) -> None:
        recall, called = make_recall(), make_recall(patient=make_patient())
        ask()
        visits = [book(row.patient) for row in (recall, called)]
        for row, visit in zip((recall, called), visits, strict=True):
            assert (stored(row).status, stored(row).appointment) == ("booked", visit)
        assert PatientMessage.objects.get(wording="recall").status == "superseded"
        assert StaffTask.objects.get().done_at is not None

    def test_a_visit_of_another_kind_or_an_imported_past_one_leaves_it_open(self) -> None:
        recall = make_recall()
        book(recall.patient, appointment_type="procedure")
        book(recall.patient, appointment_datetime=timezone.now() - DAY, imported=True)
        assert stored(recall).status == "open"

    def test_who_came_without_our_booking_it_is_closed(self) -> None:
        recall = make_recall()
        Recall.objects.update(created_at=timezone.now() - 9 * DAY)
        came(1, patient=recall.patient)
        assert recalls.settle() == (1, 0)
        assert stored(recall).status == "booked"

    def test_who_came_is_not_called_nor_written_to_any_more(self) -> None:
        told, called = make_recall(), make_recall(patient=make_patient())
        ask()
        Recall.objects.update(created_at=timezone.now() - 9 * DAY)
        for row in (told, called):
            came(1, patient=row.patient)
        assert recalls.settle() == (2, 0)
        assert StaffTask.objects.get().done_at is not None
        assert PatientMessage.objects.get().status == "superseded"

    @pytest.mark.parametrize("again", [False, True])
    def test_a_cancelled_visit_opens_it_again_unless_there_is_another(self, again: bool) -> None:
        recall = make_recall()
        visit = book(recall.patient)
        services.cancel(visit, by=None, reason="ill")
        if again:
            make_appointment(patient=recall.patient)
        assert recalls.settle() == (0, 0 if again else 1)
        assert stored(recall).status == ("booked" if again else "open")

    def test_two_recalls_of_one_kind_never_both_open_again(self) -> None:
        patient = make_reachable_patient()
        for _ in range(2):
            make_recall(patient=patient)
            services.cancel(book(patient), by=None, reason="ill")
        assert recalls.settle() == (0, 1)

    def test_a_patient_is_due_for_one_thing_once(self) -> None:
        recall = make_recall()
        with pytest.raises(ValidationError, match="due for this already"):
            recalls.enter(
                by=None, patient=recall.patient, appointment_type=recall.appointment_type, due_on=Clinic.today()
            )

    def test_two_records_that_become_one_are_due_once(self) -> None:
        one, other = make_recall(), make_recall()
        merging.merge(one.patient, by=make_user("admin"), into=other.patient)
        assert [stored(row).status for row in (one, other)] == ["dismissed", "open"]

    def test_two_records_that_become_one_leave_one_task_and_one_message(self) -> None:
        one, other = (make_recall(patient=make_patient()) for _ in range(2))
        ask()
        merging.merge(one.patient, by=make_user("admin"), into=other.patient)
        tasks = {task.subject_id: task.done_at for task in StaffTask.objects.all()}
        assert (tasks[one.pk] is None, tasks[other.pk] is None) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_write_to_a_patient_who_is_due_for_two_things_once(settings: Any) -> None:
    settings.RECALLS_A_DAY = 1
    first = make_recall()
    make_recall(patient=first.patient, appointment_type="vaccination", due_on=first.due_on + DAY)
    with transaction.atomic():
        assert ask() == (1, 0)
        assert at_once(ask) == ["done"]
    assert PatientMessage.objects.count() == 1
