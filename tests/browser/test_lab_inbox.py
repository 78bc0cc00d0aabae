"""Proves with a real browser that the lab inbox works by keyboard at 360 px and runs nothing a message holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from backend.apps.laboratory.models import InboundMessage, LabReplay, ReplayedMessage
from backend.apps.laboratory.tests.factories import (
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_lab_replay,
    make_lab_result,
    make_lab_test,
)
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.browser import Browser, too_wide

pytestmark = pytest.mark.django_db(transaction=True)
PICTURES = os.environ.get("CARERELAY_BROWSER_PICTURES", "")  # a folder, for whoever wants to look
PASSWORD = "console-by-keyboard-2026"
ORU = (
    "MSH|^~\\&|LIS|ELM|CARERELAY|CLINIC|20260302130000||ORU^R01|MSG00042|P|2.5.1\r"
    "PID|1||0099881^^^ELM^MR||{family}^{given}||{born}|F|||12 Elm Street^^Springfield^IL^62701\r"
    "ORC|RE||F7001\r"
    "OBR|1||F7001|24323-8^Comprehensive metabolic panel^LN|||202603021200|||||||||||||||202603021300|||F\r"
    "OBX|1|NM|2823-3^Potassium^LN||6.9|mmol/L|3.5-5.1|HH|||F\r"
    "OBX|2|NM|GLU-H^Glucose, house method^L||105|mg/dL|70-99|H|||F\r"
    "NTE|1||Drawn from the left arm; called to the ward at noon.\r"
)
CANARIES = (
    "<script>window.hit=1;alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "javascript:alert(3)",
    "</pre></li></select><svg onload=alert(4)>",
    "{{ 7|add:7 }}{% debug %}",
)


def picture(browser: Browser, name: str) -> None:
    if PICTURES:
        for width in (360, 1280):
            for dark in (False, True):
                browser.size(width, dark=dark)
                browser.picture(Path(PICTURES) / f"{name}-{width}{'-dark' if dark else ''}.png")
    browser.size(360)


def enter(browser: Browser, wanted: str) -> None:
    """Go to a control by Tab, see that it shows its focus, and press Enter."""
    browser.focus_by_tab(wanted)
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", wanted
    browser.loaded(lambda: browser.press("Enter"))
    assert too_wide(browser) == []


def write(browser: Browser, wanted: str, text: str) -> None:
    browser.focus_by_tab(wanted)
    browser.type(text)


def text_of(browser: Browser) -> str:
    return " ".join(browser.run("document.querySelector('main').innerText").split())


def staff(role: str = "lab_tech") -> User:
    user = make_user(role)
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(browser: Browser, server: LiveServer, user: User) -> None:
    client = Client()
    client.force_login(user)
    browser.cookie(settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value, server.url)


def waiting(**over: Any) -> InboundMessage:
    patient = make_patient(first_name="Ada", last_name="Okonkwo")
    raw = ORU.format(family=patient.last_name, given=patient.first_name, born=f"{patient.date_of_birth:%Y%m%d}")
    fields = {
        "status": "worklist",
        "work_state": "done",
        "status_reason": "No patient has this record number.",
        "control_id": "MSG00042",
        "feed": make_lab_feed(name="Elm Street Laboratory", sending_facility="ELM"),
        "ack_sent": b"MSH|^~\\&|CARERELAY|CLINIC|LIS|ELM|20260302130001||ACK|A1|P|2.5.1\rMSA|AA|MSG00042\r",
        "findings": [{"segment": "OBX", "number": 2, "field": 3, "message": "a code that means no test here"}],
    }
    return make_inbound_message(raw.encode(), **{**fields, **over})


def test_a_message_is_found_read_revealed_and_assigned_by_keyboard_alone(
    chromium: Browser, live_server: LiveServer
) -> None:
    browser, user, message = chromium, staff(), waiting()
    make_inbound_message(status="filed", work_state="done", control_id="MSG00041", feed=message.feed)
    make_lab_test(test_name="Glucose")
    browser.size(360)
    browser.open(f"{live_server.url}/console/labs/?status=worklist")
    write(browser, "[name=username]", user.email)
    write(browser, "[name=password]", PASSWORD)
    browser.loaded(lambda: browser.press("Enter"))
    browser.errors.clear()  # the page of the sign-in is not ours
    assert browser.run("location.pathname + location.search") == "/console/labs/?status=worklist"
    assert too_wide(browser) == []
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.press("Enter")
    picture(browser, "list")
    enter(browser, "main .list a")
    assert "waits for a person: No patient has this record number." in text_of(browser)
    assert "12 Elm Street" not in text_of(browser)
    picture(browser, "message")
    write(browser, "#reveal-reason", "The laboratory asks")
    browser.loaded(lambda: browser.press("Enter"))
    assert "12 Elm Street" in text_of(browser)
    picture(browser, "revealed")
    enter(browser, "form[action$='/assign/'] button")
    assert "Assigned. The message is back in line" in text_of(browser)
    message.refresh_from_db()
    assert (message.status, message.assigned_patient_id is not None) == ("received", True)
    enter(browser, "form[action$='/unassign/'] button")
    assert "The assignment is taken back." in text_of(browser)
    assert browser.errors == []


def test_a_replay_is_asked_for_by_keyboard_and_shows_its_difference(chromium: Browser, live_server: LiveServer) -> None:
    browser, message = chromium, waiting()
    sign_in(browser, live_server, staff())
    browser.size(360)
    browser.open(f"{live_server.url}/console/labs/")
    browser.focus_by_tab("[data-ticks]")
    browser.press(" ")
    assert browser.run("document.querySelectorAll('[name=message]:checked').length") == 1
    enter(browser, "form[action$='/replay/'] button")
    assert "0 of 1 message done" in text_of(browser)
    finish(message)
    browser.open(browser.run("location.href"))
    assert "What would change in the charts" in text_of(browser)
    picture(browser, "replay")
    enter(browser, "form[action$='/apply/'] button")
    assert "files the messages now" in text_of(browser)
    browser.open(f"{live_server.url}/console/replays/")
    assert too_wide(browser) == []
    picture(browser, "replays")
    assert LabReplay.objects.filter(dry_run=False).count() == 1
    assert browser.errors == []


def finish(message: InboundMessage, **entry: Any) -> LabReplay:
    """Write down what the machine would: a trial that files one result and ousts another."""
    patient = make_patient()
    appears = {
        "kind": "result", "change": "appears", "patient": str(patient.pk), "order": "", "code": "2823-3",
        "text": "Potassium", "version": 1, "before": None,
        "after": {"status": "final", "result_value": "6.9", "unit": "mmol/L", "is_current": True},
    }  # fmt: skip
    changes = {
        **appears, "change": "changes", "order": "LO0000017", "version": 1, "before": {"is_current": True},
        "after": {"is_current": False},
    }  # fmt: skip
    ReplayedMessage.objects.update(difference=[{**appears, **entry}, {**changes, **entry}], status="filed")
    LabReplay.objects.update(status="finished", work_state="done", done=1, appears=1, changes=1)
    return LabReplay.objects.get()


def test_nothing_a_message_holds_runs_in_any_page(chromium: Browser, live_server: LiveServer) -> None:
    browser, nasty = chromium, " ".join(CANARIES)
    sign_in(browser, live_server, staff("admin"))
    fields = "|".join(CANARIES)
    segments = [f"{name}|{fields}" for name in ("PID", "OBR", "OBX|1|TX", "ZZZ", "NTE")]
    raw = "\r".join([f"MSH|^~\\&|{fields}|2026||ORU^R01|X|P|2.5.1", *segments])
    feed, test = make_lab_feed(name=nasty[:100]), make_lab_test(test_name=nasty[:60])
    patient = make_patient(first_name=CANARIES[0], last_name=CANARIES[1])
    finding = {"segment": "OBX", "number": 1, "field": 3, "message": nasty}
    message = make_inbound_message(
        raw.encode(), feed=feed, control_id=nasty, sending_facility=nasty, sending_application=nasty, patient=patient,
        peer=nasty[:60], message_type=nasty[:60], version=nasty[:60], status="worklist", work_state="failed",
        status_reason=nasty, last_error=nasty, findings=[finding, {**finding, "segment": nasty}], ack_sent=raw.encode(),
        assigned_patient=patient, conflict=True,
    )  # fmt: skip
    order = make_lab_order(patient=patient, status="in_progress", tests=[test])
    said = dict.fromkeys(("result_value", "unit", "reference_range", "interpretation", "code_text_as_sent"), nasty)
    result = make_lab_result(lab_order=order, source_message=message, code_as_sent=nasty, sub_id=nasty, **said)
    make_lab_replay(message)
    replay = finish(message, text=nasty, code=nasty, order=nasty, after={nasty: nasty}, before={nasty: nasty})
    ReplayedMessage.objects.update(status="worklist", status_reason=nasty)
    pages = ["labs/", f"labs/{message.pk}/", f"labs/results/{result.pk}/", "replays/", f"replays/{replay.pk}/"]
    pages.append("labs/?status=%3Cscript%3Ealert(5)%3C/script%3E&error=%22%3E%3Cimg%20src=x%20onerror=alert(6)%3E")
    browser.size(360)
    browser.dialogs.clear()
    for page in pages:
        browser.open(f"{live_server.url}/console/{page}")
        assert untouched(browser), page
        assert too_wide(browser) == [], page
        picture(browser, "hostile-" + page.split("/")[1][:7] if page.count("/") > 2 else "hostile")
    browser.open(f"{live_server.url}/console/{pages[1]}")
    browser.focus_by_tab("#reveal-reason")
    browser.type(nasty[:200])
    browser.loaded(lambda: browser.press("Enter"))
    assert CANARIES[0] in browser.run("document.querySelector('#raw').parentElement.innerText")
    assert untouched(browser)
    assert browser.dialogs == []


def untouched(browser: Browser) -> bool:
    """Whether the page holds only our own scripts and no element or link a message brought."""
    return bool(
        browser.run(
            r"""window.hit === undefined
               && [...document.scripts].every(s => /\/(interop\/console|django_htmx\/htmx-2.min).js$/.test(s.src))
               && !document.querySelector('img, svg, iframe, [onerror], [onload], [href^="javascript:" i]')"""
        )
    )
