"""Plants a script in every text that anybody from outside can write, and opens every page that shows one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import Error as DatabaseFailed
from django.db import connection, models, transaction
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer

from backend.apps.clinical_notes.tests.factories import make_note
from backend.apps.core.sealed import SealedTextField
from backend.apps.insurance.tests.remittance_factories import make_inbound_file
from backend.apps.interop.tests.patient_links import link_of
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_feed, make_lab_test
from backend.apps.messaging.tests.factories import make_message_template
from backend.apps.messaging.tests.inbox_factories import make_patient_message, make_provider_event
from tests.browser.channels import SCRIPT, all_channels
from tests.browser.test_console_pages import Place, a_clinic, address, unseen, watched
from tests.browser.test_lab_inbox import ORU, sign_in, staff
from tests.support.browser import Browser

__all__ = ["watched"]
pytestmark = pytest.mark.django_db(transaction=True)
LONG = '"\'></textarea></script><img src=x onerror="window.__xss=1;alert(1)"><script>window.__xss=1</script>'
SHORT, TINY = "<img src=x onerror=alert(1)>", "<svg onload=alert()>"
OURS = {
    "status",
    "work_state",
    "kind",
    "channel",
    "language",
    "time_zone",
    "dedupe_key",
    "cause",
    "task",
    "entry",
    "part",
}  # no text of a person
TRIPPED = (
    """[window.__xss ?? 0, document.querySelectorAll('[onerror], [onload], img[src=x]').length, window.violations]"""
)
TEXT = (
    """document.body.innerText + [...document.querySelectorAll('input, textarea')].map((one) => one.value).join(" ")"""
)
REACHED = {  # at least: by what channel a stranger's text comes into this column
    "patients.Patient": {"first_name", "last_name", "address_line1", "city"},  # the API, a laboratory's ADT
    "messaging.InboundText": {"body"},  # a reply
    "messaging.MessageTemplate": {"body", "subject"},
    "laboratory.LabTest": {"test_name"},
    "laboratory.LabResult": {"result_value", "unit", "reference_range"},  # OBX
    "laboratory.InboundMessage": {"sending_facility", "last_error"},
    "core.AuditLog": {"user_agent"},
    "core.Alert": {"sentence"},
    "insurance.InboundFile": {"name", "status_reason"},
    "users.User": {"first_name", "last_name"},
    "clinical_notes.ClinicalNote": {"content", "diagnosis"},  # sealed, as the two below
    "insurance.PatientInsurance": {"member_id", "policy_number"},
    "insurance.RemittanceClaim": {"member_id"},  # a payer's answer
}


def payload(field: models.Field[Any, Any]) -> str:
    """Return the longest of the texts that the column takes; empty where none does or none belongs."""
    plain = type(field) in (models.CharField, models.TextField, SealedTextField)
    if not plain or field.choices or field.unique or field.primary_key or field.name in OURS:
        return ""
    room = field.max_length or len(LONG)
    return next((text for text in (LONG, SHORT, TINY) if len(text) <= room), "")


def plant() -> dict[str, set[str]]:
    """Write a script into every such column of every row there is; return where that was possible."""
    planted: dict[str, set[str]] = {}
    for model in apps.get_models():
        if model._meta.proxy or not model._meta.managed:
            continue
        for field in model._meta.concrete_fields:
            is_of_login = model._meta.app_label in {"users", "sessions"} and field.name not in {
                "first_name",
                "last_name",
            }
            if not is_of_login and (text := payload(field)):
                with suppress(DatabaseFailed), transaction.atomic():  # a rule of the table forbids it
                    if _everywhere(model, field, text):
                        planted.setdefault(model._meta.label, set()).add(field.name)
    return planted


def _everywhere(model: Any, field: Any, text: str) -> int:
    """Write below all rules of our own, as whoever got past them would; those of the table hold."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        if isinstance(field, SealedTextField):
            changed = sum(_sealed(row, field, text) for row in model._base_manager.all())
        else:
            changed = model._base_manager.update(**{field.attname: text})
        cursor.execute("SET LOCAL session_replication_role = origin")
    return changed


def _sealed(row: Any, field: SealedTextField, text: str) -> int:
    value = field.sealed(getattr(row, field.bound_to), text)
    changed: int = type(row)._base_manager.filter(pk=row.pk).update(**{field.attname: value})
    return changed


def shown() -> list[Place]:
    """Make a clinic in which each channel has brought something, and return where it is shown."""
    places = a_clinic()
    places += unseen(places)
    make_lab_feed()
    make_lab_test()
    make_message_template()
    make_provider_event(payload={"reason": LONG, "event": LONG, "email": LONG})
    make_inbound_file()
    make_note()
    raw = ORU.format(family=LONG.replace("\\", ""), given=SHORT, born="19800517").replace("Drawn", LONG).encode()
    message = make_inbound_message(raw, status="worklist", work_state="done", status_reason="x")
    return [*places, ("lab-message", [message.pk], "")]


def admin_pages() -> Iterator[str]:
    """Yield the list of each model of the admin that has rows, and the page of one row of those strangers write to."""
    for model in admin.site._registry:
        row = model._base_manager.order_by("pk").first()
        if row is not None:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            yield reverse(f"{name}_changelist")
            if model._meta.label in REACHED:
                yield reverse(f"{name}_change", args=[row.pk])


class Visit:
    """Opens pages as a member of the staff; keeps what went wrong, and how many showed the script as text."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        self.bad: list[tuple[Any, ...]] = []
        self.seen = 0

    def open(self, page: str) -> str:
        """Open a page; return what it shows, in fields of forms too."""
        browser = self.browser
        browser.open(f"{self.url}{page}")
        assert browser.run("location.pathname") == page.partition("?")[0]
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        tripped, elements, violations = browser.run(TRIPPED)
        text: str = browser.run(TEXT)
        self.seen += "onerror=" in text
        if tripped or elements or violations or browser.dialogs:
            self.bad.append((page, tripped, elements, violations, browser.dialogs[:]))
            browser.dialogs.clear()
        return text


def test_no_text_of_a_stranger_becomes_part_of_a_page(watched: Browser, live_server: LiveServer) -> None:
    browser, places = watched, shown()
    visit = apps.get_model("appointments", "Appointment").objects.order_by("pk").first()
    make_patient_message(visit.patient)
    links = [link_of(visit)]
    who = staff("admin")
    sign_in(browser, live_server, who)
    planted = plant()
    missing = {label: names - planted.get(label, set()) for label, names in REACHED.items()}
    assert not {label: names for label, names in missing.items() if names}
    pages = [*(address(place) for place in places), *admin_pages(), *links]
    looks = Visit(browser, live_server.url)
    for page in pages:
        looks.open(page)
    assert looks.bad == []
    assert looks.seen > len(pages) // 3, "the texts are on the pages, as texts"


def test_what_comes_in_by_each_channel_stands_on_its_pages_as_text(watched: Browser, live_server: LiveServer) -> None:
    sign_in(watched, live_server, staff("admin"))
    looks = Visit(watched, live_server.url)
    counted = {(one.channel, one.page, one.least): looks.open(one.page).count(SCRIPT) for one in all_channels()}
    assert looks.bad == []
    assert {key: count for key, count in counted.items() if count < key[2]} == {}


def test_the_tripwire_bites(watched: Browser, live_server: LiveServer) -> None:
    sign_in(watched, live_server, staff("admin"))
    watched.open(f"{live_server.url}/console/beat/")
    watched.run(f"document.body.insertAdjacentHTML('beforeend', {LONG!r})")
    watched.run("new Promise((done) => setTimeout(done, 50))")
    tripped, elements, violations = watched.run(TRIPPED)
    assert (tripped, elements > 0, bool(violations)) == (0, True, True)
