"""Proves that no visit is made or offered with a doctor whose licence lapsed and the desk learns what to move."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.appointments import services, waitlist, waitlist_line
from backend.apps.appointments.models import Appointment, WaitlistOffer
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.appointments.tests.waitlist_factories import (
    make_freed_slot,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.credentials.entitlement import NEUTRAL, NotEntitled
from backend.apps.credentials.tests.override_factories import lapsed_doctor, make_override
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import VERIFIED, make_always_available, make_credential, make_doctor
from backend.apps.messaging.models import ContactRules, PatientMessage
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/appointments/"


def lapsed() -> Doctor:
    return make_always_available(lapsed_doctor())


def booked(doctor: Doctor, *, role: str = "receptionist", **over: Any) -> Any:
    form = {"patient": str(make_patient().pk), "doctor": str(doctor.pk), "appointment_datetime": free_time(), **over}
    return client_for(make_user(role=role)).post(URL, form, format="json")


def ahead(doctor: Doctor, days: int, **over: Any) -> Appointment:
    return make_appointment(doctor=doctor, appointment_datetime=timezone.now() + timedelta(days=days), **over)


class TestBooking:
    def test_it_is_422_with_what_ended_and_the_visits_to_move(self) -> None:
        doctor = lapsed()
        later, first = ahead(doctor, 9), ahead(doctor, 2, status="confirmed")
        ahead(doctor, -2, status="completed")
        ahead(doctor, 3, status="cancelled")
        ahead(make_doctor(), 2)
        answer = booked(doctor)
        assert answer.status_code == 422
        assert answer.data["code" if "code" in answer.data else "type"].endswith("not_entitled")
        yesterday = (Clinic.today() - timedelta(days=1)).isoformat()
        assert f"ended on {yesterday}" in answer.data["detail"]
        assert answer.data["missing"] == [{"credential_type": "state_license", "state": "NY", "expired_on": yesterday}]
        assert answer.data["booked_count"] == 2
        assert answer.data["booked"] == [
            {"id": str(one.pk), "appointment_datetime": one.appointment_datetime.isoformat()} for one in (first, later)
        ]
        assert first.patient.last_name not in str(answer.data)
        every = client_for(make_user(role="receptionist")).get(answer.data["booked_list"]).data["results"]
        assert [row["id"] for row in every] == [str(first.pk), str(later.pk)]

    def test_a_doctor_is_told_the_visits_that_role_may_see_and_of_many_the_first_fifty(self) -> None:
        doctor = lapsed()
        patient, begins = make_patient(), timezone.now() + timedelta(days=1)
        Appointment.objects.bulk_create(
            Appointment(patient=patient, doctor=doctor, appointment_datetime=begins + timedelta(hours=n))
            for n in range(51)
        )
        answer = booked(doctor)
        assert (answer.data["booked_count"], len(answer.data["booked"])) == (51, 50)
        other = make_doctor()
        with pytest.raises(NotEntitled) as refused:
            services.book(by=other.user, patient=make_patient(), doctor=doctor, appointment_datetime=free_time())
        assert refused.value.details()["booked"] == []

    def test_visits_after_a_licence_on_file_begins_are_not_to_move(self) -> None:
        doctor = lapsed()
        near, _ = ahead(doctor, 2), ahead(doctor, 12)
        make_credential(doctor=doctor, issue_date=Clinic.today() + timedelta(days=10), **VERIFIED)
        answer = booked(doctor, appointment_datetime=timezone.now() + timedelta(days=5))
        assert [row["id"] for row in answer.data["booked"]] == [str(near.pk)]
        assert booked(doctor).status_code == 201  # weeks ahead, when it has begun

    def test_a_licence_that_lapses_before_the_visit_is_renewed_as_a_rule(self) -> None:
        assert booked(make_always_available(lapsed_doctor(days=0))).status_code == 201

    def test_an_exception_or_a_renewed_licence_lets_it_through(self) -> None:
        doctor = lapsed()
        exception = make_override(doctor)
        assert booked(doctor).status_code == 201
        exception.delete()
        assert booked(doctor).status_code == 422
        make_credential(doctor=doctor, issue_date=Clinic.today(), **VERIFIED)
        assert booked(doctor).status_code == 201

    def test_what_is_taken_over_from_another_system_stays_free(self) -> None:
        fields = {"patient": make_patient(), "appointment_datetime": free_time()}
        assert services.book(by=None, doctor=lapsed(), imported=True, **fields).pk


class TestMoving:
    def test_no_visit_moves_to_a_doctor_without_a_licence_but_away_it_may(self) -> None:
        doctor, good = lapsed(), make_always_available(make_doctor())
        visit = ahead(good, 3)
        api = client_for(make_user(role="receptionist"))
        assert api.patch(f"{URL}{visit.pk}/", {"doctor": str(doctor.pk)}, format="json").status_code == 422
        to_move = ahead(doctor, 4)
        for change in ({"appointment_datetime": free_time()}, {"duration_minutes": 15}, {"reason": "Cough"}):
            code = 422 if "appointment_datetime" in change else 200
            assert api.patch(f"{URL}{to_move.pk}/", change, format="json").status_code == code
        form = {"appointment_datetime": free_time()}
        assert api.post(f"{URL}{to_move.pk}/reschedule/", form, format="json").status_code == 422
        assert Appointment.objects.get(pk=to_move.pk).status == "scheduled"
        assert api.patch(f"{URL}{to_move.pk}/", {"doctor": str(good.pk)}, format="json").status_code == 200
        for verb in ("confirm", "check_in"):
            assert api.post(f"{URL}{to_move.pk}/{verb}/").status_code == 200


class TestWaitlist:
    @pytest.fixture(autouse=True)
    def rules(self) -> ContactRules:
        return ContactRules.objects.create(opens_at=time(0), closes_at=time.max)

    def test_a_freed_time_of_a_doctor_without_a_licence_is_offered_to_nobody_until_there_is_one(self) -> None:
        make_waitlist_entry()
        doctor, now = lapsed(), timezone.now()
        slot = make_freed_slot(doctor=doctor)
        assert waitlist_line.go_on(slot, now=now) is True
        slot.refresh_from_db()
        assert (slot.status, slot.due_at) == ("open", now + waitlist_line.UNENTITLED)
        assert not WaitlistOffer.objects.exists()
        make_override(doctor)
        assert waitlist_line.go_on(slot, now=now) is True
        assert WaitlistOffer.objects.get().status == "offered"

    def test_what_is_offered_when_the_licence_lapses_ends_and_the_time_ends_with_its_day(self) -> None:
        make_waitlist_entry()
        doctor, now = make_always_available(make_doctor()), timezone.now()
        slot = make_freed_slot(doctor=doctor)
        assert waitlist_line.go_on(slot, now=now) is True
        DoctorCredential.objects.filter(doctor=doctor).update(expiry_date=Clinic.today() - timedelta(days=1))
        assert waitlist_line.go_on(slot, now=now) is True
        assert WaitlistOffer.objects.get().status == "lapsed"
        assert waitlist_line.go_on(slot, now=slot.last_moment) is False
        slot.refresh_from_db()
        assert slot.status == "expired"

    def test_a_time_that_was_not_bookable_for_a_while_is_offered_again_to_whom_it_was_offered(self) -> None:
        make_waitlist_entry()
        doctor, now = make_always_available(make_doctor()), timezone.now()
        slot, licence = make_freed_slot(doctor=doctor), DoctorCredential.objects.filter(doctor=doctor)
        for ends in (100, -1, 100):
            licence.update(expiry_date=Clinic.today() + timedelta(days=ends))
            assert waitlist_line.go_on(slot, now=now) is True
        first, second = WaitlistOffer.objects.order_by("created_at")
        assert (first.status, second.status, first.entry) == ("lapsed", "offered", second.entry)
        told = PatientMessage.objects.filter(wording="waitlist_offer").order_by("created_at")
        assert list(told.values_list("subject_id", "work_state")) == [(first.pk, "done"), (second.pk, "waiting")]
        with pytest.raises(DomainError, match="has ended"):
            waitlist.decline(first, by=None)

    @pytest.mark.parametrize(("ago", "status", "offers"), [(31, "expired", 1), (29, "lapsed", 2), (None, "lapsed", 2)])
    def test_an_offer_that_ran_out_before_the_licence_lapsed_is_not_made_again(
        self, ago: int | None, status: str, offers: int
    ) -> None:
        make_waitlist_entry()
        doctor, now = make_always_available(make_doctor()), timezone.now()
        slot, licence = make_freed_slot(doctor=doctor), DoctorCredential.objects.filter(doctor=doctor)
        waitlist_line.go_on(slot, now=now)
        WaitlistOffer.objects.update(held_until=now - timedelta(minutes=1))
        if ago is not None:
            left_at = now - timedelta(minutes=ago)
            PatientMessage.objects.update(status="sent", work_state="done", sent_at=left_at)
        for ends in (-1, 100):
            licence.update(expiry_date=Clinic.today() + timedelta(days=ends))
            waitlist_line.go_on(slot, now=now)
        first = WaitlistOffer.objects.earliest("created_at")
        assert (first.status, WaitlistOffer.objects.count()) == (status, offers)

    def test_an_offer_made_before_the_licence_lapsed_is_not_booked_and_the_patient_is_told_to_call(self) -> None:
        offer = make_waitlist_offer()
        DoctorCredential.objects.filter(doctor=offer.slot.doctor).update(expiry_date=Clinic.today() - timedelta(days=1))
        with pytest.raises(NotEntitled) as refused:
            waitlist.accept(offer, by=None)
        assert (str(refused.value), refused.value.details()) == (NEUTRAL, {})
        assert WaitlistOffer.objects.get(pk=offer.pk).status == "offered"
