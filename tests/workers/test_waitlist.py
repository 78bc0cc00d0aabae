"""Holds that freed times move by the worker: one offer at a time, whatever is rung and however often."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from backend.apps.appointments import services
from backend.apps.appointments import waitlist as line
from backend.apps.appointments.models import FreedSlot, WaitlistOffer
from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.appointments.tests.waitlist_factories import (
    make_freed_slot,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.core.models import Heartbeat
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.messaging import links
from backend.apps.messaging.models import ContactRules, PatientMessage
from tests.workers.rows import HOUR, stored
from workers import gateways, reminders, waitlist

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rules(rung: list[str]) -> ContactRules:
    return ContactRules.objects.create(opens_at=time(0), closes_at=time.max, display_name="The clinic")


@pytest.fixture
def outbox(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.SMS_TRANSPORT = settings.EMAIL_TRANSPORT = "sandbox"
    settings.DATA_DIR = tmp_path
    gateways._clients.__dict__.clear()
    yield tmp_path / "outbox"
    gateways._clients.__dict__.clear()


def run() -> str:
    """Let the worker do what is due by now: inside of a test's transaction, the database's clock stands still."""
    FreedSlot.objects.filter(due_at__lte=timezone.now()).update(due_at=timezone.now() - HOUR)
    return waitlist.offer_due()


def test_a_cancelled_visit_is_offered_then_to_the_next_and_taken_in_three_runs() -> None:
    visit = make_appointment(doctor=make_always_available(make_doctor()))
    first, second = make_waitlist_entry(), make_waitlist_entry()
    services.cancel(visit, by=None, reason="ill")
    assert run() == "1 released"
    slot = FreedSlot.objects.get()
    assert (slot.work_state, slot.attempts, slot.status) == ("waiting", 0, "open")
    assert run() == "nothing due"
    line.decline(WaitlistOffer.objects.get(entry=first), by=None)
    assert run() == "1 released"
    taken = line.accept(WaitlistOffer.objects.get(entry=second), by=None)
    assert run() == "1 done"
    assert taken.appointment is not None
    assert taken.appointment.patient == second.patient
    assert (stored(slot).work_state, stored(slot).status) == ("done", "taken")


def test_a_hold_that_ran_out_is_found_though_no_bell_rang(rung: list[str]) -> None:
    offer = make_waitlist_offer(
        slot=make_freed_slot(due_at=timezone.now() + timedelta(days=1)), held_until=timezone.now()
    )
    next_one = make_waitlist_entry()
    assert waitlist.watch() == "woke 1, ended 0"
    assert Heartbeat.objects.filter(entry="waitlist holds").exists()
    PatientMessage.objects.create(
        patient=offer.entry.patient,
        channel="sms",
        wording="waitlist_offer",
        subject_id=offer.pk,
        status="sent",
        work_state="done",
        sent_at=timezone.now() - timedelta(minutes=31),
        scheduled_send_time=timezone.now(),
        dedupe_key=f"waitlist_offer:{offer.pk}",
    )
    assert run() == "1 released"
    assert WaitlistOffer.objects.get(status="offered").entry == next_one


def message_of(offer: WaitlistOffer) -> PatientMessage:
    return PatientMessage.objects.select_related("patient").get(subject_id=offer.pk)


def offered() -> WaitlistOffer:
    make_freed_slot()
    make_waitlist_entry()
    run()
    return stored_offer()


@pytest.mark.parametrize("why", ["still offered", "declined", "withdrawn", "taken", "gone"])
def test_an_offer_that_has_ended_is_not_sent_any_more(why: str) -> None:
    offer = offered()
    message = message_of(offer)
    if why == "declined":
        line.decline(offer, by=None)
    if why == "withdrawn":
        line.withdraw(offer.entry, by=None)
    if why == "taken":
        FreedSlot.objects.update(status="taken")
    if why == "gone":
        message.subject_id = message.pk
    assert (waitlist.late([message])[message.pk] is None) == (why == "still offered")


def test_an_offer_says_the_time_until_when_it_holds_and_where_to_answer() -> None:
    offer = offered()
    message = message_of(offer)
    said = waitlist.facts([message])[message.pk]
    assert (said.starts_at, said.clinic) == (offer.slot.starts_at, "The clinic")
    assert said.expires_at is not None
    assert said.expires_at <= offer.held_until
    assert offer.held_until - said.expires_at < timedelta(minutes=2)
    assert said.patient_zone == ZoneInfo("America/New_York")
    assert said.link == links.url(message.pk, "waitlist")


def test_an_offer_leaves_with_a_link_to_it_and_its_hold_runs_from_then(outbox: Path) -> None:
    offer = offered()
    PatientMessage.objects.update(due_at=timezone.now() - HOUR)
    assert reminders.deliver_messages() == "1 done"
    (text,) = [json.loads(file.read_text()) for file in outbox.glob("*.json")]
    token = re.search(r"/a/([\w-]{22})", text["body"])
    assert token is not None
    link = links.find(token[1])
    assert link is not None
    assert (link.purpose, link.subject_id, link.patient) == ("waitlist", offer.pk, offer.entry.patient)
    FreedSlot.objects.update(due_at=timezone.now())
    run()
    after = stored_offer()
    assert after.sent_at == message_of(offer).sent_at
    assert after.held_until == after.sent_at + timedelta(minutes=30)


def stored_offer() -> WaitlistOffer:
    return WaitlistOffer.objects.select_related("slot", "entry").get()
