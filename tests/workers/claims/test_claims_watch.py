"""Holds that the looks at claims run as scheduled, leave a beat, and send questions without being told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

import beat_schedule
from backend.apps.core.models import Alert, Heartbeat, WorkTally
from backend.apps.insurance import watching
from backend.apps.insurance.models import EligibilityInquiry, Interchange
from backend.apps.insurance.tests.factories import billing_entity
from backend.apps.insurance.tests.inquiry_factories import make_eligibility_inquiry, make_interchange
from workers import claims_watch, eligibility

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]
TASKS = (eligibility.build, eligibility.due, eligibility.expire, claims_watch.look, claims_watch.look_daily)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_each_look_notes_that_it_ran_under_its_entry_of_the_schedule(task: object) -> None:
    task()
    entry = Heartbeat.objects.get().entry
    assert beat_schedule.SCHEDULE[entry]["task"] == task.name


def test_a_look_tells_of_a_silent_file() -> None:
    file = make_interchange(sent_at=timezone.now() - timedelta(days=2))
    claims_watch.look()
    assert Alert.objects.get(kind=watching.SILENT_FILE).subject_id == str(file.pk)


def test_a_question_without_an_answer_goes_out_once_more_by_itself() -> None:
    billing_entity(is_default=True)
    gone = make_eligibility_inquiry(sent_at=timezone.now() - timedelta(hours=49))
    assert eligibility.expire() == "gave up 1, asked 1 again"
    assert eligibility.build() == "1 270"
    assert WorkTally.objects.get(task="eligibility.build", outcome="done").count == 1
    again = EligibilityInquiry.objects.exclude(pk=gone.pk).get()
    assert again.interchange == Interchange.objects.get()
    assert again.trace != gone.trace
