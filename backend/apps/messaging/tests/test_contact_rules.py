"""Holds who sets hours, caps and name of what the clinic writes, and that the hours stay within the law."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.models import Clinic
from backend.apps.messaging.models import ContactRules
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db

URL = "/api/v1/contact-rules/"


class TestContract(ApiContract):
    url = URL
    stranger = "pharmacist"

    def make(self) -> ContactRules:
        return ContactRules.objects.create()


def test_the_administrator_writes_the_rules_once_and_then_changes_them() -> None:
    admin = client_for(make_user("admin"))
    assert client_for(make_user("receptionist")).post(URL, {}).status_code == 403
    made = admin.post(URL, {"display_name": "Elm Street", "opens_at": "10:00"})
    assert made.status_code == 201, made.data
    assert admin.post(URL, {}).status_code == 409
    assert admin.patch(f"{URL}{made.data['id']}/", {"closes_at": "18:00"}).status_code == 200
    assert ContactRules.current().closes_at.hour == 18


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"opens_at": "07:59"}, "between 8:00 and 21:00"),
        ({"closes_at": "21:30"}, "between 8:00 and 21:00"),
        ({"opens_at": "15:00", "closes_at": "15:00"}, "begin before they end"),
        ({"texts_a_day": 9, "texts_a_week": 3}, "fewer texts"),
        ({"least_gap_hours": 100}, "72"),
        ({"default_language": "English"}, "language"),
        ({"display_name": "Elm HIV Oncology"}, '"Oncology" cannot stand in the name patients are told'),
        ({"display_name": "Elm bit.ly/x"}, "a shortened link"),
    ],
)
def test_rules_against_the_law_or_themselves_are_refused(fields: dict[str, Any], sentence: str) -> None:
    answer = client_for(make_user("admin")).post(URL, fields)
    assert answer.status_code in (400, 422), answer.data
    assert sentence in str(answer.data)
    assert not ContactRules.objects.exists()


def test_a_clinic_whose_own_name_says_too_much_is_told_so_and_goes_on_sending() -> None:
    Clinic.objects.all().delete()
    Clinic.objects.create(name="Elm Oncology", phone="+15185550100")
    admin = client_for(make_user("admin"))
    made = admin.post(URL, {}).data
    (told,) = made["notices"]
    assert told == (
        'Every message names the clinic, and "Oncology" says too much: it tells what kind of doctor it is.'
        " Set another display name."
    )
    page = signed_in("nurse").get("/console/reminders/policies/").content.decode()
    assert "&quot;Oncology&quot; says too much" in page
    assert admin.patch(f"{URL}{made['id']}/", {"display_name": "Elm Street"}).data["notices"] == []
    Clinic.objects.update(phone="", email="")
    assert admin.get(URL).data["results"][0]["notices"] == [
        "Messages tell no way to reach the clinic: it has neither a phone nor a mailbox on file."
    ]
