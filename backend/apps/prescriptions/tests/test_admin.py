"""Holds that the pharmacy's admin pages open, search and cost the same however long."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients.tests.factories import make_patient
from backend.apps.prescriptions.models import Prescription
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

pytestmark = pytest.mark.django_db
PAGES = [("medication", make_medication), ("prescription", make_prescription), ("prescriptionrefill", make_refill)]


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_user(role="admin"))
    return client


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_the_pages_open_and_search(browser: Client, name: str, make: Any) -> None:
    row = make()
    assert search(browser, f"/admin/prescriptions/{name}/", "RX0000001").status_code == 200
    for path in ("", f"{row.pk}/change/", "add/"):
        assert browser.get(f"/admin/prescriptions/{name}/{path}").status_code == 200


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_a_longer_list_costs_no_more(browser: Client, name: str, make: Any) -> None:
    counts = []
    for more in (3, 12):
        for _ in range(more):
            make()
        with CaptureQueriesContext(connection) as queries:
            browser.get(f"/admin/prescriptions/{name}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_prescription_is_written_in_the_admin_by_the_same_rules(browser: Client) -> None:
    form = {
        "patient": make_patient().pk,
        "doctor": make_doctor().pk,
        "medication": make_medication(controlled_substance_schedule="II").pk,
        "dosage": "1",
        "frequency": "daily",
        "route": "oral",
        "quantity": "10",
        "refills_allowed": "0",
    }
    assert browser.post("/admin/prescriptions/prescription/add/", form).status_code == 302
    row = Prescription.objects.get()
    assert (row.schedule, row.dea_number_used) == ("II", row.doctor.dea_number)
    refused = browser.post("/admin/prescriptions/prescription/add/", {**form, "refills_allowed": "1"})
    assert b"schedule II may not be refilled" in refused.content
    assert Prescription.objects.count() == 1
