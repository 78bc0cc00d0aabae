"""Holds that a freed time goes down the line in order, one step at a time, and that nobody is woken by it."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from backend.apps.appointments import waitlist, waitlist_line
from backend.apps.appointments.models import FreedSlot, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.appointments.tests.waitlist_factories import (
    make_freed_slot,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.core.models import Clinic
from backend.apps.doctors.models import DoctorAvailability
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.messaging.models import ContactRules, PatientMessage
from backend.apps.patients.models import ContactPoint
from backend.apps.patients.tests.factories import reached_at

pytestmark = pytest.mark.django_db
MINUTES, HOLD = timedelta(minutes=1), timedelta(minutes=30)


@pytest.fixture(autouse=True)
def rules() -> ContactRules:
    """Texts are allowed at whatever hour a test runs."""
    return ContactRules.objects.create(opens_at=time(0), closes_at=time.max)


def step(slot: FreedSlot, after: timedelta = timedelta(0)) -> bool:
    return waitlist_line.go_on(slot, now=timezone.now() + after)


def offered(slot: FreedSlot) -> list[WaitlistEntry]:
    offers = WaitlistOffer.objects.filter(slot=slot).order_by("created_at", "id").select_related("entry")
    return [offer.entry for offer in offers]


def stored(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def sent(offer: WaitlistOffer, ago: timedelta = timedelta(0)) -> None:
    PatientMessage.objects.filter(subject_id=offer.pk).update(
        status="sent", work_state="done", sent_at=timezone.now() - ago
    )


def line(count: int, **over: Any) -> list[WaitlistEntry]:
    return [make_waitlist_entry(**over) for _ in range(count)]


def test_the_first_in_line_is_offered_the_time_in_one_message() -> None:
    slot, (first, _) = make_freed_slot(), line(2)
    assert step(slot)
    assert offered(slot) == [first]
    offer, message = WaitlistOffer.objects.get(), PatientMessage.objects.get()
    assert (message.patient, message.channel, message.wording) == (first.patient, "sms", "waitlist_offer")
    assert (message.subject_id, message.work_state) == (offer.pk, "waiting")
    assert abs(offer.held_until - timezone.now() - HOLD) < MINUTES
    assert message.useful_until < slot.starts_at - timedelta(hours=2)


def test_steps_are_safe_to_repeat() -> None:
    slot, (first, _) = make_freed_slot(), line(2)
    for _ in range(3):
        assert step(slot)
    assert offered(slot) == [first]
    assert PatientMessage.objects.count() == 1


def test_as_many_are_asked_at_once_as_the_clinic_wants(settings: Any) -> None:
    settings.WAITLIST_AT_ONCE = 2
    slot, entries = make_freed_slot(), line(3)
    step(slot)
    assert offered(slot) == entries[:2]


def test_one_patient_with_two_wishes_is_asked_once(settings: Any) -> None:
    settings.WAITLIST_AT_ONCE = 2
    slot, first = make_freed_slot(), make_waitlist_entry()
    make_waitlist_entry(patient=first.patient, doctor=slot.doctor)
    (last,) = line(1)
    step(slot)
    assert offered(slot) == [first, last]


def test_when_one_declines_the_next_is_asked() -> None:
    slot, entries = make_freed_slot(), line(2)
    step(slot)
    waitlist.decline(WaitlistOffer.objects.get(), by=None)
    assert step(slot)
    assert offered(slot) == entries


def test_a_second_time_waits_for_who_is_just_offered_the_first_and_is_theirs_when_they_decline_that() -> None:
    first, second, (only,) = make_freed_slot(), make_freed_slot(), line(1)
    step(first)
    assert step(second)
    offer = WaitlistOffer.objects.get()
    assert (offered(second), stored(second).status) == ([], "open")
    assert stored(second).due_at == offer.held_until
    waitlist.decline(offer, by=None)
    assert stored(second).due_at <= timezone.now()
    step(second)
    assert offered(second) == [only]


def test_a_time_for_which_the_only_one_is_busy_to_its_end_goes_back_to_everybody() -> None:
    first, (only,) = make_freed_slot(), line(1)
    second = make_freed_slot(starts_at=timezone.now() + timedelta(hours=2, minutes=35))
    step(first)
    assert not step(second)
    assert (stored(second).status, offered(first)) == ("expired", [only])


def test_when_a_hold_runs_out_the_next_is_asked_and_the_first_keeps_the_place() -> None:
    slot, entries = make_freed_slot(), line(2)
    step(slot)
    offer = WaitlistOffer.objects.get()
    sent(offer)
    assert step(slot)
    assert stored(slot).due_at == stored(offer).held_until
    step(slot, after=HOLD - MINUTES)
    assert offered(slot) == entries[:1]
    step(slot, after=HOLD + MINUTES)
    assert offered(slot) == entries
    assert (stored(offer).status, stored(entries[0]).status) == ("expired", "waiting")


def test_a_hold_counts_from_the_moment_the_message_left() -> None:
    slot, _ = make_freed_slot(), line(2)
    step(slot)
    offer = WaitlistOffer.objects.get()
    step(slot, after=40 * MINUTES)  # the provider is away; the time stays held for the first
    assert stored(offer).status == "offered"
    assert stored(offer).held_until > timezone.now() + 40 * MINUTES
    sent(offer, ago=-45 * MINUTES)
    step(slot, after=46 * MINUTES)
    assert abs(stored(offer).held_until - (timezone.now() + 75 * MINUTES)) < MINUTES


@pytest.mark.parametrize("status", ["failed", "bounced", "suppressed", "superseded"])
def test_who_cannot_be_told_does_not_keep_the_others_waiting(status: str) -> None:
    slot, entries = make_freed_slot(), line(2)
    step(slot)
    ago = timezone.now() - 2 * MINUTES  # long enough for another channel to have been tried
    PatientMessage.objects.update(status=status, work_state="done", updated_at=ago)
    step(slot)
    assert offered(slot) == entries


def test_a_time_is_never_held_within_two_hours_before_it() -> None:
    visit = make_freed_slot(starts_at=timezone.now() + timedelta(hours=2, minutes=15))
    line(1)
    step(visit)
    offer = WaitlistOffer.objects.get()
    assert offer.held_until == visit.starts_at - timedelta(hours=2)
    sent(offer)
    step(visit)
    assert stored(offer).held_until == visit.starts_at - timedelta(hours=2)


def test_nobody_is_asked_when_too_little_is_left_to_answer() -> None:
    slot = make_freed_slot(starts_at=timezone.now() + timedelta(hours=2, minutes=9))
    line(1)
    assert not step(slot)
    assert (offered(slot), stored(slot).status) == ([], "expired")


def test_a_time_that_nobody_took_goes_back_to_everybody() -> None:
    slot, _ = make_freed_slot(), line(1)
    step(slot)
    waitlist.decline(WaitlistOffer.objects.get(), by=None)
    assert not step(slot)
    assert stored(slot).status == "expired"


def test_who_is_busy_unreachable_gone_or_asked_elsewhere_is_passed_over() -> None:
    slot = make_freed_slot()
    busy, silent, stopped, gone, elsewhere, last = line(6)
    make_appointment(patient=busy.patient, appointment_datetime=slot.starts_at - 29 * MINUTES)
    type(silent.patient).objects.filter(pk=silent.patient_id).update(sms_consent=False, email_consent=False)
    type(stopped.patient).objects.filter(pk=stopped.patient_id).update(email_consent=False)
    reached_at(stopped.patient, phone="+14155550177")
    ContactPoint.objects.create(channel="sms", address="+14155550177", opted_out_at=timezone.now())
    gone.patient.delete()
    make_waitlist_offer(entry=elsewhere)
    step(slot)
    assert offered(slot) == [last]


def test_who_has_no_text_messages_is_asked_by_mail() -> None:
    slot = make_freed_slot()
    make_waitlist_entry(patient=make_reachable_patient(sms_consent=False))
    step(slot)
    assert PatientMessage.objects.get().channel == "email"


def test_a_long_line_of_people_who_cannot_be_reached_is_walked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waitlist_line, "LOOKED_AT", 2)
    slot = make_freed_slot()
    line(5, patient=None)
    type(make_reachable_patient()).objects.update(sms_consent=False, email_consent=False)
    (last,) = line(1)
    step(slot)
    assert offered(slot) == [last]


def test_a_doctor_who_takes_no_new_patients_is_offered_to_known_ones() -> None:
    slot = make_freed_slot()
    type(slot.doctor).objects.filter(pk=slot.doctor_id).update(is_accepting_patients=False)
    _, known = line(2)
    make_appointment(patient=known.patient, doctor=slot.doctor, status="completed")
    step(slot)
    assert offered(slot) == [known]


def test_nobody_is_asked_at_night_and_the_time_waits_for_the_morning(rules: ContactRules) -> None:
    zone = ZoneInfo("America/New_York")
    night = datetime.combine(Clinic.today() + timedelta(days=2), time(23, 30), zone)
    ContactRules.objects.update(opens_at=time(9), closes_at=time(20))
    make_waitlist_entry(patient=make_reachable_patient(time_zone=zone.key))
    slot = make_freed_slot(starts_at=night + timedelta(days=3))
    assert waitlist_line.go_on(slot, now=night)
    assert offered(slot) == []
    assert stored(slot).due_at == night + timedelta(hours=9, minutes=30)
    assert waitlist_line.go_on(slot, now=stored(slot).due_at)
    assert len(offered(slot)) == 1


def test_who_is_awake_goes_before_who_sleeps_when_the_time_is_near(rules: ContactRules) -> None:
    night = datetime.combine(Clinic.today() + timedelta(days=2), time(21, 30), ZoneInfo("America/New_York"))
    ContactRules.objects.update(opens_at=time(9), closes_at=time(20))
    asleep = make_waitlist_entry(patient=make_reachable_patient(time_zone="America/New_York"))
    awake = make_waitlist_entry(patient=make_reachable_patient(time_zone="America/Los_Angeles"))
    slot = make_freed_slot(starts_at=night + timedelta(hours=6))
    waitlist_line.go_on(slot, now=night)
    assert offered(slot) == [awake]
    assert asleep.created_at < awake.created_at


def test_a_time_that_was_booked_or_is_closed_is_withdrawn_and_its_message_taken_back() -> None:
    booked, closed = make_freed_slot(), make_freed_slot()
    line(2)
    step(booked), step(closed)
    make_appointment(doctor=booked.doctor, appointment_datetime=booked.starts_at)
    DoctorAvailability.objects.filter(doctor=closed.doctor).delete()
    for slot in (booked, closed):
        assert not step(slot)
        assert stored(slot).status == "withdrawn"
    assert set(WaitlistOffer.objects.values_list("status", flat=True)) == {"expired"}
    assert set(PatientMessage.objects.values_list("status", flat=True)) == {"superseded"}


def test_when_one_accepts_the_other_offers_end_and_their_messages_are_taken_back(settings: Any) -> None:
    settings.WAITLIST_AT_ONCE = 3
    slot, _ = make_freed_slot(), line(3)
    step(slot)
    first = WaitlistOffer.objects.order_by("created_at", "id").first()
    assert first is not None
    waitlist.accept(first, by=None)
    assert not step(slot)
    assert sorted(WaitlistOffer.objects.values_list("status", flat=True)) == ["accepted", "expired", "expired"]
    assert PatientMessage.objects.filter(status="superseded").count() == 2


def test_a_wish_that_was_withdrawn_gives_its_offer_to_the_next() -> None:
    slot, entries = make_freed_slot(), line(2)
    step(slot)
    waitlist.withdraw(entries[0], by=None)
    step(slot)
    assert offered(slot) == entries


def test_a_doctor_s_own_wish_comes_only_for_that_doctor() -> None:
    slot = make_freed_slot()
    make_waitlist_entry(doctor=make_doctor())
    mine = make_waitlist_entry(doctor=slot.doctor)
    step(slot)
    assert offered(slot) == [mine]
