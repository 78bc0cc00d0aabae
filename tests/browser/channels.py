"""Brings a script in by each way that strangers have into the house, read and stored by our own code as any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils import timezone

from backend.apps.appointments.tests.factories import free_time
from backend.apps.core.models import Clinic
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.insurance import deposits
from backend.apps.insurance.models import RemittanceClaim
from backend.apps.insurance.tests.factories import partner
from backend.apps.laboratory.models import InboundMessage, LabResult
from backend.apps.laboratory.tests.factories import make_lab_feed
from backend.apps.messaging.models import ProviderEvent
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.twilio import inbound_form
from tests.support.api_contract import client_for
from tests.workers.claims import answers
from workers import lab_results, replies
from workers.inbound import Arrival, store

SCRIPT = "<img src=x onerror=alert(1)>"
HL7 = (
    "MSH|^~\\&|LIS|LAB|CARERELAY|CLINIC|20260302130000||ORU^R01|{control}|P|2.5.1\r"
    "PID|1||{number}^^^CLINIC^MR||{family}^{given}||{born}|F|||{script}^^{script}^IL^62701\r"
    "OBR|1||F{control}|24323-8^{script}^LN|||202603021200|||||||||||||||202603021300|||F\r"
    "OBX|1|ST|2823-3^{script}^LN||{script}|{script}|{script}|N|||F\r"
    "NTE|1||{script}\r"
)


@dataclass(frozen=True)
class Shown:
    """What came in by a channel, and a page that shows it. least: times the script stands there as text."""

    channel: str
    page: str
    least: int = 1


def all_channels() -> list[Shown]:
    return [*laboratory(), *texts(), *desk(), *imported(), *payer()]


def laboratory() -> list[Shown]:
    """Receive a result of a patient, and one of somebody whose very name is a script."""
    make_lab_feed()
    patient = make_patient()
    known = {"number": patient.medical_record_number, "family": patient.last_name, "given": patient.first_name}
    stranger = {"number": "NOBODY1", "family": SCRIPT, "given": SCRIPT}
    for control, person in (("XSS1", known), ("XSS2", stranger)):
        fields = {**person, "born": f"{patient.date_of_birth:%Y%m%d}", "control": control, "script": SCRIPT}
        store([Arrival(HL7.format(**fields).encode(), "127.0.0.1")])
    lab_results.file_due()
    result, message = LabResult.objects.get(lab_order__patient=patient), InboundMessage.objects.get(control_id="XSS2")
    assert (result.result_value, message.status) == (SCRIPT, "worklist")
    return [
        Shown("HL7 result", reverse("console:lab-history", args=[result.pk]), least=3),
        Shown("HL7 result in the admin", reverse("admin:laboratory_labresult_change", args=[result.pk])),
        Shown("HL7 name", reverse("console:lab-message", args=[message.pk]), least=3),
    ]


def texts() -> list[Shown]:
    form = inbound_form("+14155550123", "+14155550199", SCRIPT, sid="SM" + "7" * 32)
    key = f"twilio-in:{form['MessageSid']}"
    told: dict[str, Any] = {"provider": "twilio", "kind": "inbound", "message_id": form["MessageSid"]}
    replies.handle(ProviderEvent.objects.create(payload=form, dedupe_key=key, **told))
    return [Shown("inbound text", reverse("console:replies"))]


def desk() -> list[Shown]:
    """Register a patient and book for them over the API, as any program with a login may."""
    api = client_for(make_user("receptionist"))
    person = {"first_name": SCRIPT, "last_name": SCRIPT, "date_of_birth": "1980-01-01", "gender": "female"}
    made = api.post("/api/v1/patients/", {**person, "address_line1": SCRIPT, "city": SCRIPT})
    visit = {"patient": made.data["id"], "doctor": str(make_doctor().pk), "reason": SCRIPT}
    when = {"appointment_datetime": free_time().isoformat(), "availability_override_reason": SCRIPT}
    booked = api.post("/api/v1/appointments/", {**visit, **when})
    assert (made.status_code, booked.status_code) == (201, 201), booked.data
    return [
        Shown("API", reverse("admin:patients_patient_changelist"), least=2),
        Shown("API", reverse("admin:patients_patient_change", args=[made.data["id"]]), least=3),
        Shown("API", reverse("console:reminder-visit", args=[booked.data["id"]])),
    ]


def imported() -> list[Shown]:
    lines = f"trace,amount,received_on\n{SCRIPT},10.00,{Clinic.today()}\n"
    assert [row.outcome for row in deposits.bring_in(lines, by=None)] == ["added"]
    return [Shown("import file", reverse("console:deposits"))]


def payer() -> list[Shown]:
    """Let a payer decide about a claim that nobody knows, in the name of a script."""
    claim = [
        "CLP*NOBODY1*1*150*100*20*12*PAYER1*11*1", f"NM1*QC*1*{SCRIPT}*{SCRIPT}****MI*{SCRIPT}",
        "SVC*HC:99213*150*100**1", "CAS*CO*45*30", "CAS*PR*2*20",
    ]  # fmt: skip
    kind, segments = answers.remittance(claim, paid="100", trace=SCRIPT)
    named = [segment.replace("SAMPLE PAYER", SCRIPT) for segment in segments]
    answers.receive(partner(), answers.content((kind, named)), name=f"{SCRIPT}.835", received_at=timezone.now())
    told = RemittanceClaim.objects.get(claim_control_number="NOBODY1")
    return [
        Shown("payer's answer", reverse("console:remittance-claim", args=[told.pk])),
        Shown("payer's answer", reverse("console:remittance", args=[told.remittance_id])),
        Shown("payer's file", reverse("console:claim-inbound")),
    ]
