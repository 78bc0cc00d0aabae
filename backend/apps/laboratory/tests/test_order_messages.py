"""Holds the messages about orders to the common contract, and what people may decide about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.core.work import WorkState
from backend.apps.laboratory import sending, services
from backend.apps.laboratory.models import LabOrderMessage
from backend.apps.laboratory.tests.factories import make_lab_order, make_lab_test, make_order_feed, make_order_message
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/lab-order-messages/"


class TestLabOrderMessages(ApiContract):
    url = URL
    reader = "lab_tech"
    stranger = "receptionist"
    make = staticmethod(make_order_message)


def held() -> LabOrderMessage:
    return make_order_message(status="uncertain", work_state=WorkState.HELD)


def post(row: LabOrderMessage, verb: str, role: str = "lab_tech") -> Any:
    return client_for(make_user(role=role)).post(f"{URL}{row.pk}/{verb}/")


def test_a_lost_message_is_sent_again_or_marked_as_arrived_through_the_api() -> None:
    one, other = held(), held()
    assert post(one, "resend").data["status"] == "waiting"
    assert post(other, "mark_as_arrived").data["status"] == "accepted"
    assert post(other, "resend").status_code == 422
    assert post(held(), "resend", role="doctor").status_code == 403
    assert set(LabOrderMessage.objects.values_list("settled_by__role", flat=True)) == {"lab_tech", None}


def test_no_bytes_go_over_the_wire() -> None:
    row = make_order_message(raw=b"MSH|secret", ack=b"MSH|secret")
    answer = client_for(make_user(role="lab_tech")).get(f"{URL}{row.pk}/")
    assert b"secret" not in answer.content


def test_an_order_shows_where_it_goes_and_how_its_last_message_stands() -> None:
    order = make_lab_order(status="ordered", feed=make_order_feed())
    make_order_message(lab_order=order, status="accepted")
    last = make_order_message(lab_order=order, control="CA")
    answer = client_for(make_user(role="nurse")).get(f"/api/v1/lab-orders/{order.pk}/").data
    assert str(answer["feed"]) == str(order.feed_id)
    assert (answer["last_message"]["id"], answer["last_message"]["control"]) == (str(last.pk), "CA")


def test_a_patient_does_not_read_what_the_staff_has_to_do_about_the_order() -> None:
    patient = make_patient(user=make_user(role="patient"))
    order = make_lab_order(status="ordered", patient=patient)
    make_order_message(lab_order=order, status="uncertain", status_reason="Ask the laboratory, then resend it.")
    for path in (f"{order.pk}/", ""):
        answer = client_for(patient.user).get(f"/api/v1/lab-orders/{path}")
        assert answer.status_code == 200
        assert "last_message" not in answer.content.decode()
        assert "Ask the laboratory" not in answer.content.decode()


def test_the_feed_is_chosen_with_the_order() -> None:
    feeds, patient = [make_order_feed(), make_order_feed()], make_patient()
    doctor = make_lab_order().doctor
    body = {"patient": str(patient.pk), "doctor": str(doctor.pk), "tests": [str(make_lab_test().pk)]}
    nurse = client_for(make_user(role="nurse"))
    made = nurse.post("/api/v1/lab-orders/", {**body, "feed": str(feeds[1].pk)})
    assert (made.status_code, str(made.data["feed"])) == (201, str(feeds[1].pk)), made.data
    placed = nurse.post(f"/api/v1/lab-orders/{made.data['id']}/place/")
    assert placed.data["last_message"]["status"] == "waiting"


@pytest.mark.parametrize(("kind", "version"), [("ORM^O01", "2.7"), ("OML^O21", "2.3.1"), ("OML^O21", "3")])
def test_a_feed_sends_orders_only_in_a_version_that_has_them(kind: str, version: str) -> None:
    feed = make_order_feed(order_message=kind, order_version=version)
    with pytest.raises(ValidationError, match="exists from version"):
        feed.full_clean()


def test_placing_and_its_message_are_one_transaction_and_ring_once(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("backend.apps.core.dispatch.send", rung.append)
    order = make_lab_order(feed=make_order_feed())
    with django_capture_on_commit_callbacks(execute=True):
        services.place(order, by=None)
    row = order.messages.get()
    assert (row.control, row.dedupe_key) == ("NW", f"order:{order.pk}:1:NW")
    assert rung == ["lab_orders.send"]


def test_what_waited_for_a_message_that_arrived_goes_at_once_by_the_clock_of_the_database(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("backend.apps.core.dispatch.send", rung.append)
    row = held()
    later = make_order_message(lab_order=row.lab_order, due_at=timezone.now() + timedelta(hours=1))
    with time_machine.travel(timezone.now() + timedelta(minutes=5)), django_capture_on_commit_callbacks(execute=True):
        services.mark_as_arrived(row, by=make_user(role="lab_tech"))
    assert rung == ["lab_orders.send"]
    assert later in LabOrderMessage.work.overdue()


def test_an_alert_a_person_was_told_of_is_opened_once_and_again_after_another_failure() -> None:
    row = held()
    now = row.created_at
    assert (sending.tell(now), sending.tell(now)) == (1, 0)
    services.resend(row, by=make_user(role="lab_tech"))
    assert Alert.objects.get().resolved_at is not None
    LabOrderMessage.work.filter(pk=row.pk).update(status="failed", work_state=WorkState.FAILED)
    assert sending.tell(now) == 1


def test_no_sentence_about_an_order_names_its_patient() -> None:
    patient = make_patient(last_name="Canary")
    row = make_order_message(lab_order=make_lab_order(status="ordered", patient=patient), status="failed")
    sending.tell(row.created_at)
    assert "Canary" not in Alert.objects.get().sentence + str(row)
