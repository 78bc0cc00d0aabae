"""Holds what a page says, that it is decided late, and that what goes wrong at the provider stops no escalation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert, Clinic, Heartbeat
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import critical
from backend.apps.laboratory.models import CriticalPage, CriticalResult
from backend.apps.laboratory.tests.factories import make_critical_result, make_lab_feed, make_lab_order, make_lab_test
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from integrations.doubles.twilio import TwilioDouble
from tests.workers.rows import HOUR, run_out, stored
from workers import critical_results, gateways, lab_watch

pytestmark = pytest.mark.django_db
PHONE = "+14155550177"


@pytest.fixture(autouse=True)
def clinic(settings: Any) -> Clinic:
    settings.PUBLIC_BASE_URL = "https://clinic.example.org"
    Clinic.objects.all().delete()
    return Clinic.objects.create(name="Elm Street Clinic", phone="+15185550100")


@pytest.fixture(autouse=True)
def outbox(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.SMS_TRANSPORT = settings.EMAIL_TRANSPORT = "sandbox"
    settings.DATA_DIR = tmp_path
    gateways._clients.__dict__.clear()
    yield tmp_path / "outbox"
    gateways._clients.__dict__.clear()


@pytest.fixture
def twilio(settings: Any) -> Iterator[TwilioDouble]:
    with TwilioDouble() as double:
        settings.SMS_TRANSPORT = "twilio"
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC" + "0" * 32, "test-token"
        settings.TWILIO_FROM, settings.TWILIO_BASE_URL = "+14155550199", double.url
        yield double


def found(phone: str = PHONE, **over: Any) -> CriticalResult:
    """Save a critical result of a doctor with a pager number."""
    doctor = make_doctor(user=make_user("doctor", phone=phone, first_name="Gregory", last_name="Haversham"))
    order = make_lab_order(doctor=doctor, status="in_progress", tests=[make_lab_test(test_name="Zqpotassium")])
    return make_critical_result(lab_order=order, **over)


def page_now() -> str:
    """Page what waits: the clock of the database stands still inside a test."""
    CriticalPage.objects.filter(work_state="waiting").update(due_at=timezone.now() - HOUR)
    return critical_results.page_due()


def taken(outbox: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(outbox.glob("*.json"))]


@pytest.mark.parametrize("phone", [PHONE, ""])
def test_a_page_says_that_there_is_one_and_where_and_nothing_of_the_patient(phone: str, outbox: Path) -> None:
    row = found(phone)
    assert page_now() == "1 done"
    (message,) = taken(outbox)
    page = row.pages.get()
    assert message["to"] == (phone or page.recipient.email)
    assert (page.status, page.work_state, page.external_id) == ("sent", "done", message["id"])
    text = json.dumps({name: value for name, value in message.items() if name not in ("to", "attempt_id", "id", "at")})
    patient, result = row.patient, row.result
    for private in (
        patient.first_name, patient.last_name, patient.medical_record_number, str(patient.pk), "1980-05-17",
        "Zqpotassium", "Haversham", result.lab_order.order_number, result.code_as_sent, "6.9", "mmol",
    ):  # fmt: skip
        assert private.lower() not in text.replace(str(row.pk), "").lower(), private
    assert "Elm Street Clinic" in text
    assert f"https://clinic.example.org/console/labs/critical/{row.pk}/" in text
    step = row.steps.get(kind="paged")
    assert (step.recipient, step.note.endswith("the responsible doctor: sent.")) == (page.recipient, True)


def test_the_text_message_is_one_sentence_and_a_link(outbox: Path) -> None:
    row = found()
    page_now()
    assert taken(outbox)[0]["body"] == (
        "Elm Street Clinic: A critical laboratory result needs your acknowledgement. "
        f"https://clinic.example.org/console/labs/critical/{row.pk}/"
    )


@pytest.mark.parametrize("happens", ["acknowledged", "login closed"])
def test_what_happens_before_the_page_leaves_still_stops_it(happens: str, outbox: Path) -> None:
    row = found()
    if happens == "acknowledged":
        critical.acknowledge(row, by=row.doctor.user, read_back="6.9")
    else:
        User.objects.filter(pk=row.doctor.user_id).update(is_active=False)
    assert page_now() == "1 not needed"
    assert (row.pages.get().status, taken(outbox)) == ("not_needed", [])


def test_a_number_the_provider_refuses_is_answered_with_an_e_mail(twilio: TwilioDouble, outbox: Path) -> None:
    row = found()
    twilio.refuse_next(21211)
    assert page_now() == "1 failed"
    assert page_now() == "1 done"
    assert [(message["kind"], message["to"]) for message in taken(outbox)] == [("email", row.doctor.user.email)]
    assert set(row.pages.values_list("channel", "status")) == {("sms", "failed"), ("email", "sent")}


def test_a_lost_answer_holds_the_page_and_the_next_tier_is_paged_all_the_same(
    twilio: TwilioDouble, outbox: Path
) -> None:
    row, admin = found(), make_user("admin")
    User.objects.filter(role="admin").exclude(pk=admin.pk).update(is_active=False)
    twilio.fail_next(drop=True, accepted=True)
    assert page_now() == "1 held"
    CriticalResult.objects.filter(pk=row.pk).update(due_at=timezone.now() - HOUR)
    assert critical_results.escalate() == "escalated 1"
    assert page_now() == "1 done"
    assert [message["to"] for message in taken(outbox)] == [admin.email]
    assert stored(row.pages.get(tier=0)).work_state == "held"


def test_a_worker_killed_while_it_sent_leaves_the_page_held_and_the_escalation_going(outbox: Path) -> None:
    row, _ = found(), make_user("admin")
    CriticalPage.objects.update(due_at=timezone.now() - HOUR)
    (leased,) = CriticalPage.work.lease(1)
    assert leased.begin()
    run_out(leased)
    CriticalPage.work.hold_lost()
    assert stored(leased).work_state == "held"
    CriticalResult.objects.filter(pk=row.pk).update(due_at=timezone.now() - HOUR)
    assert critical_results.escalate() == "escalated 1"
    assert row.pages.filter(tier=2, work_state="waiting").exists()


def test_a_correction_is_told_to_whoever_may_have_read_the_page(outbox: Path) -> None:
    row = found()
    page_now()
    critical._take_back(CriticalResult.objects.get(pk=row.pk), row.result, critical.CriticalPolicy.current())
    assert page_now() == "1 done"
    assert any("was corrected" in message["body"] for message in taken(outbox))
    assert "6.9" not in json.dumps([message["body"] for message in taken(outbox)])


def test_a_correction_is_told_to_whoever_is_being_paged_at_that_moment() -> None:
    row, newer = found(), make_critical_result()
    CriticalPage.objects.filter(critical_result=row).update(due_at=timezone.now() - HOUR)
    (held,) = CriticalPage.work.lease(1)
    policy = critical.CriticalPolicy.current()
    for each in (row, newer):
        critical._take_back(CriticalResult.objects.get(pk=each.pk), each.result, policy)
    assert held.finish(status="sent")
    assert [page.recipient for page in CriticalPage.objects.filter(subject="corrected")] == [row.doctor.user]
    (waited,) = newer.pages.all()
    assert (waited.status, waited.work_state) == ("not_needed", "done"), "no worker may begin to send it"


def test_each_watch_leaves_its_heartbeat_and_tells_what_it_did() -> None:
    make_lab_feed(silence_minutes=5)
    make_lab_order(status="ordered", order_date=timezone.now() - timedelta(hours=25))
    assert critical_results.escalate() == "escalated 0"
    assert lab_watch.overdue_results() == "opened 1, cleared 0"
    assert lab_watch.feed_silence() == "0 silent, cleared 0"
    beats = set(Heartbeat.objects.values_list("entry", flat=True))
    assert {"critical results unacknowledged", "overdue results", "feed silence"} <= beats
    assert Alert.objects.get().kind == "lab_result_overdue"
