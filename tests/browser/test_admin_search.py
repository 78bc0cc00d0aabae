"""Proves with a real browser that the searches of the admin work by keyboard at 360 px and write into no address."""

from __future__ import annotations

import pytest
from pytest_django.live_server_helper import LiveServer

from backend.apps.core.models import AuditLog
from backend.apps.patients.tests.factories import make_patient
from tests.browser.test_lab_inbox import sign_in, staff, write
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "Zqxjkwood"
PATIENTS = "/admin/patients/patient/"
ASKED = "performance.getEntriesByType('resource').map((one) => one.name).concat(location.href).join(' ')"
MISSING = (
    "performance.getEntriesByType('resource').filter((one) => one.responseStatus > 399).map((one) => one.name)"
    ".filter((name) => !name.endsWith('/favicon.ico'))"
)
HISTORY = "document.referrer + ' ' + location.href"


def wrong(browser: Browser) -> list[str]:
    """Return what went wrong in the pages, but for the icon that a browser asks for on its own and nobody has."""
    missing: list[str] = browser.run(MISSING)
    return missing + [one for one in browser.errors if not one.startswith("Failed to load resource")]


def settled(browser: Browser, script: str) -> None:
    """Wait until the script's expression is true."""
    waiting = f"(done) => {{ const look = () => ({script}) ? done(1) : setTimeout(look, 50); look(); }}"
    assert browser.run(f"Promise.race([new Promise({waiting}), new Promise((late) => setTimeout(late, 15000, 0))])"), (
        script
    )


def test_a_patient_is_searched_for_by_keyboard_and_the_name_stands_in_no_address(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser = chromium
    make_patient(last_name=NAME, first_name="Ada")
    make_patient(last_name="Okafor")
    sign_in(browser, live_server, staff("admin"))
    browser.size(360)
    browser.open(f"{live_server.url}{PATIENTS}")
    write(browser, "#searchbar", NAME)
    browser.loaded(lambda: browser.press("Enter"))
    assert too_wide(browser) == []
    sought = browser.run("location.pathname + location.search")
    assert sought.startswith(f"{PATIENTS}?q=")
    assert browser.run("document.querySelector('#searchbar').value") == NAME
    assert NAME in browser.run("document.querySelector('#result_list').innerText")
    assert "Okafor" not in browser.run("document.querySelector('#result_list').innerText")
    browser.loaded(lambda: browser.send("Page.reload"))
    assert browser.run("document.querySelector('#searchbar').value") == NAME
    browser.loaded(lambda: browser.run("document.querySelector('#result_list tbody a').click()"))
    assert NAME not in browser.run(f"{HISTORY} + {ASKED}")
    browser.loaded(lambda: browser.run("history.back()"))
    assert browser.run("location.pathname + location.search") == sought
    assert NAME in browser.run("document.querySelector('#result_list').innerText")
    browser.loaded(lambda: browser.run("history.back()"))
    assert browser.run("location.pathname + location.search") == PATIENTS
    entries = browser.send("Page.getNavigationHistory")["entries"]
    assert not [one for one in entries if NAME in one["url"]]
    assert wrong(browser) == []


def test_a_choice_of_a_form_and_a_table_are_found_without_an_address_that_tells_of_it(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser, patient = chromium, make_patient(last_name=NAME, first_name="Ada")
    sign_in(browser, live_server, staff("receptionist"))
    browser.size(1280)
    browser.open(f"{live_server.url}/admin/appointments/appointment/add/")
    browser.run("void django.jQuery('#id_patient').select2('open')")
    browser.type(NAME[:5])
    settled(browser, f"document.querySelector('.select2-results')?.innerText.includes('{NAME}')")
    browser.press("Enter")
    assert browser.run("document.querySelector('#id_patient').value") == str(patient.pk)
    assert NAME[:5] not in browser.run(ASKED)
    noted = AuditLog.objects.filter(action="admin.search", resource_type="patient")
    assert noted.latest("timestamp").detail["ids"] == [str(patient.pk)]
    browser.run("document.activeElement.blur(), dispatchEvent(new CustomEvent('opencommand'))")
    settled(browser, "document.activeElement.id === 'search-input-command'")
    browser.type("consent")
    browser.run("document.activeElement.dispatchEvent(new KeyboardEvent('keyup', { key: 't' }))")
    settled(browser, "document.querySelector('#command-results-list')?.innerText.includes('consent')")
    assert "s=consent" not in browser.run(ASKED)
    assert wrong(browser) == []
