"""Every page and list is there though no sealed value of any table opens: it says so, or leaves the value out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core import closed_values, resealing, sealed
from backend.apps.core.models import Alert
from backend.apps.core.roles import Role
from backend.apps.interop.console_urls import urlpatterns as console
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.messaging import tasks
from backend.apps.messaging.models import InboundText
from tests.browser.test_console_pages import a_clinic
from tests.security.matrix import RESOURCES, Practice, calls, make_practice, model_of, other_people
from tests.security.test_admin_pages import make_row, page
from tests.support.api_contract import client_for
from tests.support.closed import close_all

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_tables"), pytest.mark.timeout(240)]
# Pages that show one row whose own value it is: they say which one does not open, and nothing else.
OF_THE_VALUE = {"lab-message", "remittance-claim", "credential"}
SAID = b"of this row cannot be read"


@pytest.fixture
def clinic(monkeypatch: pytest.MonkeyPatch) -> tuple[Practice, dict[Any, Any], list[Any]]:
    """Return a practice, a row of every table that has a page, and where the pages of the console are."""
    monkeypatch.setattr(closed_values, "_told", {})  # what other tests told
    practice, places = make_practice(), a_clinic()
    for sent in AppointmentReminder.objects.filter(sent_at__isnull=False):
        places.append(("reminder-visit", [sent.appointment_id], ""))
    tasks.open_once("ask_who", "closed", "Ask.", patient=None, subject_id=InboundText.objects.latest("pk").pk)
    shown: dict[Any, None] = dict.fromkeys([*admin.site._registry, *map(model_of, RESOURCES)])
    rows = {model: model._base_manager.first() or make_row(model, other_people(practice)) for model in shown}
    for model in resealing.sealed_models():
        close_all(model)
    return practice, rows, places


def test_lists_and_pages_of_other_rows_are_there_and_tell_of_it(clinic: Any) -> None:
    practice, rows, places = clinic
    api, browser = client_for(practice.logins[Role.ADMIN]), Client()
    browser.force_login(practice.logins[Role.ADMIN])
    wrong = [*by_api(api, rows), *in_admin(browser, rows), *in_console(browser, places)]
    for kind in SOURCES:
        if api.get(f"/fhir/R4/{kind}", {"_count": "200"}).status_code != 200:
            wrong.append(kind)
    assert wrong == []
    told = {alert.sentence.split()[0] for alert in Alert.objects.filter(kind=closed_values.KIND)}
    assert {"patients.Patient.phone", "doctors.Doctor.dea_number", "messaging.InboundText.from_number"} <= told


def by_api(api: Any, rows: dict[Any, Any]) -> Iterator[Any]:
    """Yield what is not answered as it should be."""
    for resource in RESOURCES:
        model = model_of(resource)
        for call in calls(resource):
            if call.method == "get":
                url = call.url(resource, rows[model].pk)
                answer = api.get(url)
                may_be_closed = call.detail and sealed.columns(model)
                said = answer.status_code == 500 and answer.data["type"].endswith(":unreadable")
                if answer.status_code >= 500 and not (may_be_closed and said):
                    yield url, answer.status_code


def in_admin(browser: Client, rows: dict[Any, Any]) -> Iterator[Any]:
    for model in admin.site._registry:
        for url in (page(model, "changelist"), page(model, "change", rows[model].pk)):
            answer = browser.get(url)
            may_be_closed = sealed.columns(model) and url.endswith("/change/")
            if answer.status_code not in ({200, 302} if may_be_closed else {200}):
                yield url, answer.status_code


def in_console(browser: Client, places: list[Any]) -> Iterator[Any]:
    for entry in console:
        if "GET" in entry.callback.guard.methods and not entry.pattern.converters:
            places.append((entry.name, [], ""))
    for name, args, query in places:
        answer = browser.get(f"{reverse(f'console:{name}', args=args)}?{query}")
        if answer.status_code != 200 and not (name in OF_THE_VALUE and SAID in answer.content):
            yield name, answer.status_code
