"""Proves with a real browser that a patient answers by keyboard alone on a telephone of 360 px, without script."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django.live_server_helper import LiveServer

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import Clinic
from backend.apps.interop.answer_words import EN, ES
from backend.apps.messaging import links
from backend.apps.messaging.models import LinkPurpose, StaffTask
from tests.browser.test_lab_inbox import picture, text_of, write
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)


def link_of(visit: Appointment, server: LiveServer, purpose: str = LinkPurpose.ANSWER) -> str:
    message = make_reminder(appointment=visit, recipient_email=visit.patient.email)
    links.keep([links.Wanted(message, purpose, visit.pk, visit.end_datetime + timedelta(days=1))])
    return f"{server.url}/a/{links.token(message.pk, purpose)}"


def press(browser: Browser, wanted: str) -> None:
    """Go to a control by Tab, see that it shows its focus, and press Enter."""
    browser.focus_by_tab(wanted)
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", wanted
    browser.loaded(lambda: browser.press("Enter"))
    assert too_wide(browser) == []


def named(browser: Browser) -> list[str]:
    """Return what cannot be told aloud: controls without a name, a page without its language or heading."""
    return list(
        browser.run(
            """[...document.querySelectorAll('input:not([type=hidden]), textarea, button, a, summary')]
               .filter(e => !(e.labels && e.labels.length) && !e.textContent.trim())
               .map(e => e.outerHTML)
               .concat(document.documentElement.lang ? [] : ['no language'])
               .concat(document.querySelectorAll('h1').length === 1 ? [] : ['not one heading'])"""
        )
    )


def test_a_patient_confirms_asks_for_another_time_and_cancels_by_keyboard_at_360_px(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser = chromium
    Clinic.objects.create(name="Elm Street Clinic", phone="+14155550199")
    visit = make_appointment(patient=make_reachable_patient(time_zone="America/Los_Angeles"))
    browser.size(360)
    browser.open(link_of(visit, live_server))
    assert too_wide(browser) == []
    assert named(browser) == []
    assert browser.run("document.scripts.length") == 0
    assert EN.your_clock in text_of(browser)
    picture(browser, "answer")
    press(browser, "button[value=confirm]")
    assert EN.is_confirmed in text_of(browser)
    picture(browser, "answer-confirmed")
    browser.focus_by_tab("details:nth-of-type(1) summary")
    browser.press("Enter")
    write(browser, "#note", "Mondays after four")
    press(browser, "button[value=other_time]")
    assert EN.is_wished in text_of(browser)
    assert StaffTask.objects.get().note == "Mondays after four"
    browser.focus_by_tab("details:nth-of-type(2) summary")
    browser.press("Enter")
    browser.focus_by_tab("#birth")
    browser.run("document.querySelector('#birth').value = '1980-05-17'")  # each browser's own field for a date
    assert browser.errors == []
    press(browser, "button[value=cancel]")
    browser.errors.clear()  # a browser notes each page that is gone
    assert EN.cancelled in browser.run("document.body.innerText")
    picture(browser, "answer-cancelled")
    visit.refresh_from_db()
    assert visit.status == "cancelled"


def test_a_patient_stops_the_mail_in_spanish_and_an_old_link_says_whom_to_call(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser = chromium
    Clinic.objects.create(name="C" * 60, phone="+14155550199")
    visit = make_appointment(patient=make_reachable_patient(preferred_language="es"))
    browser.size(360)
    browser.open(link_of(visit, live_server, LinkPurpose.UNSUBSCRIBE))
    assert browser.run("document.documentElement.lang") == "es"
    assert named(browser) == []
    press(browser, "button[value=stop]")
    assert ES.mail_stopped in browser.run("document.body.innerText")
    visit.patient.refresh_from_db()
    assert not visit.patient.email_consent
    assert browser.errors == []
    browser.open(f"{live_server.url}/a/{'A' * 22}")
    browser.errors.clear()  # a browser notes each page that is not there
    assert too_wide(browser) == []
    assert named(browser) == []
    assert EN.gone in browser.run("document.body.innerText")
    picture(browser, "answer-gone")
