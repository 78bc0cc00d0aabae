"""Reads a clinic whose every text about patients is a mark, page by page and error by error; looks for the marks."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from backend.apps.core.roles import Role
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.patients.models import Patient
from backend.apps.patients.serializers import PatientSerializer
from backend.config import redaction
from tests.security.matrix import RESOURCES, Practice, make, make_practice, model_of, other_people
from tests.security.test_phi_canary import PLACES, everything_in, marks_in, stored_text
from tests.support.api_contract import client_for
from tests.support.pages import signed_in
from tests.support.planted import about_patients, plant

LINK = re.compile(r"""(?:href|action|src|hx-get|hx-post)=["']([^"']*)["']""")
FEWEST = 120  # fields that hold a mark; there are more, and a form may be added
FILTERS = ("?wording=",)  # of lists in the admin: which text a consent was given to, which names no patient
PRESENTED = {"core_alert", "core_idempotentrequest"}  # looked at by the tests of the pipelines that write them


class Reader:
    """Somebody who reads everything; keeps what was said to them, and where pages lead."""

    def __init__(self, practice: Practice) -> None:
        self.practice = practice
        login = practice.logins[Role.ADMIN]
        self.api, self.pages = client_for(login), signed_in(login)
        self.api.raise_request_exception = self.pages.raise_request_exception = False
        self.shown, self.refusals, self.links = 0, list[str](), list[str]()
        self.statuses = set[int]()

    def ask(self, client: Client, url: str, method: str = "get", body: Any = None) -> None:
        answer = getattr(client, method)(url, body) if body is not None else getattr(client, method)(url)
        self.statuses.add(answer.status_code)
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
    return practice


@pytest.fixture
def reader(db: None) -> Reader:
    practice = filled()
    planted, formed = plant()
    assert len(planted) >= FEWEST, sorted(formed)
    return Reader(practice)


def test_no_field_about_a_patient_is_told_to_who_only_listens(
    reader: Reader, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="")
    monkeypatch.setattr(redaction, "WITH_TEXT", False)  # as in production
    capfd.readouterr()
    reader.read_the_api()
    reader.read_the_pages()
    reader.break_it(monkeypatch)
    assert {200, 400, 500} <= reader.statuses
    assert reader.shown > 60, "who may read is shown what there is"
    assert [text for text in reader.refusals if marks_in(text.replace("zqx=Zqxjk", ""))] == []
    assert [link for link in reader.links if marks_in(link) and not link.startswith(FILTERS)] == []
    assert marks_in(caplog.text + "".join(capfd.readouterr())) == []
    assert marks_in(everything_in(settings.REDIS_URL)) == []
    for table in PLACES.keys() - PRESENTED:
        if table in {"core_auditlog", "django_admin_log", "core_heartbeat"}:
            assert marks_in(stored_text(table, PLACES[table])) == [], table
    assert marks_in(repr([session.get_decoded() for session in Session.objects.all()])) == []
    assert marks_in(Client().get("/metrics").content.decode()) == []
