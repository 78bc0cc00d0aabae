"""Sends a patient whose every field is a mark through both pipelines and looks for the marks where none may be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import free_time
from backend.apps.core.models import AuditLog
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory import sending, services
from backend.apps.laboratory.models import CriticalPage, InboundMessage, LabOrderMessage, LabResult
from backend.apps.laboratory.tests.factories import make_lab_feed, make_lab_order, make_order_feed
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.laboratory import LabDouble, ack
from tests.security.matrix import RESOURCES
from tests.support.api_contract import client_for
from tests.support.clocks import zone_at
from tests.support.pages import signed_in
from tests.support.stage import Stage, until
from workers.cli.demo_labs import message
from workers.inbound import Arrival, store

PERSON: dict[str, Any] = {
    "first_name": "Zqxjkfirst", "last_name": "Zqxjklast", "date_of_birth": date(1931, 7, 23),
    "medical_record_number": "ZQXJKMRN7",
    "phone": "+14155557391", "email": "zqxjkmail@example.org", "address_line1": "Zqxjkstreet",
    "address_line2": "Zqxjkfloor", "city": "Zqxjktown", "postal_code": "ZQXJK7391",
    "emergency_contact_name": "Zqxjkaunt",
    "emergency_contact_phone": "+14155557392", "emergency_contact_relationship": "Zqxjkkin",
    "insurance_info": {"policy": "Zqxjkpolicy"},
}  # fmt: skip
MARKS = ("zqxjk", "1931-07-23", "19310723", "4155557391", "4155557392")
REASON, VALUE = "Zqxjkreason", "Zqxjkvalue"


def marks_in(text: str) -> list[str]:
    return [mark for mark in MARKS if mark in text.lower()]


def test_a_patients_data_stays_in_the_chart_the_message_and_the_outbox(
    stage: Stage, caplog: pytest.LogCaptureFixture, refusing_lab: LabDouble
) -> None:
    caplog.set_level(logging.DEBUG, logger="")
    patient = make_patient(**PERSON, sms_consent=True, email_consent=True, time_zone=zone_at())
    receive(patient)
    order(patient, refusing_lab)
    visit = book(patient)
    look_around(patient)
    tend_the_inbox(patient)
    ring(stage)
    assert everything_in(stage.redis.url), "the bells wait in Redis, so there is something to look through"
    assert marks_in(everything_in(stage.redis.url)) == []
    stage.worker()
    until(lambda: AppointmentReminder.objects.filter(appointment_id=visit, status="sent").count() == 2)
    until(lambda: InboundMessage.objects.filter(work_state="done").count() == InboundMessage.objects.count())
    assert set(InboundMessage.objects.values_list("status", flat=True)) == {"filed", "worklist", "rejected"}
    assert LabResult.objects.filter(lab_order__patient=patient, result_value="4.1").exists()
    until(lambda: LabOrderMessage.objects.get().status == "rejected")
    assert (b"Zqxjklast" in refusing_lab.taken[0], b"Zqxjklast" in bytes(LabOrderMessage.objects.get().ack)) == (
        True,
        True,
    )
    assert sending.tell(timezone.now()) == 1
    until(lambda: CriticalPage.objects.filter(critical_result__patient=patient, status="sent").exists())

    sent = "".join(file.read_text() for file in (stage.folder / "outbox").glob("*.json"))
    assert marks_in(sent) == ["zqxjk", "4155557391"], "the outbox has the recipients and nothing else"
    assert "zqxjkmail" in sent
    assert "A critical laboratory result needs your acknowledgement" in sent
    assert marks_in(everything_in(stage.redis.url)) == []
    assert marks_in(everything_in(settings.REDIS_URL)) == []
    assert marks_in(caplog.text) == []
    logs = "".join(file.read_text() for file in (stage.folder / "logs").glob("*.log"))
    assert "reminders.deliver" in logs
    assert marks_in(logs) == []
    for table, columns in PLACES.items():
        assert marks_in(stored_text(table, columns)) == [], table
    sessions = [session.get_decoded() for session in Session.objects.all()]  # encoded they are letters by chance
    assert sessions, "somebody was signed in"
    assert marks_in(repr(sessions)) == []
    numbers = Client().get("/metrics").content.decode()
    assert 'carerelay_outcomes_total{outcome="done",task="lab_results.file"}' in numbers, "workers noted what they did"
    assert marks_in(numbers) == []


def book(patient: Patient) -> str:
    """Book over the API; make the reminders of one e-mail and one text message due."""
    body = {
        "patient": str(patient.pk),
        "doctor": str(make_doctor().pk),
        "appointment_datetime": free_time().isoformat(),
        "reason": REASON,
        "availability_override_reason": REASON,
    }
    answer = client_for(make_user("receptionist")).post("/api/v1/appointments/", body)
    assert answer.status_code == 201, answer.data
    due = AppointmentReminder.objects.filter(appointment_id=answer.data["id"], offset_minutes__in=(10080, 1440))
    due.update(due_at=timezone.now(), scheduled_send_time=timezone.now())
    return str(answer.data["id"])


def receive(patient: Patient) -> None:
    """Receive a report about the patient, one about somebody like them, and three that are broken."""
    make_lab_feed()
    sent = {**PERSON, "date_of_birth": "1931-07-23", "gender": patient.gender}
    good = message(sent, "CANARY01")
    stranger = message({**sent, "medical_record_number": "ZQXJKMRN8"}, "CANARY02")
    store([Arrival(raw, "127.0.0.1") for raw in (
        good,
        stranger,
        good.replace(b"CANARY01", b"CANARY03").replace(b"19310723", b"Zqxjkborn"),
        good.replace(b"CANARY01", b"CANARY04").replace(b"|NM|", b"|ZQ|").replace(b"4.1", VALUE.encode()),
        message(sent, "CANARY05").replace(b"|N|||F", b"|HH|||F"),
        b"Zqxjklast is no HL7 message",
    )])  # fmt: skip


@pytest.fixture
def refusing_lab() -> Iterator[LabDouble]:
    """A laboratory that repeats what it was sent in its refusal, where only fixed words belong."""
    said = "ERR||PID^1^5^Zqxjklast|101^Zqxjklast Zqxjkfirst^HL70357|E||||Zqxjklast 19310723"
    with LabDouble(ack("AR", err=said)) as double:
        yield double


def order(patient: Patient, lab: LabDouble) -> None:
    fields = {"patient": patient, "doctor": make_doctor(), "clinical_indication": REASON}
    row = make_lab_order(feed=make_order_feed(order_port=lab.port), **fields)
    services.place(row, by=None)


def look_around(patient: Patient) -> None:
    """Read, search and mistype over the API and in the admin, as the administrator does."""
    login = make_user("admin")
    api, pages = client_for(login), Client(raise_request_exception=False)
    pages.force_login(login)
    url = f"/api/v1/patients/{patient.pk}/"
    for resource in RESOURCES:
        assert api.get(f"/api/v1/{resource}/").status_code == 200
    assert api.get(url).data["last_name"] == "Zqxjklast"
    assert len(api.post("/api/v1/patients/search/", {"text": "zqxjklast 1931-07-23"}).data) == 1
    for query in (
        {"last_name": "Zqxjklast"},
        {"search": "zqxjkfirst"},
        {"lastname": "Zqxjklast"},
        {"date_of_birth": "Zqxjkborn"},
    ):
        api.get("/api/v1/patients/", query)
    for change in (
        {"city": "Zqxjktown2"},
        {"phone": "Zqxjkphone"},
        {"date_of_birth": "Zqxjkborn"},
        {"Zqxjkfield": "Zqxjk"},
    ):
        api.patch(url, change)
    api.post("/api/v1/patients/", {name: str(value) for name, value in PERSON.items()})
    api.post("/api/v1/auth/token/", {"email": "zqxjkmail@example.org", "password": "Zqxjkpassword-1931"})
    for page in (f"{patient.pk}/change/", "?q=zqxjklast", f"{patient.pk}/history/"):
        assert pages.get(f"/admin/patients/patient/{page}").status_code == 200


def tend_the_inbox(patient: Patient) -> None:
    """Fill in the console's forms: find people, reveal, skip, retry; what is typed there may name anybody."""
    pages = signed_in("admin")
    message = InboundMessage.objects.get(control_id="CANARY02")
    InboundMessage.objects.filter(pk=message.pk).update(status="worklist", work_state="done")
    page = f"/console/labs/{message.pk}/"
    number = pages.post("/console/labs/patient/", {"number": PERSON["medical_record_number"]})
    assert number["Location"] == f"/console/labs/?patient={patient.pk}"
    assert pages.post("/console/labs/patient/", {"number": "ZQXJKNOBODY"})["Location"] == "/console/labs/"
    for form, shows in (({"text": "zqxjklast 1931-07-23"}, b"Zqxjklast"), ({"text": "Zqxjknobody"}, b"Nobody fits")):
        assert shows in pages.post(f"{page}find/", form).content
    assert b"ZQXJKMRN8" in pages.post(f"{page}reveal/", {"reason": "The laboratory asks"}).content
    for address in ("/console/labs/", number["Location"], page):
        assert pages.get(address).status_code == 200
    assert b"Zqxjknobody" not in pages.post(f"{page}find/", {"text": ""}).content
    for verb, status in (("skip", "rejected"), ("retry", "received")):
        assert pages.post(f"{page}{verb}/", {"reason": "a test of the line"}, follow=True).status_code == 200
        message.refresh_from_db()
        assert message.status == status


def ring(stage: Stage) -> None:
    """Let the sweep ring for what is due, before any worker listens."""
    words = "import workers.celery_app; from workers import sweep; print(sweep.overdue())"
    assert stage.start("ring", "-c", words).wait(60) == 0


def everything_in(url: str) -> str:
    """Return all keys and values of a Redis as one text."""
    reads = {
        b"string": lambda r, key: r.get(key),
        b"list": lambda r, key: r.lrange(key, 0, -1),
        b"set": lambda r, key: r.smembers(key),
        b"zset": lambda r, key: r.zrange(key, 0, -1),
        b"hash": lambda r, key: r.hgetall(key),
    }
    with redis.Redis.from_url(url) as server:
        kinds = [(key, server.type(key)) for key in server.scan_iter()]  # others' keys may go while we look
        return "\n".join(f"{key!r} {reads[kind](server, key)}" for key, kind in kinds if kind in reads)


def stored_text(table: str, columns: list[str]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT concat_ws(' ', {', '.join(columns)}) FROM {table}")  # noqa: S608  # our own names
        return "\n".join(row[0] for row in cursor.fetchall())


def places() -> dict[str, list[str]]:
    """Return {table: columns} of what logs, queues and history keep about rows: all columns of the log's own tables."""
    own = {AuditLog._meta.db_table, "django_admin_log", "core_idempotentrequest", "core_heartbeat", "core_alert"}
    found = {table: [f"{table}::text"] for table in sorted(own)}
    for model in apps.get_models():
        names = {field.name for field in model._meta.fields} & {"last_error", "status_reason", "dedupe_key"}
        if names:
            found[model._meta.db_table] = sorted(names)
    return found


PLACES = places()


def test_the_places_that_are_looked_through_exist() -> None:
    queues = {"laboratory_inboundmessage", "appointments_appointmentreminder"}
    assert queues | {"core_auditlog", "core_alert", "django_admin_log"} <= set(PLACES)
