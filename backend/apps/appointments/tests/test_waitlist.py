"""Holds that a freed time is queued for those who wait, held for one, and taken once, whoever else wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments import services, waitlist
from backend.apps.appointments.models import Appointment, FreedSlot, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.tests.factories import free_time, make_appointment, make_reachable_patient
from backend.apps.appointments.tests.waitlist_factories import (
    make_freed_slot,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.messaging.models import StaffTask
from backend.apps.patients import merging
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

DAY = timedelta(days=1)


def visit(**over: Any) -> Appointment:
    over.setdefault("doctor", None)
    return make_appointment(**{**over, "doctor": over["doctor"] or make_always_available(make_doctor())})


def freed() -> list[FreedSlot]:
    return list(FreedSlot.objects.order_by("created_at"))


def day_of(row: Appointment) -> date:
    return row.appointment_datetime.astimezone(Clinic.current().zone).date()


MISFITS: dict[str, Callable[[Appointment], dict[str, Any]]] = {  # of a visit at noon
    "another kind": lambda _: {"appointment_type": "procedure"},
    "too short": lambda row: {"duration_minutes": row.duration_minutes + 1},
    "too late": lambda row: {"until_on": day_of(row) - DAY},
    "too early": lambda row: {"from_on": day_of(row) + DAY},
    "over": lambda _: {"status": "withdrawn"},
    "another doctor": lambda _: {"doctor": make_doctor()},
    "before the hours": lambda _: {"earliest": time(12, 1)},
    "after the hours": lambda _: {"latest": time(12, 29)},
    "their own": lambda row: {"patient": row.patient},
}


@pytest.mark.django_db
class TestFreedTime:
    def test_a_cancelled_time_is_queued_while_somebody_waits_for_one_like_it(self) -> None:
        row = visit(duration_minutes=45, location="Room 3")
        make_waitlist_entry(doctor=row.doctor)
        services.cancel(row, by=None, reason="ill")
        (slot,) = freed()
        assert (slot.doctor, slot.starts_at, slot.ends_at) == (row.doctor, row.appointment_datetime, row.end_datetime)
        assert (slot.freed_by, slot.location, slot.status, slot.work_state) == (row, "Room 3", "open", "waiting")

    @pytest.mark.parametrize("reason", MISFITS)
    def test_a_time_nobody_waits_for_is_not_queued(self, reason: str) -> None:
        row = visit(appointment_datetime=_noon())
        make_waitlist_entry(**MISFITS[reason](row))
        services.cancel(row, by=None, reason="ill")
        assert freed() == []

    def test_the_hours_of_a_wish_are_read_on_the_clinic_s_clock_and_include_their_ends(self) -> None:
        row = visit(appointment_datetime=_noon())
        make_waitlist_entry(earliest=time(12), latest=time(12, 30))
        services.cancel(row, by=None, reason="ill")
        assert len(freed()) == 1

    def test_a_time_in_less_than_two_hours_is_not_queued(self) -> None:
        make_waitlist_entry()
        services.cancel(visit(appointment_datetime=timezone.now() + timedelta(minutes=119)), by=None, reason="ill")
        assert freed() == []

    def test_a_time_the_desk_keeps_back_is_not_queued(self) -> None:
        make_waitlist_entry()
        services.cancel(visit(), by=None, reason="the doctor is ill", offer_time=False)
        assert freed() == []

    def test_a_visit_that_is_moved_frees_its_old_time_each_time_it_moves(self) -> None:
        make_waitlist_entry()
        row = visit()
        times = [row.appointment_datetime]
        services.change(row, by=None, appointment_datetime=free_time() + DAY)
        times.append(row.appointment_datetime)
        services.reschedule(row, by=None, appointment_datetime=free_time() + 2 * DAY)
        assert [slot.starts_at for slot in freed()] == times

    def test_a_visit_that_changes_its_doctor_frees_the_time_of_the_first(self) -> None:
        make_waitlist_entry()
        row = visit()
        first = row.doctor
        services.change(row, by=None, doctor=make_always_available(make_doctor()))
        assert [slot.doctor for slot in freed()] == [first]

    def test_a_change_that_frees_nothing_queues_nothing(self) -> None:
        make_waitlist_entry()
        services.change(visit(), by=None, location="Room 9")
        assert freed() == []


def _noon() -> Any:
    return free_time().astimezone(Clinic.current().zone).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.mark.django_db
class TestHold:
    def test_the_desk_may_not_book_a_held_time_by_mistake(self) -> None:
        offer = make_waitlist_offer()
        slot = offer.slot
        until = offer.held_until.astimezone(Clinic.current().zone)
        wanted = {"by": make_user("receptionist"), "doctor": slot.doctor, "patient": make_patient()}
        start = slot.starts_at + timedelta(minutes=29)
        with pytest.raises(Conflict, match=f"offered to a patient on the waitlist until {until:%H:%M}"):
            services.book(**wanted, appointment_datetime=start)
        assert services.book(**wanted, appointment_datetime=start, availability_override_reason="emergency").pk

    def test_a_visit_may_not_be_moved_into_a_held_time_either(self) -> None:
        slot = make_waitlist_offer().slot
        row = visit(doctor=slot.doctor)
        with pytest.raises(Conflict, match="waitlist"):
            services.reschedule(row, by=None, appointment_datetime=slot.starts_at)
        with pytest.raises(Conflict, match="waitlist"):
            services.change(row, by=None, appointment_datetime=slot.starts_at)

    @pytest.mark.parametrize("what", ["expired", "declined", "run out", "other doctor", "right after"])
    def test_a_time_that_is_not_held_can_be_booked(self, what: str) -> None:
        over = {"status": what} if what in {"expired", "declined"} else {}
        if what == "run out":
            over = {"held_until": timezone.now()}
        slot = make_waitlist_offer(**over).slot
        doctor = make_always_available(make_doctor()) if what == "other doctor" else slot.doctor
        start = slot.ends if what == "right after" else slot.starts_at
        assert services.book(by=None, doctor=doctor, patient=make_patient(), appointment_datetime=start).pk


@pytest.mark.django_db
class TestAnswers:
    def test_who_accepts_has_the_visit_and_leaves_the_line(self) -> None:
        offer = make_waitlist_offer(
            slot=make_freed_slot(duration_minutes=60, location="Room 3"), entry=make_waitlist_entry(duration_minutes=30)
        )
        after = waitlist.accept(offer, by=None)
        row = Appointment.objects.get(pk=after.appointment_id)
        assert (row.patient, row.doctor) == (offer.entry.patient, offer.slot.doctor)
        assert (row.appointment_datetime, row.duration_minutes, row.location) == (offer.slot.starts_at, 30, "Room 3")
        assert row.reminders.exists()
        assert statuses(offer) == ("accepted", "booked", "taken")

    def test_accepting_twice_is_accepting_once(self) -> None:
        offer = make_waitlist_offer()
        assert waitlist.accept(offer, by=None).appointment_id == waitlist.accept(offer, by=None).appointment_id
        assert Appointment.objects.filter(status="scheduled").count() == 1

    def test_who_comes_second_keeps_the_place(self) -> None:
        first = make_waitlist_offer()
        second = make_waitlist_offer(slot=first.slot)
        waitlist.accept(first, by=None)
        with pytest.raises(Conflict, match="Somebody else took this time first; the place on the waitlist is kept"):
            waitlist.accept(second, by=None)
        assert WaitlistEntry.objects.get(pk=second.entry_id).status == "waiting"

    @pytest.mark.parametrize("status", ["expired", "declined"])
    def test_an_offer_that_ended_cannot_be_accepted(self, status: str) -> None:
        refused(make_waitlist_offer(status=status), "has ended")

    def test_an_offer_whose_hold_ran_out_cannot_be_accepted(self) -> None:
        refused(make_waitlist_offer(held_until=timezone.now()), "has ended")

    @pytest.mark.parametrize("status", ["withdrawn", "expired"])
    def test_an_offer_of_a_time_that_is_gone_cannot_be_accepted(self, status: str) -> None:
        refused(make_waitlist_offer(slot=make_freed_slot(status=status)), "no longer free|has ended")

    def test_an_offer_whose_wish_was_withdrawn_cannot_be_accepted(self) -> None:
        offer = make_waitlist_offer()
        waitlist.withdraw(offer.entry, by=None)
        refused(offer, "withdrawn")

    def test_a_time_that_was_booked_all_the_same_is_no_longer_free(self) -> None:
        offer = make_waitlist_offer()
        make_appointment(doctor=offer.slot.doctor, appointment_datetime=offer.slot.starts_at)
        refused(offer, "no longer free")

    def test_one_wish_is_booked_once_though_two_times_were_offered(self) -> None:
        entry = make_waitlist_entry()
        first, second = make_waitlist_offer(entry=entry), make_waitlist_offer(entry=entry)
        waitlist.accept(first, by=None)
        refused(second, "booked or withdrawn")

    def test_who_declines_stays_in_line_and_the_time_goes_on_at_once(self) -> None:
        offer = make_waitlist_offer(slot=make_freed_slot(due_at=timezone.now() + DAY))
        waitlist.decline(offer, by=None)
        assert waitlist.decline(offer, by=None).status == "declined"
        assert statuses(offer) == ("declined", "waiting", "open")
        assert FreedSlot.objects.get(pk=offer.slot_id).due_at <= timezone.now()

    def test_what_was_accepted_is_cancelled_as_a_visit_and_not_declined(self) -> None:
        offer = waitlist.accept(make_waitlist_offer(), by=None)
        with pytest.raises(DomainError, match="cancel the visit"):
            waitlist.decline(offer, by=None)

    def test_a_wish_that_is_withdrawn_lets_its_held_time_go_on(self) -> None:
        offer = make_waitlist_offer(slot=make_freed_slot(due_at=timezone.now() + DAY))
        waitlist.withdraw(offer.entry, by=None)
        assert FreedSlot.objects.get(pk=offer.slot_id).due_at <= timezone.now()

    def test_the_desk_asks_whether_a_later_visit_of_the_kind_is_still_wanted(self) -> None:
        offer = make_waitlist_offer()
        later = make_appointment(patient=offer.entry.patient, appointment_datetime=offer.slot.starts_at + 3 * DAY)
        make_appointment(
            patient=offer.entry.patient,
            appointment_datetime=offer.slot.starts_at + 2 * DAY,
            appointment_type="procedure",
        )
        waitlist.accept(offer, by=None)
        task = StaffTask.objects.get()
        assert (task.kind, task.subject_id, task.patient) == ("reschedule", later.pk, later.patient)


def statuses(offer: WaitlistOffer) -> tuple[str, str, str]:
    row = WaitlistOffer.objects.select_related("entry", "slot").get(pk=offer.pk)
    return row.status, row.entry.status, row.slot.status


def refused(offer: WaitlistOffer, why: str) -> None:
    before, visits = statuses(offer), Appointment.objects.count()
    with pytest.raises(DomainError, match=why):
        waitlist.accept(offer, by=None)
    assert statuses(offer) == before
    assert Appointment.objects.count() == visits


@pytest.mark.django_db
class TestLine:
    def test_a_patient_waits_once_for_the_same(self) -> None:
        entry = make_waitlist_entry()
        days = {"from_on": entry.from_on, "until_on": entry.until_on}
        with pytest.raises(ValidationError, match="waits for this already"):
            waitlist.join(by=None, patient=entry.patient, **days)
        assert waitlist.join(by=None, patient=entry.patient, doctor=make_doctor(), **days).status == "waiting"

    def test_who_joins_while_a_time_they_want_is_open_is_offered_it(self) -> None:
        tomorrow = timezone.now() + DAY
        slot, other = make_freed_slot(due_at=tomorrow), make_freed_slot(due_at=tomorrow, appointment_type="procedure")
        day = slot.starts_at.astimezone(Clinic.current().zone).date()
        waitlist.join(by=None, patient=make_patient(), doctor=slot.doctor, from_on=day, until_on=day)
        assert FreedSlot.objects.get(pk=slot.pk).due_at <= timezone.now()
        assert FreedSlot.objects.get(pk=other.pk).due_at == tomorrow

    def test_days_that_have_passed_and_days_in_the_wrong_order_are_refused(self) -> None:
        patient, today = make_patient(), Clinic.today()
        with pytest.raises(DomainError, match="have passed"):
            waitlist.join(by=None, patient=patient, from_on=today - 2 * DAY, until_on=today - DAY)
        with pytest.raises(ValidationError, match="last day is not before"):
            waitlist.join(by=None, patient=patient, from_on=today + DAY, until_on=today)

    def test_a_patient_who_is_gone_cannot_wait(self) -> None:
        patient, today = make_patient(), Clinic.today()
        patient.delete()
        with pytest.raises((DomainError, ValidationError)):
            waitlist.join(by=None, patient=patient, from_on=today, until_on=today)

    def test_wishes_whose_days_have_passed_leave_the_line(self) -> None:
        today = Clinic.today()
        over = make_waitlist_entry(from_on=today - 9 * DAY, until_on=today - DAY)
        still = make_waitlist_entry(until_on=today)
        assert waitlist.watch() == (0, 1)
        assert [WaitlistEntry.objects.get(pk=row.pk).status for row in (over, still)] == ["withdrawn", "waiting"]

    def test_a_time_held_for_who_left_the_line_is_looked_at_at_once(self) -> None:
        today, later = Clinic.today(), timezone.now() + timedelta(hours=1)
        over = make_waitlist_entry(from_on=today - 9 * DAY, until_on=today - DAY)
        one, other = make_reachable_patient(), make_reachable_patient()
        make_waitlist_entry(patient=other)
        twice = make_waitlist_entry(patient=one)
        held = [make_waitlist_offer(entry=entry, slot=make_freed_slot(due_at=later)) for entry in (over, twice)]
        kept = make_waitlist_offer(slot=make_freed_slot(due_at=later))
        merging.merge(one, by=make_user("admin"), into=other)
        assert waitlist.watch() == (2, 1)
        asleep = FreedSlot.objects.filter(due_at__gt=timezone.now())
        assert list(asleep.values_list("pk", flat=True)) == [kept.slot_id]
        assert not asleep.filter(pk__in=[offer.slot_id for offer in held]).exists()

    def test_of_two_records_that_become_one_the_wish_that_came_first_keeps_its_place(self) -> None:
        one, other = make_reachable_patient(), make_reachable_patient()
        first, second = make_waitlist_entry(patient=one), make_waitlist_entry(patient=other)
        kept = make_waitlist_entry(patient=one, appointment_type="procedure")
        merging.merge(one, by=make_user("admin"), into=other)
        rows = {row.pk: row for row in WaitlistEntry.objects.all()}
        assert {row.patient_id for row in rows.values()} == {other.pk}
        assert [rows[row.pk].status for row in (first, second, kept)] == ["waiting", "withdrawn", "waiting"]


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_accept_one_time_at_the_same_moment_one_has_it_and_the_others_keep_their_place() -> None:
    slot = make_freed_slot()
    offers = [make_waitlist_offer(slot=slot) for _ in range(50)]
    outcomes = at_once(*(lambda offer=offer: waitlist.accept(offer, by=None) for offer in offers))
    assert sorted(outcomes) == ["Conflict"] * 49 + ["done"]
    assert Appointment.objects.filter(status="scheduled").count() == 1
    assert WaitlistOffer.objects.filter(status="accepted").count() == 1
    assert WaitlistEntry.objects.filter(status="waiting").count() == 49


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["accept", "confirm"])
def test_two_records_become_one_after_who_answers_at_that_moment(what: str) -> None:
    offer, stays, admin = make_waitlist_offer(), make_patient(), make_user("admin")
    visit = make_appointment(patient=offer.entry.patient)
    row: Any = offer.entry if what == "accept" else visit

    def merge() -> None:
        merging.merge(visit.patient, by=admin, into=stays)
        connection.close()

    merged = threading.Thread(target=merge)
    with transaction.atomic():
        type(row).objects.select_for_update(no_key=True).get(pk=row.pk)
        merged.start()
        wait_until_waited_for()
        if what == "accept":
            waitlist.accept(offer, by=None)
        else:
            services.confirm(visit, by=None)
    merged.join(10)
    assert set(Appointment.objects.exclude(status="cancelled").values_list("patient_id", flat=True)) == {stays.pk}
    assert WaitlistOffer.objects.get().status == ("accepted" if what == "accept" else "offered")
