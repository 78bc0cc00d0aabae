"""The canary's way through every pipeline of a running stack: what is asked, sent, received, and waited for."""

from __future__ import annotations

import io
import json
import re
import socket
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from PIL import Image

from backend.apps.appointments.models import AWAITED, Appointment, AppointmentReminder, WaitlistEntry
from backend.apps.appointments.tests.factories import free_time, make_appointment
from backend.apps.core.models import Clinic, Heartbeat
from backend.apps.doctors.tests.factories import make_always_available, make_doctor
from backend.apps.insurance.models import EligibilityInquiry, InboundFile, InsuranceClaim, Interchange
from backend.apps.insurance.tests import factories
from backend.apps.interop.fhir.smart import tokens
from backend.apps.interop.models import ExportJob
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.laboratory.models import CriticalPage, InboundMessage, LabOrderMessage
from backend.apps.laboratory.tests.factories import make_lab_feed, make_lab_order, make_lab_test, make_order_feed
from backend.apps.messaging.models import ContactRules, InboundText, PatientMessage, ProviderEvent
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.tests.factories import make_medication
from beat_schedule import SCHEDULE
from integrations.doubles import sendgrid
from integrations.doubles.laboratory import LabDouble
from integrations.doubles.twilio import inbound_form, sign, status_form
from integrations.hl7.mllp import frame
from tests.security.canary import person
from tests.security.canary.places import Visitor, messages
from tests.security.canary.stack import CanaryStack
from tests.security.matrix import RESOURCES, Practice, make_practice
from tests.support.clocks import zone_at
from tests.support.stage import until
from workers.cli.demo_labs import message

PHONE_OF_CLINIC, TOKEN = "+14155550199", "test-token"
PAYEE, TAX_ID = "1234567893", "219098374"
LINK_OF_PATIENT = re.compile(r"/a/[A-Za-z0-9_-]+")
DONE = ("sent", "delivered")


@dataclass
class Story:
    """Who plays, on which stack; what they made stays in it."""

    stack: CanaryStack
    lab: LabDouble
    visitor: Visitor
    practice: Practice = field(default_factory=make_practice)
    opened: str = ""  # the page behind the link of a mail

    def __post_init__(self) -> None:
        self.admin, self.doctor = self.practice.logins["admin"], self.practice.logins["doctor"]
        self.desk, self.biller = self.practice.logins["receptionist"], self.practice.logins["receptionist"]
        consents = {"sms_consent": True, "email_consent": True, "time_zone": zone_at()}
        self.patient: Patient = make_patient(**person.PERSON, **consents)
        self.other: Patient = make_patient(phone="+14155550133", **consents)
        self.plan = factories.make_plan()
        self.coverage = factories.make_patient_insurance(
            patient=self.patient, insurance_plan=self.plan, **person.COVERED
        )

    def wait(self, look: Any) -> Any:
        return until(look, within_s=60)


def asked_to_come(story: Story) -> None:
    """Tell her and somebody else that a visit is due, that they missed one, and that a time became free."""
    api, by, doctor = story.visitor.done, dict[str, Any](by=story.desk), make_always_available(make_doctor())
    ContactRules.objects.create(texts_a_day=20, texts_a_week=99)
    today = Clinic.today()
    wish = {"from_on": str(today), "until_on": str(today + timedelta(days=200)), "note": person.SAID}
    for patient in (story.other, story.patient):
        whose = {"patient": str(patient.pk), "appointment_type": "consultation"}
        api("post", "/api/v1/recalls/", 201, json={**whose, "due_on": str(today), "reason": person.REASON}, **by)
        missed = make_appointment(patient=patient, appointment_datetime=timezone.now() - timedelta(hours=2))
        api("post", f"/api/v1/appointments/{missed.pk}/mark_no_show/", json={}, **by)
        api("post", "/api/v1/waitlist-entries/", 201, json={**whose, **wish}, **by)
        freed = make_appointment(doctor=doctor)
        api("post", f"/api/v1/appointments/{freed.pk}/cancel/", json={"reason": person.REASON}, **by)
    left = PatientMessage.objects.filter(status__in=DONE)

    def told() -> bool:
        PatientMessage.objects.filter(status="pending").update(due_at=Now(), scheduled_send_time=Now())
        for task in ("recalls.remind", "waitlist.offer", "reminders.deliver_messages"):
            story.stack.ring(task)
        time.sleep(0.3)
        return left.count() >= 6

    story.wait(told)
    assert set(left.values_list("wording", flat=True)) == {"recall", "no_show", "waitlist_offer"}
    for entry in WaitlistEntry.objects.all():
        api("post", f"/api/v1/waitlist-entries/{entry.pk}/withdraw/", json={}, **by)


def reminded(story: Story) -> None:
    """Book for her and for somebody else, who are reminded by mail and text though a refusal names her."""
    before = _mails(story)
    for patient, doctor in ((story.other, make_doctor()), (story.patient, story.practice.doctor)):
        body = {
            "patient": str(patient.pk),
            "doctor": str(doctor.pk),
            "appointment_datetime": free_time().isoformat(),
            "reason": person.REASON if patient == story.patient else "A cough",
            "availability_override_reason": person.REASON,
        }
        made = story.visitor.done("post", "/api/v1/appointments/", 201, by=story.desk, json=body)
        due = AppointmentReminder.objects.filter(appointment_id=made["id"], offset_minutes__in=(10080, 1440))
        due.update(due_at=timezone.now(), scheduled_send_time=timezone.now())
    busy = {"code": 20429, "status": 429, "message": f"Too many texts to {person.PERSON['phone']} (Zqxjklast)"}
    story.stack.twilio.fail_next(429, busy, headers={"Retry-After": "1"})

    def sent() -> bool:
        story.stack.ring("reminders.dispatch")
        time.sleep(0.3)
        return AppointmentReminder.objects.filter(status__in=DONE).count() == 4

    story.wait(sent)
    (mail,) = _mails(story) - before
    (link,) = set(LINK_OF_PATIENT.findall(mail)[:1])
    story.opened = "".join(story.visitor.done("get", f"{link}{page}").text for page in ("", "/calendar.ics"))


def _mails(story: Story) -> set[str]:
    """Return what the mails to her say."""
    return {one["plain"] for one in messages(story.stack)["email"] if one["to"] == person.PERSON["email"]}


def answered(story: Story) -> None:
    """Let providers report in words that name her; she answers more than was asked, and both visits are cancelled."""
    text = [one for one in story.stack.twilio.sent if one.to == person.PERSON["phone"]][-1]
    _posted(story, f"/webhooks/twilio/status?a={text.attempt_id}", status_form(text, "delivered"), 204)
    for number, words in enumerate((f"YES {person.SAID} 1931-07-23", "YES", "STOP please")):
        form = inbound_form(person.PERSON["phone"], PHONE_OF_CLINIC, words, sid=f"SM{number:032d}")
        _posted(story, "/webhooks/twilio/inbound", form)
        story.visitor.ask("post", "/webhooks/twilio/inbound", data=urlencode(form))  # as anybody may
    told = {"email": person.PERSON["email"], "reason": f"550 <{person.PERSON['email']}>: no Zqxjklast here"}
    events = [{**told, "event": kind, "sg_event_id": kind, "timestamp": 1} for kind in ("bounce", "deferred", "open")]
    raw = json.dumps(events).encode()
    headers = sendgrid.sign(raw, story.stack.sendgrid_key)
    story.visitor.done("post", "/webhooks/sendgrid/events", 204, data=raw, headers=headers)
    for visit in Appointment.objects.filter(status__in=AWAITED):
        url = f"/api/v1/appointments/{visit.pk}/cancel/"
        story.visitor.done("post", url, by=story.desk, json={"reason": person.REASON})
    unread = ProviderEvent.objects.exclude(work_state="done").filter(due_at__lte=Now())  # the others are of no mail
    story.wait(lambda: InboundText.objects.count() == 3 and not unread.exists())
    cancelled = PatientMessage.objects.filter(wording="cancelled")
    cancelled.update(due_at=timezone.now(), scheduled_send_time=timezone.now())
    story.stack.ring("reminders.deliver_messages")
    story.wait(lambda: cancelled.filter(status__in=DONE).count() == 2)


def _posted(story: Story, path: str, form: dict[str, str], status: int = 200) -> None:
    """Post a form as Twilio does."""
    signature = sign(f"{story.stack.url}{path}", form, TOKEN)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    story.visitor.done("post", path, status, data=urlencode(form), headers=headers)


def examined(story: Story) -> None:
    """Receive a report, one about a stranger, and broken ones; page what is critical; send an order to who refuses."""
    make_lab_feed()
    sent = {**person.PERSON, "date_of_birth": "1931-07-23"}
    good = message(sent, "CANARY01")
    with socket.create_connection(("127.0.0.1", story.stack.mllp), 10) as peer:
        peer.settimeout(30)
        _until_known(peer)
        for raw in (
            b"Zqxjklast is no HL7 message",
            good,
            message({**sent, "medical_record_number": "ZQXJKMRN8"}, "CANARY02"),
            good.replace(b"CANARY01", b"CANARY03").replace(b"19310723", b"Zqxjkborn"),
            good.replace(b"CANARY01", b"CANARY04").replace(b"|NM|", b"|ZQ|").replace(b"4.1", person.VALUE.encode()),
            message(sent, "CANARY05").replace(b"|N|||F", b"|HH|||F"),
        ):
            peer.sendall(frame(raw))
            answer = peer.recv(65536)
            assert b"MSA|" in answer
            story.visitor.refusals.append(answer.decode())
    order = make_lab_order(
        patient=story.patient,
        doctor=story.practice.doctor,
        clinical_indication=person.REASON,
        feed=make_order_feed(order_port=story.lab.port),
    )
    order.tests.add(make_lab_test())
    story.visitor.done("post", f"/api/v1/lab-orders/{order.pk}/place/", by=story.doctor, json={})
    story.wait(lambda: InboundMessage.objects.filter(work_state="done").count() == InboundMessage.objects.count())
    assert {"filed", "worklist", "rejected"} <= set(InboundMessage.objects.values_list("status", flat=True))
    story.wait(lambda: LabOrderMessage.objects.filter(status="rejected").exists())
    story.wait(lambda: CriticalPage.objects.filter(critical_result__patient=story.patient).exists())


def _until_known(peer: socket.socket) -> None:
    """Wait until the door has heard of the feed."""

    def taken() -> bool:
        peer.sendall(frame(b"MSH|^~\\&|LIS|LAB|||20260302||ORU^R01|PING|P|2.5.1\r"))
        return b"MSA|AR|" not in peer.recv(65536)

    until(taken)


def treated(story: Story) -> None:
    """Prescribe, refuse more of it, write a note, keep her card, and let a doctor who does not treat her look."""
    drug = make_medication()
    body = {"patient": str(story.patient.pk), "medication": str(drug.pk), "dosage": person.DRUG,
            "frequency": person.DRUG, "quantity": "30", "refills_allowed": 1,
            "doctor": str(story.practice.doctor.pk)}  # fmt: skip
    made = story.visitor.done("post", "/api/v1/prescriptions/", 201, by=story.doctor, json=body)
    more = {"prescription": made["id"], "pharmacy_name": person.SAID, "notes": person.SAID}
    refill = story.visitor.done("post", "/api/v1/prescription-refills/", 201, by=story.doctor, json=more)
    url = f"/api/v1/prescription-refills/{refill['id']}/deny/"
    story.visitor.done("post", url, by=story.doctor, json={"reason": person.REASON})
    picture, url = io.BytesIO(), f"/api/v1/patient-insurances/{story.coverage.pk}/"
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    for name, raw, status in (("Zqxjklast.png", picture.getvalue(), 200), ("Zqxjkfirst.png", b"%PDF Zqxjkcard", 400)):
        story.visitor.done("patch", url, status, by=story.desk, files={"front_card_image": (name, raw)})
    note = {"patient": str(story.patient.pk), "doctor": str(story.practice.doctor.pk), "note_type": "progress",
            "chief_complaint": person.REASON, "content": person.SAID}  # fmt: skip
    story.visitor.ask("post", "/api/v1/clinical-notes/", by=story.doctor, json=note)
    stranger = make_doctor().user
    why = {"reason": f"{person.SAID} came in unconscious"}
    story.visitor.done("post", f"/api/v1/patients/{story.patient.pk}/break-glass/", 201, by=stranger, json=why)


def billed(story: Story) -> None:
    """Ask the payer, claim, send, and read what comes back, refused and paid."""
    partner = _partner(story)
    line = factories.line(description=person.ITEM, note=person.NOTE)
    body = {
        "patient_insurance": str(story.coverage.pk),
        "service_date": str(Clinic.today() - timedelta(days=8)),
        "rendering_doctor": str(factories.rendering_doctor().pk),
        "diagnosis_codes": [person.DIAGNOSIS],
        "procedure_codes": [line],
    }
    api, by = story.visitor.done, dict[str, Any](by=story.biller)
    claim = api("post", "/api/v1/insurance-claims/", 201, json=body, **by)["id"]
    api("post", f"/api/v1/insurance-claims/{claim}/submit/", json={}, **by)
    api("post", "/api/v1/eligibility-inquiries/", 201, json={"coverage": str(story.coverage.pk)}, **by)
    for task in ("claims.build", "eligibility.build"):
        story.stack.ring(task)
    files = Interchange.objects.filter(partner=partner)
    story.wait(lambda: files.filter(status="sent").count() == 2)
    story.stack.house.settle()
    for kinds in (("TA1", "999", "277CA", "277CA-payer", "271"), ("835",)):
        assert story.stack.house.answer(*kinds)
        _collect(story, len(list(story.stack.house.outbound().iterdir())))
    story.wait(lambda: InsuranceClaim.objects.get(pk=claim).status == "paid")
    assert EligibilityInquiry.objects.get().status == "answered"


def _partner(story: Story) -> Any:
    house = story.stack.house
    (story.stack.secrets / "house").write_text(house.client_key)
    factories.billing_entity(
        is_default=True, name="Biller", first_name="Alex", tax_id=TAX_ID, tax_id_type="SY", npi=PAYEE
    )
    made = factories.partner(
        transport="sftp", host=house.host, port=house.port, host_key=house.host_key, username=house.username,
        secret_name="house", outbound_folder="inbound", inbound_folder="outbound", ack_requested=True,
    )  # fmt: skip
    factories.route(partner=made, provider=story.plan.provider, answers_eligibility=True, answers_status=True)
    return made


def _collect(story: Story, files: int) -> None:
    """Let the answers be fetched and read; a file is taken once it was seen twice at the same size."""

    def read() -> bool:
        story.stack.ring("claims.collect")
        time.sleep(0.3)
        return InboundFile.objects.filter(work_state="done").count() >= files

    story.wait(read)


def exported(story: Story) -> str:
    """Let a system search, and fetch all there is; return what it got."""
    system = make_system().row
    token = tokens.issue(system.pk, ["system/*.read"], now=timezone.now())
    sought = {"family": "Zqxjklast", "birthdate": "1931-07-23", "identifier": "ZQXJKMRN7"}
    form = {"data": urlencode(sought), "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    assert story.visitor.done("post", "/fhir/R4/Patient/_search", token=token, **form)["entry"]
    story.visitor.done("get", f"/fhir/R4/Patient/{story.patient.pk}/$everything", token=token)
    for wrong in ("birthdate=Zqxjkborn", "family:Zqxjk=Zqxjklast"):
        story.visitor.done("get", f"/fhir/R4/Patient?{wrong}", 400, token=token)
    asked = story.visitor.ask(
        "get", "/fhir/R4/$export", token=token, headers={"Prefer": "respond-async", "Accept": "application/fhir+json"}
    )
    assert asked.status_code == 202, asked.text
    story.stack.ring("fhir_export.run")
    story.wait(lambda: ExportJob.objects.filter(client=system, status="completed").exists())
    status = asked.headers["Content-Location"].removeprefix(story.stack.url)
    told = story.visitor.done("get", status, token=token)
    assert told["output"]
    parts = [story.visitor.ask("get", one["url"].removeprefix(story.stack.url), token=token) for one in told["output"]]
    return "\n".join(part.text for part in parts)


def looked_around(story: Story) -> None:
    """Read, search and mistype over the API and in the pages, as the administrator does."""
    ask, by, url = story.visitor.ask, dict[str, Any](by=story.admin), f"/api/v1/patients/{story.patient.pk}/"
    for resource in RESOURCES:
        story.visitor.done("get", f"/api/v1/{resource}/", **by)
    assert story.visitor.done("get", url, **by)["last_name"] == "Zqxjklast"
    ask("post", "/api/v1/patients/search/", json={"text": "zqxjklast 1931-07-23"}, **by)
    for query in ({"last_name": "Zqxjklast"}, {"search": "zqxjkfirst"}, {"date_of_birth": "Zqxjkborn"}):
        ask("get", "/api/v1/patients/", params=query, **by)
    for change in ({"phone": "Zqxjkphone"}, {"date_of_birth": "Zqxjkborn"}, {"no_such_field": "Zqxjklast"}):
        ask("patch", url, json=change, by=story.desk)
    again = {name: value for name, value in person.PERSON.items() if name != "insurance_info"}
    ask("post", "/api/v1/patients/", json={**again, "date_of_birth": "1931-07-23"}, by=story.desk)
    twin = make_patient(first_name="Zqxjkfirst", last_name="Zqxjklast", medical_record_number="ZQXJKMRN6")
    story.visitor.done("post", f"/api/v1/patients/{twin.pk}/merge/", json={"into": str(story.patient.pk)}, **by)
    ask("post", "/api/v1/auth/token/", json={"email": "zqxjkmail@example.org", "password": "Zqxjkpassword-1931"})
    stranger = InboundMessage.objects.get(control_id="CANARY02").pk
    for page in (
        f"/admin/patients/patient/{story.patient.pk}/change/", _searched(story),
        f"/admin/patients/patient/{story.patient.pk}/history/", "/console/", "/console/labs/",
        f"/console/labs/{stranger}/", "/console/claims/", "/console/reminders/", "/console/audit/", "/console/alerts/",
    ):  # fmt: skip
        assert ask("get", page, pages=True, **by).status_code == 200, page
    forms = {
        "/console/labs/patient/": {"number": "ZQXJKMRN7"},
        f"/console/labs/{stranger}/find/": {"text": "zqxjklast 1931-07-23"},
        f"/console/labs/{stranger}/reveal/": {"reason": "The laboratory asks"},
        f"/console/labs/{stranger}/retry/": {"reason": "a test of the line"},
    }
    for path, form in forms.items():
        assert ask("post", path, pages=True, data=form, **by).status_code in (200, 302), path


def _searched(story: Story) -> str:
    """Search in the admin; return where its list leads."""
    form = {"pages": True, "data": {"q": "zqxjklast"}, "by": story.admin}
    answer = story.visitor.ask("post", "/admin/patients/patient/", **form)
    return answer.headers["Location"]


TRAPS = f"""
ALTER TABLE patients_patient ADD CONSTRAINT trap CHECK (city <> '{person.TRAP}');
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a bug' USING ERRCODE = 'XX000', DETAIL = NEW::text; END $$;
CREATE TRIGGER trap BEFORE UPDATE ON patients_patient FOR EACH ROW WHEN (NEW.city = '{person.BUG}')
    EXECUTE FUNCTION trap()
"""
GONE = "ALTER TABLE patients_patient RENAME TO patients_gone"  # so that errors quote the statement, values and all
NO_TRAPS = "DROP FUNCTION trap CASCADE; ALTER TABLE patients_patient DROP CONSTRAINT trap"


def broken(story: Story) -> None:
    """Run into what PostgreSQL refuses in words that quote the row or the statement, over the API and in pages."""
    url, by = f"/api/v1/patients/{story.patient.pk}/", dict[str, Any](by=story.admin)
    stranger = InboundMessage.objects.get(control_id="CANARY02").pk
    with connection.cursor() as cursor:
        cursor.execute(TRAPS)
        for value, status in ((person.TRAP, 409), (person.BUG, 500)):
            answer = story.visitor.ask("patch", url, by=story.desk, json={"city": value})
            assert answer.status_code == status, answer.text
        cursor.execute(NO_TRAPS)
        cursor.execute(GONE)
        sought = {"data": {"text": "zqxjklast 1931-07-23"}, "pages": True}
        page = story.visitor.ask("post", f"/console/labs/{stranger}/find/", **sought, **by)
        found = story.visitor.ask("post", "/api/v1/patients/search/", json={"text": "zqxjklast 1931-07-23"}, **by)
        cursor.execute("ALTER TABLE patients_gone RENAME TO patients_patient")
    assert (page.status_code, found.status_code) == (500, 500)
    assert "html" in page.headers["Content-Type"]


def tended(story: Story) -> None:
    """Let everything run that runs by the clock, and wait until it has."""
    for task in sorted({str(entry["task"]) for entry in SCHEDULE.values()}):
        story.stack.ring(task)
    try:
        story.wait(lambda: not never_run())
    except AssertionError:
        raise AssertionError(f"did not run: {never_run()}") from None


def never_run() -> set[str]:
    return SCHEDULE.keys() - set(Heartbeat.objects.filter(runs__gt=0).values_list("entry", flat=True))
