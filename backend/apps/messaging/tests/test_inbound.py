"""Proves how texts are taken in and how the front desk settles what waits: over HTTP, once, by the right people."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.messaging import inbound
from backend.apps.messaging.models import InboundText, PatientMessage, ProviderEvent, StaffTask
from backend.apps.messaging.tests.inbox_factories import (
    make_inbound_text,
    make_patient_message,
    make_provider_event,
    make_staff_task,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

TEXTS, TASKS, EVENTS = "/api/v1/inbound-texts/", "/api/v1/staff-tasks/", "/api/v1/provider-events/"


class TestInboundTexts(ApiContract):
    url = TEXTS
    reader = "receptionist"
    stranger = "doctor"

    def make(self) -> InboundText:
        return make_inbound_text()


class TestStaffTasks(ApiContract):
    url = TASKS
    reader = "receptionist"
    stranger = "pharmacist"

    def make(self) -> StaffTask:
        return make_staff_task(make_patient())


class TestPatientMessages(ApiContract):
    url = "/api/v1/patient-messages/"
    reader = "receptionist"
    stranger = "patient"

    def make(self) -> PatientMessage:
        return make_patient_message(make_patient())


class TestProviderEvents(ApiContract):
    url = EVENTS
    stranger = "receptionist"

    def make(self) -> ProviderEvent:
        return make_provider_event()


@pytest.mark.django_db
class TestTheInbox:
    def test_somebody_handles_a_text_once_and_their_name_stays(self) -> None:
        row, desk = make_inbound_text(), make_user(role="receptionist")
        assert client_for(desk).post(f"{TEXTS}{row.pk}/handle/").status_code == 200
        assert client_for(make_user(role="nurse")).post(f"{TEXTS}{row.pk}/handle/").status_code == 409
        row.refresh_from_db()
        assert (row.handled_by, row.handled_at is not None) == (desk, True)
        assert AuditLog.objects.filter(action="handle", resource_id=str(row.pk), outcome="allowed").count() == 1

    def test_a_note_on_a_text_is_a_task_about_it(self) -> None:
        row, desk = make_inbound_text(), client_for(make_user(role="receptionist"))
        answer = desk.post(f"{TEXTS}{row.pk}/handle/", {"note": "ring them"}, format="json")
        assert (answer.status_code, desk.get(TASKS).data["results"][0]["note"]) == (200, "ring them")
        assert desk.get(TASKS, {"subject_id": str(row.pk)}).data["results"][0]["kind"] == "call"

    def test_what_waits_is_what_no_machine_understood_and_nobody_has_read(self) -> None:
        waiting = make_inbound_text()
        make_inbound_text(outcome="confirmed", intent="confirm")
        inbound.handle(make_inbound_text(), by=make_user(role="nurse"))
        api = client_for(make_user(role="receptionist"))
        assert [row["id"] for row in api.get(TEXTS, {"waiting": "true"}).data["results"]] == [str(waiting.pk)]
        assert len(api.get(TEXTS, {"waiting": "false"}).data["results"]) == 2

    def test_a_number_is_known_as_one_patients_only_when_it_is(self) -> None:
        one = make_patient(phone="+14155550177")
        assert inbound.only_patient("+14155550177") == one
        make_patient(phone="+14155550177")
        assert inbound.only_patient("+14155550177") is None
        assert inbound.only_patient("") is None


@pytest.mark.django_db
class TestTasks:
    def test_a_task_is_completed_once_with_what_was_done(self) -> None:
        task, desk = make_staff_task(), make_user(role="receptionist")
        answer = client_for(desk).post(f"{TASKS}{task.pk}/complete/", {"note": "moved to Friday"}, format="json")
        assert (answer.status_code, answer.data["done_by"], answer.data["note"]) == (200, desk.pk, "moved to Friday")
        assert client_for(desk).post(f"{TASKS}{task.pk}/complete/").status_code == 409

    def test_open_tasks_are_asked_for(self) -> None:
        task = make_staff_task()
        api = client_for(make_user(role="nurse"))
        assert [row["id"] for row in api.get(TASKS, {"done": "false"}).data["results"]] == [str(task.pk)]
        assert api.get(TASKS, {"done": "true"}).data["results"] == []

    def test_doctors_see_the_tasks_of_their_own_patients(self) -> None:
        doctor = make_user(role="doctor")
        visit = make_appointment()
        visit.doctor.user = doctor
        visit.doctor.save()
        own = make_staff_task(visit.patient)
        make_staff_task(make_patient()), make_staff_task()
        assert [row["id"] for row in client_for(doctor).get(TASKS).data["results"]] == [str(own.pk)]


@pytest.mark.django_db
def test_no_list_of_reports_tells_a_number_or_a_text() -> None:
    secret: dict[str, Any] = {"Body": "I am Zebedee", "From": "+14155550177"}
    row = make_provider_event(kind="inbound", payload=secret)
    api = client_for(make_user(role="admin"))
    for url in (EVENTS, f"{EVENTS}{row.pk}/"):
        assert "Zebedee" not in str(api.get(url).data)
        assert "4155550177" not in str(api.get(url).data)
