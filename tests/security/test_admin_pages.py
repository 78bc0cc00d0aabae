"""Proves that the admin shows rows to the right roles only, costs the same for many, and changes nothing by a look."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backend.apps.appointments.models import FreedSlot
from backend.apps.appointments.tests.waitlist_factories import make_freed_slot
from backend.apps.core.models import AuditLog, ReconcileRun
from backend.apps.core.permissions import may
from backend.apps.core.roles import Role
from backend.apps.insurance.models import CodeSet
from backend.apps.interop.models import (
    DisclosedPatient,
    Disclosure,
    ExportJob,
    PatientGroup,
    PatientGroupMember,
    SmartClient,
)
from backend.apps.interop.tests.fhir.export_rows import make_disclosure, make_job
from backend.apps.interop.tests.fhir.systems import make_system
from backend.apps.laboratory.models import DroppedFinding, FillerNumber, ReportedPanel
from backend.apps.messaging.models import PatientLink
from backend.apps.patients.models import Patient
from backend.apps.users.models import LoginSession, User
from backend.apps.users.tests.factories import make_user
from tests.security.matrix import RESOURCES, Practice, contents, make, make_practice, model_of, other_people

RESOURCE_OF = {model_of(name): name for name in RESOURCES}
PAGES = sorted(admin.site._registry, key=lambda model: model.__name__)
FEW, MANY = 2, 4

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_tables")]


def page(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def make_row(model: Any, practice: Practice) -> Any:
    if model is LoginSession:
        return LoginSession.objects.create(user=practice.logins[Role.NURSE], refresh_jti="x" * 32)
    if model is FreedSlot:
        return make_freed_slot(doctor=practice.doctor)
    if model is CodeSet:
        count = CodeSet.objects.count()
        return CodeSet.objects.create(kind="cpt", version=f"edition {count}", valid_from=date(2026, 1, 1))
    if model is SmartClient:
        return make_system().row
    if model is PatientGroup:
        return PatientGroup.objects.create(name="Panel")
    if model is ReconcileRun:
        count = ReconcileRun.objects.count()
        return ReconcileRun.work.create(part="claims", dedupe_key=f"reconcile:{count}")
    if model in (ExportJob, Disclosure):
        return make_job() if model is ExportJob else make_disclosure(practice.patient)
    assert model in RESOURCE_OF, f"Say here how a row of {model.__name__} is made."
    return make(RESOURCE_OF[model], practice)


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def cost(client: Client, url: str) -> tuple[int, Any]:
    """Return how many queries the page takes, and the page."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(url)
    assert answer.status_code == 200, url
    return len(queries), answer


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model.__name__)
def test_the_pages_cost_the_same_for_many_rows_as_for_few(model: Any) -> None:
    client = signed_in(make_user("admin"))
    assert client.get(page(model, "changelist")).status_code == 200
    practice = make_practice()
    ContentType.objects.get_for_model(model)  # read once per process, by the first form of the model
    rows = [make_row(model, other_people(practice)) for _ in range(FEW)]
    urls = [page(model, "changelist"), page(model, "change", rows[0].pk)]
    few = [cost(client, url)[0] for url in urls]
    for _ in range(MANY - FEW):
        make_row(model, other_people(practice))
    many = [cost(client, url) for url in urls]
    assert [queries for queries, _ in many] == few
    assert len(many[0][1].context["cl"].result_list) >= MANY


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model.__name__)
def test_looking_changes_nothing_and_is_written_down(model: Any) -> None:
    practice = make_practice()
    row, login = make_row(model, practice), practice.logins[Role.ADMIN]
    client, site = signed_in(login), admin.site._registry[model]
    stored = contents(model) if model not in {AuditLog, User} else None  # the look itself is a row of the log
    urls = {page(model, "changelist"): 200, f"{page(model, 'changelist')}?q=a%27%22+%3C%00b": 303}
    assert client.post(page(model, "changelist"), {"q": "a'\" <\0b"}).status_code == 303
    urls[client.post(page(model, "changelist"), {"q": f"'\" {row.pk}"})["Location"]] = 200
    urls[page(model, "change", uuid.uuid4())] = 302
    urls[page(model, "change", "%00x")] = None
    urls[page(model, "change", row.pk)] = 200
    urls[page(model, "add")] = 200 if may(login, "create", site.permissions) and allows_adding(site) else 403
    urls[page(model, "delete", row.pk)] = None
    urls[page(model, "history", row.pk)] = None
    for url, expected in urls.items():
        before = AuditLog.objects.count()
        answer = client.get(url)
        assert answer.status_code < 500, (url, answer.status_code)
        assert expected is None or answer.status_code == expected, (url, answer.status_code)
        if answer.status_code == 200 and "add" not in url:
            noted = AuditLog.objects.filter(user_id=login.pk, resource_type=model._meta.model_name)
            assert AuditLog.objects.count() > before, url
            assert noted.latest("timestamp").action.startswith("admin."), url
    assert stored is None or contents(model) == stored


def test_choosing_a_patient_in_a_form_is_a_search_that_is_written_down() -> None:
    practice = make_practice()
    login = practice.logins[Role.NURSE]
    form = {"app_label": "appointments", "model_name": "appointment", "field_name": "patient", "term": "Okafor"}
    found = signed_in(login).post(reverse("admin:autocomplete"), form).json()["results"]
    assert [row["id"] for row in found] == [str(practice.patient.pk)]
    noted = AuditLog.objects.get(user_id=login.pk, action="admin.search", resource_type="patient")
    assert noted.detail == {"count": 1, "ids": [str(practice.patient.pk)]}


@pytest.mark.parametrize("form", [{}, {"action": "delete_selected"}], ids=["no action", "a question"])
def test_a_list_that_is_asked_for_by_post_is_written_down_too(form: dict[str, str]) -> None:
    practice = make_practice()
    model, login = model_of("lab-tests"), practice.logins[Role.ADMIN]
    row = make("lab-tests", practice)
    chosen = {"_selected_action": [str(row.pk)]} if form else {}
    answer = signed_in(login).post(page(model, "changelist"), {**form, **chosen})
    assert answer.status_code == 200
    noted = AuditLog.objects.filter(user_id=login.pk, action="admin.list").latest("timestamp")
    assert noted.detail["ids"] == [str(row.pk)]


def test_a_look_at_a_patient_in_the_admin_is_found_by_the_patient() -> None:
    practice = make_practice()
    order = make("lab-orders", practice)
    client = signed_in(practice.logins[Role.NURSE])
    client.get(page(type(order), "change", order.pk))
    assert AuditLog.objects.filter(patient_id=practice.patient.pk, action="admin.retrieve").count() == 1


def allows_adding(site: Any) -> bool:
    return type(site).has_add_permission.__qualname__.split(".")[0] != "ReadOnlyAdmin"


CANARY = {
    "first_name": "Zqfirst", "last_name": "Zqlast", "medical_record_number": "ZQMRN1", "phone": "+19995550177",
    "email": "zqmail@example.org", "address_line1": "Zqstreet 1", "address_line2": "Zqfloor", "city": "Zqcity",
    "emergency_contact_name": "Zqaunt", "emergency_contact_relationship": "Zqkin", "insurance_info": {"a": "Zqpolicy"},
}  # fmt: skip


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_the_text_of_a_row_names_no_patient(resource: str) -> None:
    practice = make_practice()
    for name, value in CANARY.items():
        setattr(practice.patient, name, value)
    practice.patient.save()
    User.objects.filter(pk=practice.logins[Role.PATIENT].pk).update(first_name="Zqfirst", email="zqmail@example.org")
    practice.patient.refresh_from_db()
    row = make(resource, practice)
    row = type(row)._base_manager.get(pk=row.pk)
    for text in (str(row), repr(row)):
        assert "zq" not in text.lower(), text
        assert "9995550177" not in text


def test_every_model_with_patients_rows_was_asked_for_its_text() -> None:
    linked = {m for m in apps.get_models() if any(f.related_model is Patient for f in m._meta.fields)}
    linked -= {
        FillerNumber,
        ReportedPanel,
        PatientLink,
        PatientGroupMember,
        DisclosedPatient,
        DroppedFinding,
    }  # shown inside their orders only, or nowhere
    assert linked <= set(RESOURCE_OF), linked - set(RESOURCE_OF)


def test_the_text_of_a_laboratorys_number_names_no_patient() -> None:
    number = FillerNumber(sender="LAB", number="Zq1")
    assert "Zq1" not in str(number)
