"""Proves with a real browser that an export is begun and stopped by keyboard alone on a telephone of 360 px."""

from __future__ import annotations

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportJob, PatientGroup
from backend.apps.interop.tests.fhir.export_rows import completed, make_file, system
from tests.support.browser import Browser, too_wide
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def text_of(browser: Browser) -> str:
    return " ".join(browser.run("document.querySelector('main').innerText").split())


def test_an_administrator_begins_an_export_and_stops_it(chromium: Browser, live_server: LiveServer) -> None:
    browser, cookie = chromium, settings.SESSION_COOKIE_NAME
    PatientGroup.objects.create(name="Unbroken" * 14)
    done = completed(client=system()[1])
    make_file(done)
    browser.size(360)
    browser.cookie(cookie, signed_in("admin").cookies[cookie].value, live_server.url)
    browser.open(f"{live_server.url}/console/exports/")
    browser.focus_by_tab("summary")
    browser.press("Enter")
    assert too_wide(browser) == []
    browser.focus_by_tab("input[name=type][value=Patient]")
    browser.press(" ")
    browser.focus_by_tab("main details form button")
    browser.loaded(lambda: browser.press("Enter"))
    assert "The export is in line." in text_of(browser)
    assert too_wide(browser) == []
    job = ExportJob.objects.get(status="accepted")
    assert (job.level, Asked.from_json(job.parameters).types) == ("patient", ("Patient",))
    browser.focus_by_tab("button.danger")
    browser.loaded(lambda: browser.press("Enter"))
    assert "Given up." in text_of(browser)
    browser.open(f"{live_server.url}/console/exports/{done.pk}/")
    assert too_wide(browser) == []
    assert "1 file, 1 resource" in text_of(browser)
    assert browser.errors == []
