"""Holds that numbers and mailboxes are found whole on every way, under each key, and stand nowhere as they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.appointments import answerable, planning
from backend.apps.appointments.models import Appointment, AppointmentReminder
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core import closed_values
from backend.apps.core.models import Alert
from backend.apps.messaging import caps, digests, inbound, outgoing
from backend.apps.messaging.models import InboundText, PatientMessage, ProviderEvent
from backend.apps.messaging.tests.inbox_factories import make_patient_message
from backend.apps.patients import consents, contacts, services
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for
from tests.support.clocks import zone_at
from tests.support.races import wait_until_waited_for
from tests.workers.test_replies import received
from tests.workers.tries import told
from workers import gateways, provider_events, reminders

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]

NUMBER, KIN, MAILBOX = "+14155557391", "+14155557392", "Zqx.Canary@Example.org"
OLD, NEW = ("old", bytes(range(32))), ("new", bytes(range(1, 33)))
HOUR = timedelta(hours=1)
TABLES = {
    "patients": ("Patient", "ContactPoint", "ContactConsent"),
    "messaging": ("PatientMessage", "InboundText", "ProviderEvent"),
    "appointments": ("AppointmentReminder",),
}


def someone(**over: Any) -> Patient:
    fields = {"phone": NUMBER, "email": MAILBOX, "emergency_contact_phone": KIN, "time_zone": zone_at(), **over}
    return make_reachable_patient(**fields)  # type: ignore[no-any-return]  # the factory has no type


def visit_of(patient: Patient, hours: int = 23) -> Any:
    return make_appointment(patient=patient, appointment_datetime=timezone.now() + timedelta(hours=hours, minutes=55))


def tables_with(*texts: str) -> set[str]:
    """Return the tables of which some row shows one of these texts as it is, in whatever case."""
    found = set[str]()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for text in texts:
                cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}" AS t WHERE t::text ILIKE %s)', [f"%{text}%"])  # noqa: S608  # ours
                if cursor.fetchone()[0]:
                    found.add(table)
    return found


def ways_to(patient: Patient, text: InboundText, sent: AppointmentReminder, waits: AppointmentReminder) -> set[str]:
    """Return the ways on which nobody and nothing is found by the number and the mailbox of this patient."""
    api, key, later = client_for(make_user("admin")), str(patient.pk), timezone.now() + HOUR
    found = {
        "desk, number": list(services.search(Patient.objects.all(), NUMBER)) == [patient],
        "desk, mailbox": list(services.search(Patient.objects.all(), MAILBOX.upper())) == [patient],
        "text": inbound.only_patient(NUMBER) == patient,
        "later text": inbound.is_overtaken(text),
        "point": {point.unusable_code for point in contacts.points_of([patient]).values()} == {"x:1", "x:2"},
        "caps": [*caps.texts_to([NUMBER], since=timezone.now() - HOUR, but=[])] == [NUMBER],
        "reminded": [*answerable.reminded_at([NUMBER])] == [NUMBER],
        "ids": outgoing.ids_at(sent) == {"SM1"},
        "wish": provider_events._is_overtaken(ProviderEvent.objects.earliest("occurred_at"), MAILBOX.lower()),
    }
    for model, count in ((Patient, 1), (ContactPoint, 1), (InboundText, 2)):
        asked: Any = SimpleNamespace(user=make_user("admin"))
        listed, _ = admin.site._registry[model].get_search_results(asked, model._base_manager.all(), NUMBER)
        found[f"admin, {model.__name__}"] = listed.count() == count
    with transaction.atomic():
        together = digests.waiting_for(AppointmentReminder, {NUMBER: later}, but=[], with_=("appointment__patient",))
        found["family"] = together == [waits]
    for name, value in (("phone", NUMBER), ("email", MAILBOX.upper())):
        listed = api.post("/api/v1/patients/search/", {"text": value}, format="json").data
        found[f"API, {name}"] = [one["id"] for one in listed] == [key]
        for wanted in (name, "telecom"):
            bundle = api.get("/fhir/R4/Patient", {wanted: value}).json()
            found[f"FHIR, {wanted} {name}"] = [one["resource"]["id"] for one in bundle.get("entry", [])] == [key]
    return {way for way, is_found in found.items() if not is_found}


def test_they_are_found_on_every_way_under_the_key_they_were_written_with_and_the_next(settings: Any) -> None:
    settings.INDEX_KEYS = (OLD,)
    patient, now = someone(), timezone.now()
    make_reachable_patient(phone="+14155557393", email="zqx.canary@example.com")
    done = {"status": "sent", "work_state": "done", "sent_at": now, "external_id": "SM1", "recipient_phone": NUMBER}
    sent, waits = make_reminder(appointment=visit_of(patient), **done), make_reminder(appointment=visit_of(patient, 22))
    first, later = received("STOP", sender=NUMBER, at=now - HOUR), received("START", sender=NUMBER)
    text = inbound.take(first)
    assert text
    assert inbound.take(later)
    for minutes in (2, 1):
        said = {"payload": {"email": MAILBOX}, "occurred_at": now - timedelta(minutes=minutes)}
        told(None, "group_unsubscribe", provider="sendgrid", **said)
    consents.mark_unusable("sms", NUMBER, code="x:1"), consents.mark_unusable("email", MAILBOX.lower(), code="x:2")
    assert ways_to(patient, text, sent, waits) == set()
    settings.INDEX_KEYS = (NEW, OLD)
    assert ways_to(patient, text, sent, waits) == set()
    consents.mark_unusable("sms", NUMBER, code="x:3")
    assert ContactPoint.objects.count() == 2
    call_command("keys", "rotate", "--indexes", stdout=SimpleNamespace(write=str))
    settings.INDEX_KEYS = (NEW,)
    assert ways_to(patient, text, sent, waits) == set()


@pytest.mark.django_db(transaction=True)
def test_two_who_note_something_of_one_number_under_different_keys_at_once_keep_one_row(settings: Any) -> None:
    settings.INDEX_KEYS = (OLD, NEW)
    second = threading.Thread(target=lambda: (consents.mark_unusable("sms", NUMBER, code="x"), connection.close()))
    with transaction.atomic():
        consents.stop(NUMBER, evidence="SM1")
        settings.INDEX_KEYS = (NEW, OLD)
        second.start()
        wait_until_waited_for()
    second.join(10)
    point = ContactPoint.objects.get()
    assert (point.opted_out_at is not None, point.unusable_code) == (True, "x")


def test_one_number_that_does_not_open_costs_nobody_else_their_text_and_can_be_written_anew(monkeypatch: Any) -> None:
    monkeypatch.setattr(closed_values, "_told", {})  # of this process, told of within the minute
    closed, other = someone(email=""), someone(phone="+14155557393")
    with connection.cursor() as cursor:  # as of another row
        cursor.execute("UPDATE patients_patient SET phone = %s WHERE id = %s", [sealed_of(other), closed.pk])
    broken = Patient.objects.get(pk=closed.pk)
    assert contacts.why_unreachable(broken, "sms", contacts.points_of([broken, other])) is not None
    visits = [visit_of(patient).pk for patient in (closed, other)]
    reached = {visit.phone for visit in planning.expected(Appointment.objects.filter(pk__in=visits))}
    assert reached == {"", "+14155557393"}
    assert Alert.objects.get(kind="sealed_value_closed").cause.endswith("patients.Patient.phone")
    services.correct(broken, by=make_user("admin"), phone="+14155557394")
    assert Patient.objects.get(contacts.living_at("sms", "+14155557394")).phone == "+14155557394"


def test_an_opt_out_counts_though_the_address_it_was_noted_for_does_not_open() -> None:
    patient, other = someone(), someone(phone="+14155557393", email="")
    consents.mark_unusable("sms", "+14155557393", code="x"), consents.stop(NUMBER, evidence="SM1")
    with connection.cursor() as cursor:  # as of another table
        cursor.execute("UPDATE patients_contactpoint SET address = %s WHERE channel = 'sms'", [sealed_of(patient)])
    points = contacts.points_of([patient, other])
    found = [contacts.why_unreachable(one, "sms", points) for one in (patient, other)]
    assert found == ["Somebody at this address asked for no more messages.", "This address cannot take messages."]


def sealed_of(patient: Patient) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT phone FROM patients_patient WHERE id = %s", [patient.pk])
        return str(cursor.fetchone()[0])


@pytest.fixture
def outbox(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.SMS_TRANSPORT = settings.EMAIL_TRANSPORT = "sandbox"
    settings.DATA_DIR = tmp_path
    gateways._clients.__dict__.clear()
    yield tmp_path / "outbox"
    gateways._clients.__dict__.clear()


@pytest.mark.usefixtures("outbox")
def test_no_table_shows_one_whatever_was_done_with_it(settings: Any) -> None:
    settings.TWILIO_FROM = "+14155550199"
    desk = client_for(make_user("receptionist"))
    who = {"first_name": "Zqxfirst", "last_name": "Okafor", "date_of_birth": "1980-05-17", "time_zone": zone_at()}
    reach = {"phone": NUMBER, "email": MAILBOX, "emergency_contact_phone": KIN}
    made = desk.post("/api/v1/patients/", {**who, **reach, "sms_consent": True, "email_consent": True}, format="json")
    assert made.status_code == 201, made.data
    patient = Patient.objects.get(pk=made.data["id"])
    assert {name: made.data[name] for name in reach} == {name: getattr(patient, name) for name in reach} == reach
    for kind, hours in (("sms", 23), ("email", 22)):
        make_reminder(appointment=visit_of(patient, hours), reminder_type=kind)
    assert reminders.deliver_due() == "2 done"
    mail = AppointmentReminder.objects.get(reminder_type="email")
    told(mail, "bounce", payload={"email": MAILBOX, "type": "bounce", "reason": f"550 5.1.1 <{MAILBOX}> unknown"})
    told(mail, "unsubscribe", payload={"email": MAILBOX})
    received("STOP", sender=NUMBER)
    ProviderEvent.objects.update(due_at=timezone.now() - HOUR)
    provider_events.apply()
    patient.refresh_from_db()
    assert (patient.sms_consent, patient.email_consent, ContactPoint.objects.count()) == (False, False, 2)
    assert {row.address for row in ContactConsent.objects.all()} == {NUMBER, MAILBOX.lower()}
    assert tables_with(NUMBER[2:], KIN[2:], MAILBOX) == set()
    assert "patients_patient" in tables_with("Zqxfirst")


def as_before(row: Any, **plain: str) -> None:
    """Write plain values where sealed ones stand, past every trigger, without what they are found by."""
    of_indexes = [field.column for field in row._meta.concrete_fields if field.column.endswith("_index")]
    sets = ", ".join([*(f"{name} = %s" for name in plain), *(f"{name} = NULL" for name in of_indexes)])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {row._meta.db_table} SET {sets} WHERE id = %s", [*plain.values(), row.pk])  # noqa: S608  # ours
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_an_upgrade_carries_over_what_was_plain_and_one_that_was_ended_goes_on() -> None:
    patient = someone()
    consents.record(patient, "email", False, by=None, method="staff")
    point = consents.mark_unusable("sms", NUMBER, code="x")
    words = ContactConsent.objects.get(channel="email", given=False)
    reminder, message = make_reminder(appointment=visit_of(patient)), make_patient_message(patient)
    text, event = inbound.take(received("Hello", sender=NUMBER)), told(None, "unsubscribe", provider="sendgrid")
    as_before(patient, phone=NUMBER, email=MAILBOX, emergency_contact_phone=KIN)
    as_before(point, address=NUMBER), as_before(words, address=MAILBOX.lower()), as_before(text, from_number=NUMBER)
    as_before(reminder, recipient_phone=NUMBER), as_before(message, recipient_email=MAILBOX)
    as_before(event, payload=f'{{"email": "{MAILBOX}"}}', mailbox="")
    steps = [
        ("patients.migrations.0009_contacts_sealed", "seal_contacts"),
        ("messaging.migrations.0004_recipients_sealed", "seal_recipients"),
        ("appointments.migrations.0009_recipients_sealed", "seal_recipients"),
    ]
    for name, step in steps * 2:
        getattr(import_module(f"backend.apps.{name}"), step)(apps, SimpleNamespace(connection=connection))
    kept = Patient.objects.get(contacts.living_at("sms", NUMBER), contacts.living_at("email", MAILBOX))
    assert (kept.phone, kept.email, kept.emergency_contact_phone) == (NUMBER, MAILBOX, KIN)
    assert contacts.known_at("sms", NUMBER).get().address == NUMBER
    assert ContactConsent.objects.get(pk=words.pk).address == MAILBOX.lower()
    assert AppointmentReminder.objects.get(AppointmentReminder.sent_to(NUMBER)).recipient_phone == NUMBER
    assert PatientMessage.objects.get(pk=message.pk).recipient_email == MAILBOX
    assert InboundText.objects.get(InboundText.sent_from(NUMBER)).from_number == NUMBER
    after = ProviderEvent.objects.get(pk=event.pk)
    assert (after.payload, after.mailbox) == ({"email": MAILBOX}, MAILBOX)
    tables = {apps.get_model(app, name)._meta.db_table for app, names in TABLES.items() for name in names}
    assert tables_with(NUMBER[2:], KIN[2:], MAILBOX) & tables == set()
