"""Attacks 57 to 62: doing what is allowed too often, too large, too early or from elsewhere."""

from __future__ import annotations

import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from backend.apps.appointments.models import Appointment
from backend.apps.appointments.tests.factories import make_appointment, make_reachable_patient, make_reminder
from backend.apps.appointments.tests.waitlist_factories import make_waitlist_offer
from backend.apps.core.models import AuditLog
from backend.apps.interop.console_urls import urlpatterns as console
from backend.apps.messaging import links
from backend.apps.messaging.models import LinkPurpose
from backend.apps.users.tests.factories import make_user
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import put_off
from tests.security.matrix import Practice, make
from tests.support.stage import until

API, FHIR = "/api/v1", "/fhir/R4"
SIGN_IN = f"{API}/auth/token/"
PASSWORD = "correct horse battery staple 9"


def knock(attack: Attack, method: str, path: str, *, at: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    """Send one request from another address of this machine; return its status and its whole answer."""
    attack._look()
    line = http.client.HTTPConnection("127.0.0.1", attack.stack.web, timeout=30, source_address=(at, 0))
    try:
        line.request(method, path, body, headers)
        answer = line.getresponse()
        text = f"{answer.headers}\n{answer.read().decode(errors='replace')}"
    finally:
        line.close()
    attack._asserted.add("status")
    attack.tells_nothing(text)
    return answer.status, text


def sign_in(attack: Attack, email: str, password: str, *, at: str) -> int:
    body = json.dumps({"email": email, "password": password}).encode()
    return knock(attack, "POST", SIGN_IN, at=at, body=body, **{"Content-Type": "application/json"})[0]


def page_sign_in(attack: Attack, email: str, *, at: str) -> tuple[int, str]:
    """Send the form of the pages' sign-in as a browser does, with the right password."""
    cookie = re.search(r"csrftoken=(\w+)", knock(attack, "GET", "/admin/login/", at=at)[1])
    assert cookie
    form = urlencode({"username": email, "password": PASSWORD, "csrfmiddlewaretoken": cookie[1]}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={cookie[1]}"}
    return knock(attack, "POST", "/admin/login/", at=at, body=form, **kind)


def test_attack_57_guessing_passwords_is_slowed_by_login_and_by_address_at_each_door(attack: Attack) -> None:
    user = make_user("nurse", password=PASSWORD)
    told = [sign_in(attack, user.email, f"wrong {number}", at=f"127.0.1.{number + 1}") for number in range(12)]
    assert set(told) <= {401, 403, 423, 429}
    assert sign_in(attack, user.email, PASSWORD, at="127.0.1.99") in {401, 403, 423, 429}, (
        "a locked login takes no password"
    )
    kind = {"Content-Type": "application/json"}
    tries = (
        knock(attack, "POST", f"{API}/auth/token/refresh/", at="127.0.2.1", body=b'{"refresh": "x"}', **kind)[0]
        for _ in range(200)  # refused tokens count for the address as passwords do, and cost less
    )
    assert 429 in tries
    told = [sign_in(attack, f"spray{number}@example.org", PASSWORD, at="127.0.2.1") for number in range(3)]
    assert set(told) == {429}, "one address tries one password of everybody"
    assert page_sign_in(attack, "spray@example.org", at="127.0.2.1")[0] == 429
    status, text = page_sign_in(attack, user.email, at="127.0.1.98")
    assert (status, "sessionid" in text) == (401, False), "the same lock at the pages"
    attack.lawful(to_the_end=True)
    free = make_user("nurse", password=PASSWORD)
    status, text = page_sign_in(attack, free.email, at="127.0.1.97")
    assert (status, "sessionid" in text) == (302, True), "whom nobody guessed comes in by such a form"
    attack.traced("login", at_least=12)


SAME_WITHIN = 1.6  # of the slowest to the fastest; a password that is not hashed differs by six times and more
ROUNDS, ROUNDS_OF_ONE = 21, 7  # at most, and of one login, which ten would lock
CHANGES = re.compile(r"^(?:date|x-request-id|set-cookie): .*\n", re.IGNORECASE | re.MULTILINE)


def told(attack: Attack, email: str, *, at: str) -> tuple[float, str]:
    """Try a wrong password; return the seconds it took and the whole answer but what is new in each."""
    body = json.dumps({"email": email, "password": "wrong"}).encode()
    began = time.perf_counter()
    status, text = knock(attack, "POST", SIGN_IN, at=at, body=body, **{"Content-Type": "application/json"})
    return time.perf_counter() - began, f"{status} {CHANGES.sub('', text)}".replace(email, "")


def test_attack_58_an_answer_is_alike_and_takes_as_long_for_a_known_an_unknown_and_a_locked_login(
    attack: Attack,
) -> None:
    locked = make_user("nurse", password=PASSWORD)
    known, closed = (
        [make_user("nurse", password=PASSWORD, is_active=is_open) for _ in range(ROUNDS // ROUNDS_OF_ONE)]
        for is_open in (True, False)
    )
    for number in range(11):
        for email in (locked.email, "locked@example.org"):
            sign_in(attack, email, "wrong", at=f"127.0.3.{number + 1}")
    assert sign_in(attack, locked.email, PASSWORD, at="127.0.3.99") == 401, "it is locked"
    least: dict[str, float] = {}  # what else runs here only adds to it, and with more rounds less and less
    answers: dict[str, set[str]] = {}
    for number in range(ROUNDS):
        for name, email in (
            ("known", known[number // ROUNDS_OF_ONE].email),
            ("unknown", f"nobody{number}@example.org"),
            ("closed", closed[number // ROUNDS_OF_ONE].email),
            ("locked", locked.email),
            ("locked and unknown", "locked@example.org"),
        ):
            took, answer = told(attack, email, at=f"127.0.4.{number + 1}")
            least[name] = min(took, least.get(name, took))
            answers.setdefault(name, set()).add(answer)
        is_same = max(least.values()) < SAME_WITHIN * min(least.values())
        if is_same and number + 1 >= ROUNDS_OF_ONE:
            break
    assert len(set().union(*answers.values())) == 1, answers
    assert is_same, least
    attack.traced("login", at_least=35)


LONGEST_LIST = 200  # rows that a page of the admin shows, whatever is asked


def test_attack_59_nobody_asks_for_more_than_we_bear(attack: Attack, mine: Practice) -> None:
    admin, began = mine.logins["admin"], time.monotonic()
    AuditLog.objects.bulk_create([AuditLog(action="list", resource_type="patient") for _ in range(LONGEST_LIST + 50)])
    for query in (
        "limit=1000000000",
        "limit=-1",
        "limit=99999999999999999999",
        "offset=1000000000",
        "page=1000000000",
        "page_size=1000000000",
    ):
        for resource in ("patients", "audit-logs"):
            attack.call("get", f"{API}/{resource}/?{query}", by=admin, status=400)
        attack.call("get", f"/admin/patients/patient/?{query}&all=", by=admin, pages=True, status=302)
    for count in ("1000000000", "-1", "99999999999999999999"):
        attack.call("get", f"{FHIR}/Patient?_count={count}", by=admin, status=400)
    whole = attack.call("get", "/admin/core/auditlog/?all=", by=admin, pages=True, status=200, shows=True)
    assert 0 < whole.text.count("field-timestamp") <= LONGEST_LIST
    for text in ("%" * 3000, "_" * 3000, "a" * 200_000, "(a+)+" * 500, "." * 3000):
        attack.call("post", f"{API}/patients/search/", json={"text": text}, by=admin, status=400)
        attack.call("get", f"{API}/patients/", params={"search": text[:6000]}, by=admin, status=400)
    for body in (
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"first_name":"' + b"x" * 3_000_000 + b'"}',
        b'{"a":' + b"9" * 1_000_000 + b"}",
        b"{" + b",".join(b'"k%d":1' % n for n in range(150_000)) + b"}",
    ):
        for path in ("/patients/", "/auth/token/", "/appointments/"):
            attack.call(
                "post", API + path, data=body, headers={"Content-Type": "application/json"}, by=admin, status={400, 413}
            )
        attack.call(
            "post",
            f"{FHIR}/Patient",
            data=body,
            headers={"Content-Type": "application/fhir+json"},
            by=admin,
            status={400, 403, 413, 422},
        )
    many = {f"f{n}": ("x", b"x") for n in range(300)}
    attack.call("post", f"{API}/doctor-credentials/", files=many, by=mine.logins["doctor"], status={400, 413})
    assert time.monotonic() - began < 60
    attack.traced("create", outcome="failed", at_least=5)


def test_attack_60_no_link_is_guessed_and_no_offer_or_reminder_is_taken_twice(attack: Attack, mine: Practice) -> None:
    told = [knock(attack, "GET", f"/a/{number:022}", at="127.0.5.1")[0] for number in range(60)]
    assert set(told) <= {404, 429}
    assert told[-1] == 429
    attack.lawful()
    url, offer = offered()
    row = make_reminder(appointment=make_appointment(patient=make_reachable_patient(), doctor=mine.doctor))
    put_off()
    attack.may_change(
        "appointments_appointment",
        "appointments_waitlistoffer",
        "appointments_waitlistentry",
        "appointments_freedslot",
        "appointments_appointmentreminder",
        "messaging_patientmessage",
        "messaging_patientlink",
        "appointments_replan",
        "core_idempotentrequest",
        "messaging_stafftask",
        "messaging_sender",
    )
    form = urlencode({"act": "accept"}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with ThreadPoolExecutor(25) as crowd:
        took = list(
            crowd.map(lambda n: knock(attack, "POST", url, at=f"127.0.6.{n + 1}", body=form, **kind)[0], range(25))
        )
    assert set(took) <= {200, 303, 409, 410, 429}
    visits = Appointment.objects.filter(patient=offer.entry.patient, appointment_datetime=offer.slot.starts_at)
    assert visits.count() == 1
    attack._look()
    path, token = f"{API}/appointment-reminders/{row.pk}/send_now/", attack.stack.token(mine.logins["receptionist"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with ThreadPoolExecutor(12) as crowd:
        sent = list(
            crowd.map(lambda _: knock(attack, "POST", path, at="127.0.0.1", body=b"{}", **headers)[0], range(12))
        )
    assert set(sent) <= {200, 409, 422}, sent
    attack.stack.ring("reminders.deliver")
    until(lambda: _rested(row))
    assert len([one for one in attack.stack.twilio.sent if one.attempt_id.startswith(str(row.pk))]) <= 1
    attack.kept(AuditLog.objects.filter(timestamp__gte=attack.began, action="link.accept"))


def _rested(row: Any) -> bool:
    row.refresh_from_db()
    return row.work_state not in {"waiting", "running"} or row.due_at > timezone.now()


def offered() -> tuple[str, Any]:
    """Return the address of a time that is offered to a patient, and the offer."""
    offer = make_waitlist_offer()
    message = make_reminder(appointment=make_appointment(patient=offer.entry.patient))
    links.keep([links.Wanted(message, LinkPurpose.WAITLIST, offer.pk, offer.slot.starts_at)])
    return f"/a/{links.token(message.pk, LinkPurpose.WAITLIST)}", offer


FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:80",
    "127.0.0.1@evil.example",
    "",
    "127.0.0.1:x",
    "a" * 5000,
    "[::",
    "127.0.0.1 evil",
)


def test_attack_61_no_foreign_host_hidden_request_trace_or_origin_gets_in(attack: Attack, mine: Practice) -> None:
    port, token = attack.stack.web, attack.stack.token(mine.logins["admin"])
    for host in FOREIGN_HOSTS:
        told = attack.raw(f"GET /admin/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert told == b"" or told.split()[1] in {b"400", b"431"}, (host, told[:120])
        assert b"evil" not in told
    hidden = f"GET {API}/audit-logs/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    host = f"Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    for lengths, body in (
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", f"0\r\n\r\n{hidden}"),
        (f"Content-Length: {len(hidden)}\r\nContent-Length: 0\r\n", hidden),
        ("Transfer-Encoding: xchunked\r\n", f"0\r\n\r\n{hidden}"),
        ("Transfer-Encoding: chunked, identity\r\n", f"0\r\n\r\n{hidden}"),
        ("Transfer-Encoding : chunked\r\n", f"0\r\n\r\n{hidden}"),
        ("Content-Length: -1\r\n", hidden),
        ("Content-Length: 0x4\r\n", hidden),
        (" Content-Length: 0\r\n", hidden),
        ("Transfer-Encoding: chunked\r\n", f"ffffffffffffffff1\r\nx\r\n0\r\n\r\n{hidden}"),
    ):
        told = attack.raw(f"POST {SIGN_IN} HTTP/1.1\r\n{host}{lengths}\r\n{body}".encode(), wait_s=1.5)
        first = told.split()[1:2]
        assert first in ([], [b"400"], [b"401"], [b"411"], [b"413"], [b"429"], [b"501"]) or "ffff" in body, (
            lengths,
            told[:100],
        )
        assert len(re.findall(rb"HTTP/1\.1 200", told)) == 0, (lengths, told[:300])
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND", "x" * 100):
        head = f"{method} {API}/patients/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Secret: s3cr3t\r\n"
        told = attack.raw(f"{head}Connection: close\r\n\r\n".encode())
        assert told == b"" or told.split()[1] in {b"400", b"405"}, (method, told[:100])  # at the door, whoever asks
        assert b"s3cr3t" not in told
    other_origins_are_let_in_nowhere(attack, mine)
    rows = AuditLog.objects.filter(timestamp__gte=attack.began, outcome="allowed")
    assert set(rows.values_list("action", "resource_type")) == {("list", "patient")}, "the hidden call was never made"
    alone = attack.raw(hidden.encode(), wait_s=1.5)  # by itself it is a good one
    assert alone.startswith(b"HTTP/1.1 200"), alone[:200]
    attack.traced("list", outcome="allowed", resource_type="auditlog")


def other_origins_are_let_in_nowhere(attack: Attack, mine: Practice) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{attack.stack.web}.evil.example", "file://"):
        for method in ("get", "options"):
            answer = attack.call(
                method,
                f"{API}/patients/",
                by=mine.logins["admin"],
                status={200, 204, 403, 405},
                shows=True,
                headers={
                    "Origin": origin,
                    "Access-Control-Request-Method": "DELETE",
                    "Access-Control-Request-Headers": "Authorization",
                },
            )
            assert not [name for name in answer.headers if name.lower().startswith("access-control-allow")], origin


def test_attack_62_no_other_site_makes_an_operators_browser_act(attack: Attack, mine: Practice) -> None:
    admin = mine.logins["admin"]
    key = attack.stack.cookie(admin)
    message = make("inbound-messages", mine)
    put_off()
    words = {"verb": "build", "name": "silent", "task": "lab_results.file"}
    forged = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
    for entry in console:
        path = f"/console/{entry.pattern}"
        for word, converter in entry.pattern.converters.items():
            path = path.replace(f"<{type(converter).__name__[:-9].lower()}:{word}>", words.get(word, str(message.pk)))
        for headers, token in (({}, ""), (forged, ""), (forged, "x" * 32)):
            form = {"reason": "x", "csrfmiddlewaretoken": token}
            cookies = {"sessionid": key, **({"csrftoken": token} if token else {})}
            attack.call("post", path, data=form, headers=headers, cookies=cookies, status={403, 405})
        attack.call(
            "get", path, cookies={"sessionid": key}, headers=forged, status={200, 302, 400, 404, 405}, shows=True
        )
    for path in (
        "/admin/patients/patient/add/",
        f"/admin/patients/patient/{mine.patient.pk}/delete/",
        "/admin/logout/",
        f"{API}/patients/",
        f"{API}/auth/logout/",
        f"{API}/auth/password/",
        f"{FHIR}/Patient",
    ):
        attack.call(
            "post", path, data={"post": "yes"}, headers=forged, cookies={"sessionid": key}, status={401, 403, 415}
        )
    for path in ("/admin/logout/", f"{API}/appointments/{mine.patient.pk}/cancel/", f"{API}/auth/logout/"):
        attack.call("get", path, cookies={"sessionid": key}, status={403, 404, 405})
    login = attack.call("get", "/admin/login/", status=200)
    assert all("samesite=lax" in cookie.lower() or "samesite=strict" in cookie.lower() for cookie in _cookies(login))
    assert _cookies(login), "one that says so was set"
    allowed = AuditLog.objects.filter(timestamp__gte=attack.began, outcome="allowed")
    assert set(allowed.values_list("action", flat=True)) <= {"console.list", "console.preview", "console.retrieve"}
    attack.traced("refuse_form", user_id=admin.pk, at_least=3 * len(console))
    own = attack.call("get", "/console/alerts/", cookies={"sessionid": key}, status=200, shows=True)
    token = own.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    attack.lawful(to_the_end=True)
    bound = {"sessionid": key, "csrftoken": own.cookies["csrftoken"]}
    form = {"csrfmiddlewaretoken": token, "username": "x", "password": "x"}
    here = {"Origin": attack.stack.url}
    answer = attack.call("post", "/admin/logout/", data=form, cookies=bound, headers=here, status={200, 302})
    assert answer.status_code != 403, "a form of our own page is taken"


def _cookies(answer: Any) -> list[str]:
    return list(answer.raw.headers.getlist("Set-Cookie"))
