"""Proves with a real browser that a critical result is read back by keyboard alone on a telephone of 360 px."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.laboratory.tests.factories import make_critical_result, make_lab_order
from backend.apps.users.tests.factories import make_user
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)


def text_of(browser: Browser) -> str:
    return " ".join(browser.run("document.querySelector('main').innerText").split())


def test_a_doctor_follows_the_link_reads_the_value_back_and_is_told(chromium: Browser, live_server: LiveServer) -> None:
    browser, doctor = chromium, make_doctor(user=make_user("doctor", first_name="Grace", last_name="Stone"))
    unbroken = "Gramnegativerods" * 12
    row = make_critical_result(
        lab_order=make_lab_order(doctor=doctor, status="in_progress"),
        interpretation=f"{unbroken} <script>hit()</script>",
    )
    client = Client()
    client.force_login(doctor.user)
    browser.size(360)
    browser.cookie(settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value, live_server.url)
    browser.open(f"{live_server.url}/console/labs/critical/{row.pk}/")
    assert too_wide(browser) == []
    assert "6.9 mmol/L" in text_of(browser)
    browser.focus_by_tab("#read-back")
    browser.type("9.6")
    browser.loaded(lambda: browser.press("Enter"))
    assert "What was read back is not the value of this result" in text_of(browser)
    browser.focus_by_tab("#read-back")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.type("6.9")
    browser.loaded(lambda: browser.press("Enter"))
    assert "Acknowledged. Nobody else is paged." in text_of(browser)
    row.refresh_from_db()
    assert (row.status, row.acknowledged_by) == ("acknowledged", doctor.user)
    browser.open(f"{live_server.url}/console/labs/critical/")
    assert too_wide(browser) == []
    assert "Nothing waits." in text_of(browser)
    assert browser.errors == []
