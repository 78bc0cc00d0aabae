"""Proves with a real browser that the board of reminders is read and acted on by keyboard on a narrow screen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.core.models import Clinic
from backend.apps.messaging import tasks
from backend.apps.messaging.models import Sender
from backend.apps.users.tests.factories import make_user
from tests.browser.test_lab_inbox import enter, picture, sign_in, text_of, write
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)
UNBROKEN = "Wolfeschlegelsteinhausenbergerdorff" * 2


def a_day() -> list[Appointment]:
    """Save the visits of a day: told, failed, lost, unreached, with a name that does not break."""
    noon = (timezone.now() + timedelta(days=2)).replace(hour=17, minute=0, second=0, microsecond=0)
    names = ("Okafor", "Stone", UNBROKEN, "Lee")
    visits = [
        make_appointment(
            patient=make_reachable_patient(last_name=name), appointment_datetime=noon + timedelta(minutes=30 * place)
        )
        for place, name in enumerate(names)
    ]
    now = timezone.now()
    make_reminder(appointment=visits[0], status="delivered", work_state="done", sent_at=now, segments=1)
    make_reminder(appointment=visits[0], offset_minutes=120, due_at=visits[0].appointment_datetime)
    make_reminder(appointment=visits[1], status="failed", work_state="done", error_code="twilio:30005")
    make_reminder(appointment=visits[1], reminder_type="email", due_at=now)
    make_reminder(appointment=visits[2], work_state="held", uncertain_since=now)
    make_reminder(appointment=visits[2], offset_minutes=120, last_error="x" * 300, attempts=2)
    Sender.objects.create(
        name="twilio +14155550100", channel="sms", paused_since=now, paused_until=now, paused_code="twilio:20003"
    )
    return visits


def test_the_board_is_read_narrowed_and_acted_on_by_keyboard_at_360_px(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser, visits = chromium, a_day()
    day = f"{visits[0].appointment_datetime.astimezone(Clinic.current().zone):%Y-%m-%d}"
    sign_in(browser, live_server, make_user("receptionist"))
    browser.size(360)
    browser.open(f"{live_server.url}/console/reminders/?day={day}")
    assert too_wide(browser) == []
    assert "text, 24 hours before: delivered" in text_of(browser)
    assert "is stopped since" in text_of(browser)
    picture(browser, "reminders")
    browser.focus_by_tab("[name=visit]")
    browser.press(" ")
    enter(browser, "button[value=mute]")
    assert "1 reminder of 1 visit would be muted" in text_of(browser)
    write(browser, "#reason", "Knows already")
    picture(browser, "reminders-bulk")
    browser.loaded(lambda: browser.press("Enter"))
    assert "1 of 1 reminder muted." in text_of(browser)
    browser.open(f"{live_server.url}/console/reminders/?day={day}&problems=1")
    assert "Okafor" not in browser.run("document.querySelector('main .list').innerText")
    enter(browser, "main .list a")
    assert "The number or mailbox cannot take messages." in text_of(browser)
    picture(browser, "reminders-visit")
    enter(browser, "form[action$='/send-now/'] button")
    assert "It goes out next" in text_of(browser)
    assert browser.errors == []


def test_a_task_is_done_by_keyboard(chromium: Browser, live_server: LiveServer) -> None:
    browser, visit = chromium, a_day()[2]
    tasks.open_once("reschedule", "t", "Asks for another time.", patient=visit.patient, subject_id=visit.pk)
    sign_in(browser, live_server, make_user("receptionist"))
    browser.size(360)
    browser.open(f"{live_server.url}/console/tasks/")
    browser.focus_by_tab("form[action$='/complete/'] input")
    browser.type("Moved to Friday")
    browser.loaded(lambda: browser.press("Enter"))
    assert "Nothing is to be done." in text_of(browser)
    assert browser.errors == []
