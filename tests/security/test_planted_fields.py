"""Reads a clinic whose every text about patients is a mark, page by page and error by error; looks for the marks."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backend.apps.appointments.models import ReplanRequest
from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import Heartbeat
from backend.apps.core.roles import Role
from backend.apps.insurance.models import PriorAdjudication
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.insurance.tests.inquiry_factories import make_event
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.interop.models import DisclosedPatient
from backend.apps.interop.tests.fhir.export_rows import make_disclosure
from backend.apps.interop.tests.patient_links import link_of
from backend.apps.laboratory.models import FillerNumber
from backend.apps.laboratory.tests.factories import make_lab_order
from backend.apps.patients.models import Patient
from backend.apps.patients.serializers import PatientSerializer
from backend.apps.patients.tests.factories import make_emergency_access
from backend.apps.prescriptions.models import Prescription
from backend.apps.prescriptions.tests.factories import make_prescription
from backend.config import redaction
from tests.security.matrix import RESOURCES, Practice, make, make_practice, model_of, other_people
from tests.support.api_contract import client_for
from tests.support.pages import signed_in
from tests.support.planted import about_patients, everything, marks_in, plant
from tests.support.stores import everything_in, stored

LINK = re.compile(r"""(?:href|action|src|hx-get|hx-post)=["']([^"']*)["']""")
DIGEST, CODE, ORDER = "a digest of ours", "a code of a public list", "days a constraint keeps in order"
NOT_PLANTED = {  # every other text, day and JSON of a row about a patient holds a mark
    "insurance.InsuranceClaim.procedure_codes": "the database adds up its charges; its texts are those of the lines",
    "laboratory.DroppedFinding.result_key": DIGEST,
    "laboratory.InboundMessage.sha256": DIGEST,
    "laboratory.LabOrder.diagnosis_code": CODE,
    "laboratory.LabResult.digest": DIGEST,
    "laboratory.LabResult.result_key": DIGEST,
    "laboratory.Restatement.result_key": DIGEST,
    "prescriptions.Prescription.expiration_date": ORDER,
    "prescriptions.Prescription.prescribed_date": ORDER,
}
LISTENING = ("core_alert", "core_auditlog", "core_heartbeat", "core_idempotentrequest", "django_admin_log")
# Of lists in the admin: which text a consent was given to, and by whose service a message went; who reads dials.
HARMLESS = ("?wording=", "?provider=", "tel:")


class Reader:
    """Somebody who reads everything; keeps what was said to them, and where pages lead."""

    def __init__(self, practice: Practice) -> None:
        self.practice = practice
        login = practice.logins[Role.ADMIN]
        self.api, self.pages = client_for(login), signed_in(login)
        self.api.raise_request_exception = self.pages.raise_request_exception = False
        self.shown, self.refusals, self.links = 0, list[str](), list[str]()
        self.statuses, self.broken = set[int](), list[str]()

    def ask(self, client: Client, url: str, method: str = "get", body: Any = None) -> None:
        answer = getattr(client, method)(url, body) if body is not None else getattr(client, method)(url)
        self.statuses.add(answer.status_code)
        if answer.status_code >= 500:
            self.broken.append(url)
        text = b"".join(answer).decode(errors="replace")
        self.links.append(answer.headers.get("Location", ""))
        if answer.status_code >= 400:
            self.refusals.append(f"{url} {text}")
            return
        self.shown += bool(marks_in(text))
        if "html" in answer.headers.get("Content-Type", ""):
            self.links += LINK.findall(text)

    def read_the_api(self) -> None:
        for resource in RESOURCES:
            url = f"/api/v1/{resource}/"
            self.ask(self.api, url)
            self.ask(self.api, f"{url}?zqx=Zqxjk")
            row = model_of(resource)._base_manager.first()
            if row is not None:
                self.ask(self.api, f"{url}{row.pk}/")
                self.ask(
                    self.api, f"{url}{row.pk}/", "patch", {"status": "Zqxjk", "Unknown": "Zqxjk", "date_of_birth": 0}
                )

    def read_the_pages(self) -> None:
        for model in (one for one in about_patients() if one in admin.site._registry):
            names = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            self.ask(self.pages, reverse(f"{names}_changelist"))
            row = model._base_manager.first()
            if row is not None:
                for page in ("change", "history"):
                    self.ask(self.pages, reverse(f"{names}_{page}", args=[row.pk]))
        for entry in urlpatterns:
            if not entry.pattern.converters:
                self.ask(self.pages, reverse(f"console:{entry.name}"))

    def write_something(self) -> None:
        """Change rows in the admin and over the API, so that what is noted about changes is there to be looked at."""
        person = {"first_name": "Zqxjk", "last_name": "Zqxjk", "date_of_birth": "1931-07-23", "gender": "female"}
        desk = client_for(self.practice.logins[Role.RECEPTIONIST])
        made = desk.post("/api/v1/patients/", person, headers={"Idempotency-Key": "of-the-desk-1"})
        assert made.status_code == 201, made.data
        page = reverse("admin:patients_patient_change", args=[made.data["id"]])
        form = self.pages.get(page).context["adminform"].form
        kept = {name: value for name in form.fields if (value := form[name].value()) not in (None, False)}
        answer = self.pages.post(page, {**kept, "insurance_info": "{}", "city": "Zqxjktown"})
        assert answer.status_code == 302, answer.context["errors"]
        told = [str(one) for one in get_messages(answer.wsgi_request)]
        assert told, "it is told on the next page, and waits for that in a cookie"
        assert marks_in(" ".join(told)) == []

    def break_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a bug of ours raise with a patient's data in its words."""

        def stumble(_: Any, patient: Patient) -> Any:
            raise KeyError(f"{patient.last_name} {patient.__dict__}")

        with monkeypatch.context() as patch:
            patch.setattr(PatientSerializer, "to_representation", stumble)
            self.ask(self.api, f"/api/v1/patients/{self.practice.patient.pk}/")


def filled() -> Practice:
    practice = make_practice()
    for resource in RESOURCES:
        if not model_of(resource)._base_manager.exists():
            make(resource, other_people(practice))
    more_rows(practice)
    return practice


def more_rows(practice: Practice) -> None:
    """Save what stands beside the rows of the resources, and rows in the states in which more is said."""
    whose, now = {"patient": practice.patient, "doctor": practice.doctor}, timezone.now()
    visit = make_appointment(**whose, status="cancelled", cancelled_at=now, cancellation_reason="x")
    ReplanRequest.ask([visit.pk])
    link_of(make_appointment(**whose))
    states = {"status": "cancelled", "cancelled_at": now}, {"fills": 1, "last_filled_date": now, "refills_remaining": 3}
    for state in states:
        Prescription.objects.filter(pk=make_prescription(**whose, refills_allowed=3).pk).update(**state)
    review = {"verdict": "justified", "review_note": "x", "reviewed_by": practice.logins[Role.ADMIN]}
    make_emergency_access(patient=practice.patient, **review, reviewed_at=now)
    claim = make_claim(patient_insurance=make_patient_insurance(patient=practice.patient))
    make_event(claim, "277CA", "A3:33")
    prior = PriorAdjudication.objects.get()
    prior.lines.create(number=1, paid=1, code="99213", units=1)
    FillerNumber.objects.create(lab_order=make_lab_order(**whose), patient=practice.patient, sender="x", number="x")
    DisclosedPatient.objects.create(disclosure=make_disclosure(), patient=practice.patient)
    Heartbeat.objects.create(entry="sweep overdue rows", task="sweep.overdue")


@pytest.fixture
def reader(db: None) -> Reader:
    practice = filled()
    missing = everything() - plant()
    assert missing == NOT_PLANTED.keys(), "A new field is planted, or named in NOT_PLANTED with a reason."
    return Reader(practice)


def test_no_field_about_a_patient_is_told_to_who_only_listens(
    reader: Reader, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="")
    monkeypatch.setattr(redaction, "WITH_TEXT", False)  # as in production
    capfd.readouterr()
    reader.read_the_api()
    reader.read_the_pages()
    reader.write_something()
    reader.break_it(monkeypatch)
    assert {200, 400, 500} <= reader.statuses
    assert reader.broken == [f"/api/v1/patients/{reader.practice.patient.pk}/"], "what is planted can be read"
    assert reader.shown > 60, "who may read is shown what there is"
    assert [text for text in reader.refusals if marks_in(text.replace("zqx=Zqxjk", ""))] == []
    assert [link for link in reader.links if marks_in(link) and not link.startswith(HARMLESS)] == []
    assert marks_in(caplog.text + "".join(capfd.readouterr())) == []
    assert marks_in(everything_in(settings.REDIS_URL)) == []
    for table in LISTENING:
        told = stored(table, [f"{table}::text"])
        assert bool(told) == (table != "django_admin_log"), (
            "what is done in the admin is a row of the audit log instead"
        )
        assert marks_in(told) == [], table
    assert marks_in(repr([session.get_decoded() for session in Session.objects.all()])) == []
    assert marks_in(Client().get("/metrics").content.decode()) == []
