"""Holds the daily run of recalls, and what messages about them and about missed visits say when they are due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment, Recall
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.appointments.tests.waitlist_factories import make_recall, make_recall_rule
from backend.apps.core.models import Clinic, Heartbeat
from backend.apps.messaging.models import ContactRules, PatientMessage
from workers import no_shows, recalls, visits

pytestmark = pytest.mark.django_db
NOTHING = "closed 0, open again 0, opened 0, wrote 0, handed over 0"


def messages() -> list[PatientMessage]:
    return list(PatientMessage.objects.select_related("patient").order_by("created_at", "id"))


def test_a_run_opens_writes_and_beats_and_the_second_finds_nothing() -> None:
    make_recall_rule()
    make_appointment(
        patient=make_reachable_patient(), appointment_datetime=timezone.now() - timedelta(days=200), status="completed"
    )
    assert recalls.remind() == "closed 0, open again 0, opened 1, wrote 1, handed over 0"
    assert recalls.remind() == NOTHING
    assert Heartbeat.objects.get(entry="recalls").runs == 2
    assert len(messages()) == 1


def test_a_recall_says_nothing_but_who_asks_and_not_to_who_comes_anyway() -> None:
    due, coming, dismissed, gone = (make_recall() for _ in range(4))
    recalls.remind()
    make_appointment(patient=coming.patient, appointment_type="procedure")
    Recall.objects.filter(pk=dismissed.pk).update(status="dismissed")
    Recall.objects.filter(pk=gone.pk).delete()
    rows = messages()
    reasons = {row.subject_id: reason for row in rows for reason in [recalls.late(rows)[row.pk]]}
    assert reasons[due.pk] is None
    assert reasons[coming.pk] == "The patient has a visit ahead."
    assert reasons[dismissed.pk] == "The recall is dismissed."
    assert reasons[gone.pk] == "The recall was deleted."
    said = recalls.facts(rows)[rows[0].pk]
    assert (said.starts_at, said.link, said.visits) == (None, "", ())


def test_a_recall_names_the_mailbox_of_a_clinic_without_a_phone() -> None:
    Clinic.objects.all().delete()
    clinic = Clinic.objects.create(name="Elm Street Clinic", phone="", email="care@elm.example")
    make_recall()
    recalls.remind()
    (row,) = messages()
    assert recalls.facts([row])[row.pk].email == "care@elm.example"
    ContactRules.objects.create(reply_to="desk@elm.example")
    assert recalls.facts([row])[row.pk].email == "desk@elm.example"
    Clinic.objects.filter(pk=clinic.pk).update(phone="+15185550100")
    assert recalls.facts([row])[row.pk].email == ""


def test_a_missed_visit_is_named_by_its_day_and_left_out_once_another_is_booked() -> None:
    for _ in range(2):
        visit = make_appointment(
            patient=make_reachable_patient(), appointment_datetime=timezone.now() - timedelta(hours=2)
        )
        services.mark_no_show(visit, by=None)
    first, second = messages()
    make_appointment(patient=second.patient)
    assert no_shows.late([first, second]) == {first.pk: None, second.pk: "The patient has another visit ahead."}
    missed = Appointment.objects.get(pk=first.subject_id)
    assert visits.facts([first, second])[first.pk].starts_at == missed.appointment_datetime
