"""Proves that the admin's pages about doctors open, stay cheap and keep the role's limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backend.apps.doctors.models import Doctor, DoctorAvailability
from backend.apps.doctors.tests.factories import (
    make_availability,
    make_credential,
    make_dea,
    make_doctor,
    make_npi,
    make_specialization,
)
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

pytestmark = pytest.mark.django_db

PAGES = [
    ("specialization", make_specialization),
    ("doctor", make_doctor),
    ("doctorcredential", make_credential),
    ("doctoravailability", make_availability),
]


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_user(role=role))
    return client


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_lists_cost_the_same_for_five_rows_and_for_twenty(name: str, make: Callable[[], Any]) -> None:
    client, costs = signed_in("admin"), []
    for more in (5, 15):
        for _ in range(more):
            make()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/admin/doctors/{name}/").status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1]


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_search_add_and_change_pages_open(name: str, make: Callable[[], Any]) -> None:
    client, row = signed_in("admin"), make()
    assert search(client, f"/admin/doctors/{name}/", "sto").status_code == 200
    for page in ("add/", f"{row.pk}/change/"):
        assert client.get(f"/admin/doctors/{name}/{page}").status_code == 200


def test_a_doctor_is_added_with_specializations_and_a_warning_about_the_dea_number() -> None:
    user, heart = make_user(role="doctor", last_name="Stone"), make_specialization(name="Cardiology")
    form = {
        "user": user.pk, "license_number": "L-1", "npi_number": make_npi(), "dea_number": make_dea("BX"),
        "years_of_experience": 3, "consultation_fee": "90", "languages": '["en"]',
        "specialization_links-TOTAL_FORMS": 1, "specialization_links-INITIAL_FORMS": 0,
        "specialization_links-0-specialization": heart.pk, "specialization_links-0-position": 0,
    }  # fmt: skip
    answer = signed_in("admin").post("/admin/doctors/doctor/add/", form, follow=True)
    assert Doctor.objects.get(license_number="L-1").primary_specialization == heart
    assert b"second letter of the DEA number" in answer.content


def test_the_front_desk_sees_no_dea_number_in_the_admin() -> None:
    row = make_doctor()
    page = signed_in("receptionist").get(f"/admin/doctors/doctor/{row.pk}/change/")
    assert page.status_code == 200
    assert row.license_number.encode() in page.content
    assert row.dea_number.encode() not in page.content


def test_a_doctor_deletes_the_own_hours_in_the_admin_and_no_others() -> None:
    mine, other = make_availability(), make_availability()
    client = Client()
    client.force_login(mine.doctor.user)
    for row in (mine, other):
        client.post(f"/admin/doctors/doctoravailability/{row.pk}/delete/", {"post": "yes"})
    assert list(DoctorAvailability.objects.all()) == [other]
