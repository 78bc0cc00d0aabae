"""Holds that the laboratory's admin pages open, search, stay cheap, and never show the bytes of a message."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_order,
    make_lab_result,
    make_lab_test,
)
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search

pytestmark = pytest.mark.django_db
PAGES = [
    ("labtest", make_lab_test),
    ("laborder", make_lab_order),
    ("labresult", make_lab_result),
    ("inboundmessage", make_inbound_message),
]


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_user(role="admin"))
    return client


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_the_pages_open_and_search(browser: Client, name: str, make: Any) -> None:
    row = make()
    assert search(browser, f"/admin/laboratory/{name}/", "LO0000001").status_code == 200
    for path in ("", f"{row.pk}/change/"):
        assert browser.get(f"/admin/laboratory/{name}/{path}").status_code == 200


@pytest.mark.parametrize(("name", "make"), PAGES)
def test_a_longer_list_costs_no_more(browser: Client, name: str, make: Any) -> None:
    counts = []
    for more in (3, 12):
        for _ in range(more):
            make()
        with CaptureQueriesContext(connection) as queries:
            browser.get(f"/admin/laboratory/{name}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_bytes_of_a_message_are_not_shown(browser: Client) -> None:
    message = make_inbound_message(b"MSH|^~\\&|canary-in-the-body")
    assert b"canary" not in browser.get(f"/admin/laboratory/inboundmessage/{message.pk}/change/").content


@pytest.mark.parametrize("name", ["labresult", "inboundmessage"])
def test_results_and_messages_are_there_to_be_read(browser: Client, name: str) -> None:
    assert browser.get(f"/admin/laboratory/{name}/add/").status_code == 403
