"""Proves with a real browser that each page of the console keeps its strict policy and fits, narrow, wide and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from backend.apps.core import alerts, audit
from backend.apps.core.models import AuditLog, Clinic, Heartbeat, ReconcileRun
from backend.apps.credentials import ladder
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.insurance.tests.factories import partner
from backend.apps.insurance.tests.sent_claims import remittance, told_claim
from backend.apps.interop import reconciling
from backend.apps.interop.console import SECTIONS
from backend.apps.interop.console_urls import urlpatterns
from backend.apps.interop.tests.fhir.export_rows import completed, make_file, system
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_critical_result, make_inbound_message, make_lab_replay
from backend.apps.messaging import tasks
from backend.apps.messaging.models import InboundText
from backend.apps.patients.tests.factories import make_emergency_access
from tests.browser.test_claims import a_week
from tests.browser.test_lab_inbox import sign_in, staff, text_of, waiting
from tests.browser.test_reminder_board import a_day
from tests.support.browser import Browser, too_wide
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db(transaction=True)
UNBROKEN = "Wolfeschlegelsteinhausenbergerdorff" * 3
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""
NO_PAGES = {"overview-numbers", "credential-document"}  # a part of a page, and a download
Place = tuple[str, list[Any], str]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("CARERELAY_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Browser]:
    """Give the browser with a listener in each page, there before anything of the page itself."""
    added = chromium.send("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)["identifier"]
    yield chromium
    chromium.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added)


def a_clinic() -> list[Place]:
    """Save something for each page, with texts as long as they get; return where each page is."""
    return [*labs(), *messages(), *billing(), *operations()]


def labs() -> list[Place]:
    message, critical = waiting(sending_facility=UNBROKEN[:60]), make_critical_result(interpretation=UNBROKEN)
    replay = make_lab_replay(message)
    return [
        ("lab-inbox", [], ""),
        ("lab-message", [message.pk], ""),
        ("lab-history", [critical.result_id], ""),
        ("lab-critical", [], ""),
        ("lab-critical-result", [critical.pk], ""),
        ("lab-replays", [], ""),
        ("lab-replay", [replay.pk], ""),
    ]


def messages() -> list[Place]:
    visits, now = a_day(), timezone.now()
    who = {"patient": visits[2].patient}
    InboundText.objects.create(sid="SM1", from_number="+14155550100", body="W" * 160, received_at=now, **who)
    tasks.open_once("reschedule", "t", "Asks for another time.", subject_id=visits[2].pk, **who)
    day = f"{visits[0].appointment_datetime.astimezone(Clinic.current().zone):%Y-%m-%d}"
    pages = ("replies", "tasks", "reminder-policies", "reminder-preview", "reminder-opt-outs")
    held = visits[2].reminders.get(work_state="held")
    return [
        ("reminders", [], f"day={day}"),
        ("reminder-visit", [visits[2].pk], ""),
        *((name, [], "") for name in pages),
        ("work-list", ["reminders.deliver"], "state=held"),
        ("work-row", ["reminders.deliver", held.pk], "back=state%3Dheld"),
    ]


def billing() -> list[Place]:
    claims = a_week()
    lost = told_claim(remittance(partner(), amount="1.00"), None, service_on=claims["paid"].service_date)
    told = claims["denied"].remittance_claims.get()
    pages = ("claims", "claim-files", "claim-inbound", "remittances", "remittances-unplaced", "deposits", "claim-work")
    return [
        *((name, [], "") for name in pages),
        *(("claim", [claims[key].pk], "") for key in ("paid", "denied", "paper")),
        ("claim-proof", [claims["paid"].pk], ""),
        ("remittance", [told.remittance_id], ""),
        ("remittance-claim", [lost.pk], ""),
        *(("claim-work-list", [name], "") for name in ("denied", "returned")),
    ]


def operations() -> list[Place]:
    now = timezone.now()
    Heartbeat.objects.create(entry="e" * 80, task="claims.build", due_by=now, failures=3, failed_at=now)
    alert = alerts.open_once("a", kind="claims_file", sentence="s" * 300, severity="critical")
    InboundMessage.work.update(work_state="failed", last_error="no map for code " + "9" * 200)
    books = closed("laboratory")
    over = make_credential(issuing_organization="I" * 160, expiry_date=Clinic.today() - timedelta(days=1))
    make_credential(doctor=over.doctor, expiry_date=Clinic.today() + timedelta(days=40))
    ladder.raise_due(Clinic.today())
    export = completed(client=system()[1])
    make_file(export)
    opened = make_emergency_access(reason="R" * 500)
    entry = audit.record(None, "console.retrieve", "labresult", str(uuid4()), detail={"fields": ["x" * 60] * 9})
    return [
        ("index", [], ""),
        ("alerts", [], ""),
        ("alert", [alert.pk], "back=state%3Dopen"),
        ("beat", [], ""),
        ("work", [], ""),
        ("work-list", ["lab_results.file"], "state=failed"),
        ("credentials", [], ""),
        ("credential", [over.pk], "back=type%3Ddea"),
        ("reconcile", [], ""),
        ("reconcile-run", [books.pk], ""),
        ("exports", [], ""),
        ("export", [export.pk], ""),
        ("break-glass", [], ""),
        ("emergency-access", [opened.pk], ""),
        ("audit", [], ""),
        ("audit-entry", [entry.pk], "back=outcome%3Drefused"),
    ]


def closed(part: str) -> ReconcileRun:
    """Close the books of a part over what there is, as a worker does."""
    run = ReconcileRun.work.create(part=part, dedupe_key=f"books {part}")
    ReconcileRun.work.filter(pk=run.pk).update(**reconciling.close(run), work_state="done")
    return run


def address(place: Place) -> str:
    name, args, query = place
    return f"{reverse(f'console:{name}', args=args)}{'?' if query else ''}{query}"


def look(browser: Browser, folder: Path, name: str) -> None:
    """Look at the page that is open, on a telephone and on a wide dark screen, and keep a picture of each."""
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width, dark in ((360, False), (1280, True)):
        browser.size(width, dark=dark)
        assert too_wide(browser) == [], (name, width)
        browser.picture(folder / f"{name}-{width}{'-dark' if dark else ''}.png")
    told = browser.run("[document.querySelectorAll('h1').length, window.violations, document.title]")
    assert told[:2] == [1, []], name
    assert told[2].endswith(" · CareRelay"), name
    assert not told[2].startswith("Not here"), name


def unseen(places: list[Place]) -> list[Place]:
    """Return where the other pages are; all that is left over and does not take a form alone needs a row of its own."""
    words = {"verb": "build", "name": "silent", "task": "lab_results.file", "pk": uuid4(), "override": uuid4()}
    names, found, client = {name for name, *_ in places} | NO_PAGES, list[Place](), signed_in("admin")
    for entry in urlpatterns:
        if entry.name not in names:
            given = {name: words[name] for name in entry.pattern.converters}
            status = client.get(reverse(f"console:{entry.name}", kwargs=given)).status_code
            assert status == 405 or (status == 200 and not given), f"nobody looks at {entry.name}"
            found += [(str(entry.name), [], "")] if status == 200 else []
    return found


def test_every_page_is_looked_at(watched: Browser, live_server: LiveServer, pictures: Path) -> None:
    browser, places = watched, a_clinic()
    places += unseen(places)
    sign_in(browser, live_server, staff("admin"))
    for number, place in enumerate(places):
        browser.open(f"{live_server.url}{address(place)}")
        look(browser, pictures, f"{number:02}-{place[0]}")
    assert browser.errors == []
    assert len(list(pictures.glob("*.png"))) >= 2 * len(places)


def failing(error: str) -> InboundMessage:
    return make_inbound_message(work_state="failed", status="worklist", last_error=error)


def click(browser: Browser, selector: str) -> None:
    browser.loaded(lambda: browser.run(f"document.querySelector({selector!r}).click()"))


def test_the_menu_leads_everywhere_and_a_number_of_the_overview_to_its_rows_and_back(
    watched: Browser, live_server: LiveServer, pictures: Path
) -> None:
    browser, _ = watched, operations()
    rows = [failing(f"no map {number}") for number in (1, 2)]
    sign_in(browser, live_server, staff("admin"))
    browser.size(360)
    browser.open(f"{live_server.url}/console/")
    for section in SECTIONS:
        at = reverse(section.url_name)
        if not browser.run(f"!!document.querySelector('nav a[href=\"{at}\"]')"):
            click(browser, f"nav li a[href='{group_of(section.group)}']")
        click(browser, f"nav a[href='{at}']")
        assert browser.run("location.pathname") == at
        marked = browser.run(
            "[...document.querySelectorAll('header nav [aria-current=page]')].map((one) => one.innerText)"
        )
        assert marked in ([section.title], [section.group]), section
    click(browser, "nav a[href='/console/']")
    for selector, shown in (
        ("#numbers .told a", "s" * 300),
        ("#numbers a[href*='/console/reconcile/']", "Books of the laboratory"),
        ("#numbers li a[href*='state=failed']", "no map 1"),
        ("#numbers li a[href*='severity=critical']", "s" * 300),
    ):
        click(browser, selector)
        assert shown in text_of(browser), selector
        click(browser, "nav a[href='/console/']")
    browser.focus_by_tab("a[href*='lab_results.file'][href*='cause=']")
    browser.loaded(lambda: browser.press("Enter"))
    assert all(f"no map {number}" in text_of(browser) for number in (1, 2))
    browser.focus_by_tab("[data-ticks]")
    browser.press(" ")
    browser.focus_by_tab("button[value=retry]")
    browser.loaded(lambda: browser.press("Enter"))
    assert "2 rows of “Messages of laboratories” would be put back in line" in text_of(browser)
    look(browser, pictures, "work-confirm")
    browser.size(360)
    browser.focus_by_tab("main form button")
    browser.loaded(lambda: browser.press("Enter"))
    assert "2 of 2 back in line." in text_of(browser)
    assert "cause=" in browser.run("location.search")
    assert set(InboundMessage.work.filter(pk__in=[row.pk for row in rows]).values_list("work_state", flat=True)) == {
        "waiting"
    }
    assert browser.errors == []


def group_of(title: str) -> str:
    return next(reverse(section.url_name) for section in SECTIONS if section.group == title)


def test_the_overview_is_fetched_again_in_place_but_not_from_under_the_focus(
    watched: Browser, live_server: LiveServer
) -> None:
    browser, again = watched, "htmx.ajax('GET', '/console/numbers/', {source: '#numbers', swap: 'outerHTML'})"
    sign_in(browser, live_server, staff("admin"))
    browser.open(f"{live_server.url}/console/")
    browser.run("window.mark = 1")
    alerts.open_once("a", kind="claims_file", sentence="x", severity="critical")
    browser.run("document.querySelector('#numbers a').focus()")
    browser.run(again)
    assert "1 critical" not in text_of(browser)
    browser.run("document.activeElement.blur()")
    browser.run(again)
    assert "1 critical" in text_of(browser)
    assert browser.run("[window.mark, document.querySelectorAll('#numbers').length, window.violations]") == [1, 1, []]
    assert not AuditLog.objects.filter(action__startswith="console.", outcome="refused").exists()
    assert browser.errors == []


def test_the_listener_bites(watched: Browser, live_server: LiveServer) -> None:
    """Without this a listener that hears nothing would look like pages that do nothing wrong."""
    sign_in(watched, live_server, staff("admin"))
    watched.open(f"{live_server.url}/console/beat/")
    watched.run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')")
    watched.run("new Promise((done) => setTimeout(done, 20))")
    assert watched.run("window.violations.length") == 1
    assert watched.errors
