"""Proves of every address, method and role who is served, refused, sent to sign in or told that nothing is there.

The resources of `/api/v1/` have `test_role_matrix` and `test_object_rules`, the FHIR API `test_fhir_matrix` and the
pages of the admin `test_admin_matrix`; here it is held that there is no address beside these, and who finds the rest.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF, Role
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.interop.console_urls import urlpatterns as console
from tests.security.matrix import RESOURCES, Practice, make, make_practice, other_people, undone
from tests.security.routes import everything_stored, routes

pytestmark = pytest.mark.django_db
TOKEN = re.compile(rb'value="[A-Za-z0-9]{64}"')
NOBODY = "anonymous"
CANARY = {"first_name": "Zqfirst", "last_name": "Zqlast", "medical_record_number": "ZQMRN1", "email": "zq@example.org"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

APPS = (
    "^(?P<app_label>core|users|patients|employees|doctors|credentials|messaging|appointments|clinical_notes|laboratory"
)
Who = tuple[int, int, int]  # what nobody, a patient and the staff are answered
NEVER: Who = (405, 405, 405)
SIGN_IN_FIRST: Who = (401, 405, 405)
SIGNED_IN: Who = (401, 200, 200)
OWN_PAGE: Who = (302, 200, 200)
STAFF_PAGE: Who = (302, 302, 200)
NOT_THERE: Who = (404, 404, 404)
# What no table of ours guards: the address to ask for, what is answered to each method, and to those not named.
LISTED: dict[str, tuple[str, dict[str, Who], Who]] = {
    "": ("", {}, (302, 302, 302)),
    "api/v1/auth/token/": ("", {"POST": (400, 400, 400)}, NEVER),
    "api/v1/auth/token/refresh/": ("", {"POST": (400, 400, 400)}, NEVER),
    "api/v1/auth/logout/": ("", {"POST": (401, 204, 204)}, SIGN_IN_FIRST),
    "api/v1/auth/me/": ("", {"GET": (401, 200, 200)}, SIGN_IN_FIRST),
    "api/v1/auth/token/mfa/": ("", {"POST": (400, 400, 400)}, NEVER),
    "api/v1/auth/sessions/": ("", {"GET": (401, 200, 200)}, SIGN_IN_FIRST),
    "api/v1/auth/sessions/<uuid:pk>/": (f"api/v1/auth/sessions/{uuid.uuid4()}/", {"DELETE": (401, 404, 404)},
                                        SIGN_IN_FIRST),
    "api/v1/auth/mfa/": ("", {"GET": (401, 200, 200)}, SIGN_IN_FIRST),
    **{f"api/v1/auth/mfa/{name}/": ("", {"POST": (401, 400, 400)}, SIGN_IN_FIRST)
       for name in ("enrol", "confirm", "recovery-codes")},
    "account/": ("", {"GET": OWN_PAGE, "POST": (302, 302, 302)}, NEVER),
    "account/device/": ("", {"GET": OWN_PAGE, "POST": (302, 400, 400)}, NEVER),
    "account/recovery-codes/": ("", {"GET": OWN_PAGE, "POST": (302, 400, 400)}, NEVER),
    "api/v1/auth/password/": ("", {"POST": (401, 400, 400)}, SIGN_IN_FIRST),
    "api/schema/": ("", {"GET": SIGNED_IN}, SIGN_IN_FIRST),
    "api/docs/": ("", {"GET": SIGNED_IN}, SIGN_IN_FIRST),
    "admin/": ("", {}, STAFF_PAGE),
    "admin/search/": ("", {"POST": STAFF_PAGE}, (302, 302, 405)),
    "admin/login/": ("", {"GET": (200, 200, 302), "POST": (401, 401, 401)}, NEVER),
    "admin/login/code/": ("", {"GET": (302, 302, 302), "POST": (200, 200, 200)}, NEVER),
    "admin/login/second-step/": ("", {"GET": (302, 302, 302), "POST": (302, 302, 302)}, NEVER),
    "admin/logout/": ("", {"POST": (200, 200, 200)}, NEVER),
    "admin/password_change/": ("", {"GET": OWN_PAGE, "POST": (302, 400, 400)}, NEVER),
    "admin/password_change/done/": ("", {"GET": STAFF_PAGE}, (302, 302, 405)),
    "admin/autocomplete/": ("", {"POST": (302, 302, 403)}, (302, 302, 405)),  # of no field
    "admin/jsi18n/": ("", {"GET": STAFF_PAGE}, (302, 302, 405)),
    "admin/r/<path:content_type_id>/<path:object_id>/": ("admin/r/1/x/", {}, (302, 302, 404)),
    "admin/(?P<url>.*)$": ("admin/nosuch/", {}, (302, 302, 404)),
    "a/<str:token>/calendar.ics": ("a/nosuch/calendar.ics", {"GET": NOT_THERE, "POST": NOT_THERE}, NEVER),
    "a/<path:token>": ("a/nosuch", {"GET": NOT_THERE, "POST": NOT_THERE}, NEVER),
    "fhir/token": ("", {}, (400, 400, 400)),
    "webhooks/twilio/status": ("", {"POST": (403, 403, 403)}, NEVER),
    "webhooks/twilio/inbound": ("", {"POST": (403, 403, 403)}, NEVER),
    "webhooks/sendgrid/events": ("", {"POST": (403, 403, 403)}, NEVER),
    "healthz": ("", {"GET": (200, 200, 200)}, NEVER),
    "readyz": ("", {"GET": (200, 200, 200)}, NEVER),
    "metrics": ("", {"GET": (200, 200, 200)}, NEVER),  # to this machine alone
}  # fmt: skip


def owned_result(practice: Practice) -> Any:
    row = make("critical-results", practice)
    type(row)._base_manager.filter(pk=row.pk).update(doctor=practice.doctor)
    return row


# What stands in the addresses of console pages beside the id of a row.
WORDS: dict[str, Any] = {"name": "alerts", "verb": "build", "task": "lab_results.file"}
# Pages of one row that doctors may open: a row of the practice's patient or doctor, and so of a stranger.
OWNED: dict[str, Callable[[Practice], Any]] = {
    "reminder-visit": lambda p: make("appointments", p),
    "reminder-send-now": lambda p: make("appointment-reminders", p),
    "reminder-mute": lambda p: make("appointment-reminders", p),
    "lab-history": lambda p: make("lab-results", p),
    "lab-critical-result": owned_result,
    "lab-critical-acknowledge": owned_result,
    "task-complete": lambda p: make("staff-tasks", p),
    "emergency-access": lambda p: make("emergency-accesses", p),
    "emergency-end": lambda p: make("emergency-accesses", p),
    "credential": lambda p: make_credential(doctor=p.doctor),
    "credential-document": lambda p: make_credential(doctor=p.doctor),
    "credential-change": lambda p: make_credential(doctor=p.doctor),
}


def tells_nothing(answer: Any) -> bool:
    """Return whether the answer holds none of CANARY, in words too long to stand in a token by chance."""
    return not any(text.encode() in answer.content for text in CANARY.values())


def clients(practice: Practice) -> dict[str, Client]:
    """Return a browser for each role, signed in, and one for nobody."""
    found = {NOBODY: Client(raise_request_exception=False)}
    for role, login in practice.logins.items():
        found[role] = Client(raise_request_exception=False)
        found[role].force_login(login)
    return found


def test_every_address_is_one_of_a_table_or_of_the_list() -> None:
    unguarded = {route.path for route in routes() if not route.kind}
    unguarded -= {path for path in unguarded if path.startswith(f"admin/{APPS}")}
    assert sorted(unguarded - set(LISTED)) == [], "Say in LISTED who finds these addresses."
    assert sorted(set(LISTED) - unguarded) == [], "These addresses are gone."
    api = {route.pattern.callback.cls for route in routes() if route.kind == "api"}
    assert api == set(RESOURCES.values())


def test_what_no_table_guards_is_answered_as_the_list_says() -> None:
    practice = make_practice()
    browsers = clients(practice)
    for path, (url, methods, other) in LISTED.items():
        for method in METHODS:
            expected = dict(zip((NOBODY, Role.PATIENT, "staff"), methods.get(method, other), strict=True))
            all_of_them = method == "GET" or (method == "POST" and "login" not in path and "token" not in path)
            few = (NOBODY, Role.PATIENT, Role.ADMIN)
            for who in browsers if all_of_them else few:
                browser = browsers[who]
                with undone():
                    answer = browser.generic(method, f"/{url or path}", b"{}", content_type="application/json")
                wanted = expected[who if who in expected else "staff"]
                assert answer.status_code == wanted, (method, path, who, answer.status_code)
                if path.endswith("logout/") and who != NOBODY:
                    browser.force_login(practice.logins[who])


def cells(browsers: dict[str, Client]) -> Iterator[tuple[Any, str, str, str, Client]]:
    """Yield (guard, name, url, who, browser) of each console page and role; ids are of no row."""
    for entry in console:
        guard = entry.callback.guard
        given = {name: WORDS.get(name) or uuid.uuid4() for name in entry.pattern.converters}
        url = reverse(f"console:{entry.name}", kwargs=given)
        for who, browser in browsers.items():
            yield guard, str(entry.name), url, who, browser


def test_each_page_of_the_console_is_for_the_roles_of_its_table_and_changes_nothing_for_others() -> None:
    browsers, refused = clients(make_practice()), 0
    stored = everything_stored()
    for guard, name, url, who, browser in cells(browsers):
        for method in ("GET", "POST", "PUT") if who == Role.ADMIN else guard.methods[:1]:
            is_let = method in guard.methods and who in guard.table.get(guard.action, ())
            if is_let:
                with undone():
                    answer = browser.generic(method, url)
                assert answer.status_code < 500, (method, name, who)
                assert answer.status_code != 403 or name in ALSO_BY_VERB, (method, name, who)
                continue
            answer = browser.generic(method, url)
            wanted = 302 if who not in STAFF else 405 if method not in guard.methods else 403
            assert answer.status_code == wanted, (method, name, who, answer.status_code)
            assert wanted != 302 or answer["Location"].startswith("/admin/login/")
            refused += who != NOBODY
    noted = AuditLog.objects.filter(action="console.view", outcome="refused", user__isnull=False)
    assert noted.count() == refused, "each refusal is written down"
    assert everything_stored() == stored


OTHERWISE = {"lab-find", "credential-except"}  # pages that another table closes to doctors
# What is asked for there has a row of its own in another table.
ALSO_BY_VERB = {
    "reminder-bulk", "claim-bulk", "claim-hurry", "claim-act", "claim-file-decide", "work-bulk", "alert-bulk",
    "credential-change", "lab-find",
}  # fmt: skip


def test_a_doctor_finds_in_the_console_own_rows_and_no_row_of_a_stranger() -> None:
    practice = make_practice()
    strangers = other_people(practice)
    for name, value in CANARY.items():
        setattr(strangers.patient, name, value)
    strangers.patient.save()
    make("appointments", practice)  # links doctor and patient
    browser, pages = clients(practice)[Role.DOCTOR], 0
    for entry in console:
        guard, converters = entry.callback.guard, entry.pattern.converters
        if Role.DOCTOR not in guard.table.get(guard.action, ()):
            continue
        method = guard.methods[0]
        if "pk" not in converters:
            with undone():
                make("appointment-reminders", strangers)
                assert tells_nothing(browser.generic(method, reverse(f"console:{entry.name}"))), entry.name
            continue
        is_left = entry.name in OTHERWISE or "override" in converters
        assert entry.name in OWNED or is_left, f"Say in OWNED how a row of {entry.name} is made."
        if entry.name in OWNED:
            with undone():
                pages += 1
                browser.cookies.pop("messages", None)  # what the last page had to tell
                told = [browser.generic(method, url) for url in addresses(entry, practice, strangers)]
                assert told[0].status_code == told[1].status_code == 404, entry.name
                assert tells_nothing(told[0]), entry.name
                assert TOKEN.sub(b"", told[0].content) == TOKEN.sub(b"", told[1].content), "a stranger is nobody"
                assert told[2].status_code in {200, 302} or entry.name == "credential-document", entry.name
    assert pages == len(OWNED)


def addresses(entry: Any, practice: Practice, strangers: Practice) -> list[str]:
    """Return the page of a stranger's row, of none, and of an own one."""
    keys = [OWNED[entry.name](strangers).pk, uuid.uuid4(), OWNED[entry.name](practice).pk]
    words = {name: WORDS[name] for name in entry.pattern.converters if name in WORDS}
    words |= {"verb": "renew"} if entry.name == "credential-change" else {}
    return [reverse(f"console:{entry.name}", kwargs={**words, "pk": key}) for key in keys]


def test_a_bulk_of_own_and_strangers_rows_does_the_own_ones_alone() -> None:
    practice = make_practice()
    rows = [make("appointment-reminders", people) for people in (practice, other_people(practice))]
    browser = clients(practice)[Role.DOCTOR]
    form = {"verb": "mute", "reason": "They asked", "visit": [str(row.appointment_id) for row in rows]}
    shown = browser.post(reverse("console:reminder-bulk"), form).content.decode()
    assert (str(rows[0].pk) in shown, str(rows[1].pk) in shown) == (True, False)
    [own] = re.findall(r'name="confirmed" value="([^"]+)"', shown)
    for confirmed in (f"{own},{rows[1].pk}", str(rows[1].pk), own):
        browser.post(reverse("console:reminder-bulk"), {**form, "confirmed": confirmed})
    assert AppointmentReminder.objects.get(pk=rows[1].pk).status == "pending"
    assert AppointmentReminder.objects.get(pk=rows[0].pk).status != "pending"
