"""Proves with a real browser that the admin and the page of the API work under the policies their answers carry."""

from __future__ import annotations

import pytest
from pytest_django.live_server_helper import LiveServer

from backend.apps.patients.tests.factories import make_patient
from tests.browser.test_console_pages import watched
from tests.browser.test_lab_inbox import sign_in, staff
from tests.support.browser import Browser

__all__ = ["watched"]
pytestmark = pytest.mark.django_db(transaction=True)
EVIL = "<script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
INJECT = f"document.body.insertAdjacentHTML('beforeend', {EVIL!r})"
INLINE = "(() => { const s = document.createElement('script'); s.text = 'window.evil = 1'; document.body.append(s) })()"


def test_the_admin_and_the_page_of_the_api_work_and_run_no_script_that_got_into_a_page(
    watched: Browser, live_server: LiveServer
) -> None:
    browser, patient = watched, make_patient(last_name="Okonkwo")
    sign_in(browser, live_server, staff("admin"))
    for path, works in (
        ("/admin/", "document.querySelectorAll('a').length > 20"),
        ("/admin/patients/patient/", "!!window.Alpine && document.body.innerText.includes('Okonkwo')"),
        (f"/admin/patients/patient/{patient.pk}/change/", "!!document.querySelector('[name=last_name]').value"),
        ("/api/docs/", "!!document.querySelector('#swagger-ui .swagger-ui')"),
    ):
        browser.open(f"{live_server.url}{path}")
        browser.run(f"new Promise((done) => {{ let left = 100; const look = () => ({works}) || !left--"
                    " ? done() : setTimeout(look, 50); look(); })")  # fmt: skip
        assert browser.run(works), path
        assert browser.run("window.violations") == [], path
        browser.run(INJECT)
        browser.run(INLINE)
        assert browser.run("[window.evil ?? 0, window.violations.length > 0]") == [0, True], path
