"""Proves with a real browser that a sign-in with a second step works by keyboard alone on a narrow screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyotp
import pytest
from pytest_django.live_server_helper import LiveServer

from backend.apps.users.models import Authenticator, LoginSession
from tests.browser.test_console_pages import LISTEN
from tests.browser.test_lab_inbox import PASSWORD, enter, staff, text_of, write
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)
CODES = "[...document.querySelectorAll('.codes li')].map((one) => one.innerText)"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("CARERELAY_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def look(browser: Browser, pictures: Path, name: str) -> None:
    assert too_wide(browser) == [], name
    assert browser.run("window.violations") == [], name
    browser.picture(pictures / f"sign-in-{name}.png")


def test_staff_set_up_a_second_step_and_come_back_with_it_by_keyboard_at_360_pixels(
    chromium: Browser, live_server: LiveServer, pictures: Path, settings: Any
) -> None:
    settings.STAFF_MFA = "required"
    browser, user = chromium, staff("admin")
    added = browser.send("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)["identifier"]
    browser.send("Network.clearBrowserCookies")
    browser.size(360, dark=True)
    browser.open(f"{live_server.url}/console/reconcile/")
    look(browser, pictures, "password")
    browser.type(user.email)  # the first field is in focus already
    write(browser, "#password", "not-the-password")
    enter(browser, "button")
    assert "is not right" in text_of(browser)
    browser.type(PASSWORD)
    enter(browser, "button")
    look(browser, pictures, "set-up")
    assert browser.run("document.querySelector('.picture svg').getBoundingClientRect().width") > 200
    device = pyotp.TOTP(browser.run("document.querySelector('.key').innerText"))
    write(browser, "#code", device.now())
    enter(browser, "button[value=confirm]")
    codes = browser.run(CODES)
    assert len(codes) == 10
    look(browser, pictures, "codes")
    enter(browser, "a.button")
    assert browser.run("location.pathname") == "/console/reconcile/"
    enter(browser, "a.mine")
    assert "10 recovery codes left" in text_of(browser)
    look(browser, pictures, "account")
    enter(browser, "a[href='/admin/password_change/']")
    look(browser, pictures, "new-password")
    browser.open(f"{live_server.url}/console/")
    enter(browser, "form.out button")
    assert "You are signed out" in text_of(browser)
    Authenticator.objects.update(last_used_counter=0)
    for code in (device.now(), codes[0]):
        browser.open(f"{live_server.url}/console/")
        browser.type(user.email)
        write(browser, "#password", PASSWORD)
        enter(browser, "button")
        look(browser, pictures, "code")
        browser.type(code)
        enter(browser, "button")
        assert browser.run("location.pathname") == "/console/"
        browser.send("Network.clearBrowserCookies")
    assert LoginSession.objects.usable().filter(kind="cookie").count() == 2
    browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    assert [error for error in browser.errors if "401" not in error] == []
