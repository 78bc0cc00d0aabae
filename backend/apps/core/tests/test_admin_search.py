"""Holds that what is typed into the admin's searches stands in no address, and that the lists go on as before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import admin_search
from backend.apps.core.admin_search import LONGEST, OVER
from backend.apps.core.models import AuditLog
from backend.apps.laboratory.models import LabTest
from backend.apps.laboratory.tests.factories import make_lab_test
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
PATIENTS, TESTS = "/admin/patients/patient/", "/admin/laboratory/labtest/"
NAME = "Zqxjkwood"


@pytest.fixture
def desk() -> Client:
    return signed_in("admin")


def typed(client: Client, url: str, words: str) -> str:
    """Return the address that typing these words leads to."""
    answer = client.post(url, {"q": words})
    assert answer.status_code == 303
    return str(answer["Location"])


def token_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["q"][0]


def found(answer: Any) -> list[Any]:
    return list(answer.context["cl"].result_list)


def told(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_a_search_is_posted_and_stands_sealed_in_the_address_and_in_every_link_of_its_page(desk: Client) -> None:
    wanted, _other = make_patient(last_name=NAME), make_patient()
    address = typed(desk, f"{PATIENTS}?gender__exact=female&o=2&p=3", f" {NAME} ")
    assert NAME.lower() not in address.lower()
    assert address.startswith(f"{PATIENTS}?gender__exact=female&o=2&q=")
    page = desk.get(address)
    assert found(page) == [wanted]
    assert page.context["cl"].query == NAME
    body = page.content.decode().lower()
    assert body.count(f'value="{NAME.lower()}"') == 1, "the field tells what is looked for"
    links = [part.partition('"')[0] for part in body.split('href="')]
    assert not [link for link in links if NAME.lower() in link]
    assert f"change/?_changelist_filters={quote(urlsplit(address).query, safe='').lower()}" in body
    noted = AuditLog.objects.filter(action="admin.list").latest("timestamp")
    assert noted.detail["filters"] == ["gender__exact", "o", "q"]


def test_the_way_back_from_a_row_that_was_saved_leads_to_the_same_search(desk: Client) -> None:
    wanted, _other = make_lab_test(test_name=NAME), make_lab_test()
    query = urlsplit(typed(desk, TESTS, NAME)).query
    page = f"{TESTS}{wanted.pk}/change/?_changelist_filters={quote(query, safe='')}"
    form = desk.get(page).context["adminform"].form.initial
    saved = desk.post(page, {name: value for name, value in form.items() if value is not None})
    assert saved["Location"] == f"{TESTS}?{query}"
    assert found(desk.get(saved["Location"])) == [wanted]


def test_pages_and_orders_of_a_list_keep_the_search_and_no_words_end_it(desk: Client) -> None:
    for number in range(51):
        make_lab_test(test_name=f"{NAME} {number:03}")
    make_lab_test(test_name="Another")
    first = desk.get(typed(desk, TESTS, NAME))
    turned = first.context["cl"].get_query_string({"p": 2, "o": "-1"})
    assert NAME not in turned
    second = desk.get(f"{TESTS}{turned}")
    assert (len(found(first)), len(found(second))) == (50, 1)
    assert second.context["cl"].query == NAME
    assert typed(desk, f"{TESTS}{turned}", "  ") == f"{TESTS}?o=-1"


@pytest.mark.parametrize("query", [NAME, "%00", "%ff", "a%27%22+%3C", "9kNSMQ", "A" * 3000, "é" * 9])
def test_a_search_that_was_written_into_an_address_is_not_made(desk: Client, query: str) -> None:
    make_patient(last_name=NAME)
    answer = desk.get(f"{PATIENTS}?_popup=1&q={query}&p=2&gender__exact=female")
    assert (answer.status_code, answer["Location"]) == (303, f"{PATIENTS}?_popup=1&gender__exact=female")
    assert told(answer) == [OVER]
    page = desk.get(answer["Location"])
    assert (page.status_code, page.context["cl"].query) == (200, "")


def test_a_search_opens_for_who_typed_it_and_in_its_list_alone(desk: Client) -> None:
    make_patient(last_name=NAME)
    address = typed(desk, PATIENTS, NAME)
    assert desk.get(address).status_code == desk.get(address).status_code == 200
    other = f"{TESTS}?q={token_of(address)}"
    for client, url in ((signed_in("admin"), address), (desk, other), (desk, address[:-4] + "AAAA")):
        answer = client.get(url)
        assert (answer.status_code, told(answer)[-1:]) == (303, [OVER])


def test_a_search_opens_for_as_long_as_a_sign_in_lasts() -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        token = admin_search.sealed(NAME, b"a place")
        clock.shift(timedelta(hours=12))
        assert admin_search.opened(token, b"a place") == NAME
        clock.shift(timedelta(seconds=1))
        with pytest.raises(admin_search.Over):
            admin_search.opened(token, b"a place")


def test_an_action_on_all_that_was_found_is_not_done_to_all_there_is_when_the_search_is_over(desk: Client) -> None:
    rows = [make_lab_test(test_name=NAME), make_lab_test(), make_lab_test()]
    chosen = {"action": "delete_selected", "select_across": "1", "index": "0", "_selected_action": [rows[0].pk]}
    answer = desk.post(f"{TESTS}?q=over", {**chosen, "post": "yes"})
    assert (answer.status_code, told(answer)) == (303, [OVER])
    assert LabTest.objects.count() == 3
    asked = desk.post(typed(desk, TESTS, NAME), chosen)
    assert list(asked.context["queryset"]) == rows[:1]


def test_who_may_not_see_the_list_is_refused_the_search_of_it_and_a_forged_one_is_not_made(desk: Client) -> None:
    pharmacist = signed_in("pharmacist")
    assert pharmacist.post("/admin/appointments/appointment/", {"q": NAME}).status_code == 403
    assert Client().post(PATIENTS, {"q": NAME}).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = desk.cookies
    assert strict.post(PATIENTS, {"q": NAME}).status_code == 403


@pytest.mark.parametrize("words", ["a\0b", "x" * (LONGEST + 1)])
def test_what_is_no_search_is_said_to_be_none_without_its_words(desk: Client, words: str) -> None:
    answer = desk.post(f"{PATIENTS}?o=1", {"q": words})
    assert (answer.status_code, answer["Location"]) == (303, f"{PATIENTS}?o=1")
    assert len(told(answer)) == 1
    assert words not in told(answer)[0]


def test_a_token_tells_nothing_of_what_it_is_for_not_even_how_long_it_is(desk: Client) -> None:
    tokens = [token_of(typed(desk, PATIENTS, words)) for words in ("Li", "Li", "Wolfeschlegelsteinhausen")]
    assert len(set(tokens)) == 3
    assert len({len(token) for token in tokens}) == 1
    assert quote(tokens[0], safe="") == tokens[0]


def test_a_choice_of_a_form_and_a_table_are_searched_for_by_post_alone() -> None:
    patient, desk = make_patient(last_name=NAME), signed_in("receptionist")
    asked = {"app_label": "appointments", "model_name": "appointment", "field_name": "patient", "term": NAME[:4]}
    url = reverse("admin:autocomplete")
    assert desk.get(url, asked).status_code == 405
    assert [one["id"] for one in desk.post(url, asked).json()["results"]] == [str(patient.pk)]
    assert desk.post(f"{url}?term=nobody", asked).json()["results"], "an address adds nothing"
    tables = reverse("admin:search")
    assert desk.get(tables, {"s": "patient"}).status_code == 405
    page = desk.post(tables, {"s": "patients"}).content.decode()
    assert PATIENTS in page
    assert "/admin/laboratory/" not in page
    assert desk.post(tables, {"s": ""}).content == b""
    assert "No results" in desk.post(tables, {"s": NAME}).content.decode()
    assert Patient.objects.count() == 1
