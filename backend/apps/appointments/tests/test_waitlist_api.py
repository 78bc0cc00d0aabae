"""Holds the resources of the waitlist and of recalls as callers see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from rest_framework.test import APIClient

from backend.apps.appointments.models import Appointment, Recall, RecallRule, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient
from backend.apps.appointments.tests.waitlist_factories import (
    make_recall,
    make_recall_rule,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for


class TestEntryContract(ApiContract):
    url: ClassVar[str] = "/api/v1/waitlist-entries/"
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> WaitlistEntry:
        return make_waitlist_entry()


class TestOfferContract(ApiContract):
    url: ClassVar[str] = "/api/v1/waitlist-offers/"
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> WaitlistOffer:
        return make_waitlist_offer()


class TestRuleContract(ApiContract):
    url: ClassVar[str] = "/api/v1/recall-rules/"
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> RecallRule:
        return make_recall_rule()


class TestRecallContract(ApiContract):
    url: ClassVar[str] = "/api/v1/recalls/"
    reader: ClassVar[str] = "receptionist"
    stranger: ClassVar[str | None] = "patient"

    def make(self) -> Recall:
        return make_recall()


@pytest.fixture
def desk() -> APIClient:
    return client_for(make_user("receptionist"))


def post(client: APIClient, url: str, **body: Any) -> Any:
    return client.post(f"/api/v1/{url}/", body, format="json")


@pytest.mark.django_db
class TestDesk:
    def test_the_desk_puts_a_patient_in_line_and_takes_them_off_again(self, desk: APIClient) -> None:
        patient, today = make_reachable_patient(), Clinic.today()
        wish = {"patient": patient.pk, "from_on": today, "until_on": today + timedelta(days=9), "earliest": "09:00"}
        made = post(desk, "waitlist-entries", **wish)
        assert made.status_code == 201, made.data
        assert post(desk, "waitlist-entries", **wish).status_code == 400
        done = post(desk, f"waitlist-entries/{made.data['id']}/withdraw")
        assert (done.status_code, done.data["status"]) == (200, "withdrawn")
        assert post(desk, f"waitlist-entries/{made.data['id']}/withdraw").status_code == 422
        assert AuditLog.objects.filter(patient_id=patient.pk, action="withdraw", outcome="allowed").exists()

    def test_nobody_edits_or_deletes_a_place_in_line(self, desk: APIClient) -> None:
        url = f"/api/v1/waitlist-entries/{make_waitlist_entry().pk}/"
        assert desk.patch(url, {"note": "first"}, format="json").status_code == 403
        assert desk.delete(url).status_code == 403

    def test_the_desk_answers_an_offer_for_a_patient_who_calls(self, desk: APIClient) -> None:
        taken, left = make_waitlist_offer(), make_waitlist_offer()
        accepted = post(desk, f"waitlist-offers/{taken.pk}/accept")
        assert (accepted.status_code, accepted.data["status"]) == (200, "accepted")
        assert Appointment.objects.get(pk=accepted.data["appointment"]).patient_id == taken.entry.patient_id
        assert post(desk, f"waitlist-offers/{left.pk}/decline").data["status"] == "declined"
        assert post(desk, f"waitlist-offers/{left.pk}/accept").status_code == 409

    def test_a_held_time_is_refused_as_a_conflict_that_says_until_when(self, desk: APIClient) -> None:
        offer = make_waitlist_offer()
        answer = post(
            desk,
            "appointments",
            patient=make_reachable_patient().pk,
            doctor=offer.slot.doctor_id,
            appointment_datetime=offer.slot.starts_at,
        )
        assert answer.status_code == 409
        assert "waitlist until" in answer.data["detail"]

    def test_a_time_is_kept_back_when_the_doctor_is_ill(self, desk: APIClient) -> None:
        make_waitlist_entry()
        rows = [make_appointment(), make_appointment()]
        for row, offered in zip(rows, (True, False), strict=True):
            body = {"reason": "ill"} if offered else {"reason": "ill", "offer_time": False}
            assert post(desk, f"appointments/{row.pk}/cancel", **body).status_code == 200
        assert [row.freed_slots.count() for row in rows] == [1, 0]

    def test_the_desk_notes_a_recall_and_dismisses_it_but_makes_no_rule(self, desk: APIClient) -> None:
        due = {"patient": make_reachable_patient().pk, "appointment_type": "follow_up", "due_on": Clinic.today()}
        made = post(desk, "recalls", **due, reason="blood pressure")
        assert made.status_code == 201, made.data
        assert post(desk, f"recalls/{made.data['id']}/dismiss").data["status"] == "dismissed"
        rule = {"name": "Half a year", "appointment_type": "follow_up", "after_days": 180}
        assert post(desk, "recall-rules", **rule).status_code == 403
        admin = client_for(make_user("admin"))
        assert post(admin, "recall-rules", **rule).status_code == 201
        assert post(admin, "recall-rules", **{**rule, "after_days": 1}).status_code == 400

    def test_lists_can_be_cut_down_to_what_waits(self, desk: APIClient) -> None:
        waiting, _ = make_waitlist_entry(), make_waitlist_entry(status="withdrawn")
        found = desk.get("/api/v1/waitlist-entries/", {"status": "waiting"}).data["results"]
        assert [row["id"] for row in found] == [str(waiting.pk)]
        due, _ = make_recall(), make_recall(due_on=Clinic.today() + timedelta(days=9))
        found = desk.get("/api/v1/recalls/", {"due_on__lt": Clinic.today()}).data["results"]
        assert [row["id"] for row in found] == [str(due.pk)]
