"""Proves that the admin's pages about patients open, stay cheap and keep the role's limits."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backend.apps.core.models import AuditLog
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

URL = "/admin/patients/patient/"
FORM = {
    "first_name": "Eve", "last_name": "Lindt", "date_of_birth": "1991-01-02", "gender": "female", "country": "US",
    "preferred_language": "en", "insurance_info": "{}", "medical_record_number": "E-1",
}  # fmt: skip

pytestmark = pytest.mark.django_db


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role=role))
    return client


def test_the_list_costs_the_same_for_five_rows_and_for_fifty() -> None:
    client = signed_in("admin")
    costs = []
    for more in (5, 45):
        for _ in range(more):
            make_patient()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(URL).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_search_add_and_change_pages_open_and_are_audited() -> None:
    client, row = signed_in("admin"), make_patient()
    assert b"Okafor" in search(client, URL, "oka").content
    assert b"Okafor" not in search(client, URL, "kafor").content
    assert client.get(f"{URL}add/").status_code == 200
    assert client.get(f"{URL}{row.pk}/change/").status_code == 200
    assert AuditLog.objects.filter(action="admin.retrieve", resource_id=str(row.pk)).exists()


def test_a_patient_added_in_the_admin_goes_through_the_service() -> None:
    client = signed_in("receptionist")
    answer = client.post(f"{URL}add/", {**FORM, "sms_consent": "on"})
    assert answer.status_code == 302, answer.context["errors"]
    assert Patient.objects.get(medical_record_number="E-1").sms_consent_at is not None
    client.post(f"{URL}add/", {**FORM, "medical_record_number": "E-2"})
    assert not Patient.objects.filter(medical_record_number="E-2").exists()


def test_races_are_ticked_and_kept_as_codes() -> None:
    client, row = signed_in("receptionist"), make_patient()
    url, form = f"{URL}{row.pk}/change/", {**FORM, "medical_record_number": row.medical_record_number}
    assert b"Native Hawaiian" in client.get(url).content
    for ticked in (["2106-3", "2028-9"], []):
        assert client.post(url, {**form, "races": ticked}).status_code == 302
        row.refresh_from_db()
        assert row.races == ticked
    client.post(url, {**form, "races": ["2106-3", "UNK"]})  # said and not said contradict each other
    row.refresh_from_db()
    assert row.races == []


def test_the_laboratory_sees_no_address_in_the_admin() -> None:
    row = make_patient(address_line1="12 Hidden Lane")
    page = signed_in("lab_tech").get(f"{URL}{row.pk}/change/")
    assert page.status_code == 200
    assert b"Hidden Lane" not in page.content
    assert b"Okafor" in page.content


def test_patients_do_not_enter_the_admin() -> None:
    assert signed_in("patient").get(URL).status_code == 302
