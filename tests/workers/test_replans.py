"""Holds that a visit somebody held while its patient changed is planned when they let go, whatever they did."""

from __future__ import annotations

import pytest
from django.db import transaction

from backend.apps.appointments import services
from backend.apps.appointments.models import Appointment, ReplanRequest
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.patients import services as patients
from tests.support.races import at_once
from workers import replans

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _bells(rung: list[str]) -> None:
    """Nobody rings a broker."""


def held_while_the_patient_agrees() -> Appointment:
    """Return a visit that was held, as by a page that then only shows what was wrong, when its patient agreed."""
    visit = make_appointment(patient=make_reachable_patient(sms_consent=False, email_consent=False))

    def agree() -> None:
        patients.consent(visit.patient, by=None, channel="sms", given=True)

    with transaction.atomic():
        Appointment.objects.select_for_update(no_key=True).get(pk=visit.pk)
        assert at_once(agree) == ["done"]
    assert not visit.reminders.exists()
    return visit


def test_a_visit_that_was_held_when_its_patient_agreed_has_reminders_though_its_holder_planned_nothing(
    rung: list[str],
) -> None:
    visit = held_while_the_patient_agrees()
    assert "reminders.replan" in rung
    assert replans.replan_due() == "1 done"
    assert set(visit.reminders.values_list("reminder_type", "status")) == {("sms", "pending")}


def test_a_visit_that_was_called_off_meanwhile_gets_none() -> None:
    visit = held_while_the_patient_agrees()
    services.cancel(visit, by=None, reason="ill")
    assert replans.replan_due() == "1 done"
    assert not visit.reminders.exists()


def test_a_change_of_a_patient_whose_visits_nobody_holds_asks_no_worker() -> None:
    visit = make_appointment(patient=make_reachable_patient(email_consent=False, sms_consent=False))
    patients.consent(visit.patient, by=None, channel="sms", given=True)
    assert visit.reminders.exists()
    assert not ReplanRequest.work.exists()
