"""Attacks 51 to 56: text that wants to be something else."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from backend.apps.appointments.tests.factories import make_reachable_patient
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop.tests.patient_links import link_of, visit_ahead
from integrations.hl7.mllp import frame
from tests.security.attacks.attack import FORM, Answer, Attack
from tests.security.attacks.stack import put_off
from tests.security.matrix import Practice

API, FHIR, PATIENTS = "/api/v1", "/fhir/R4", "/admin/patients/patient/"
PEOPLE = ("patients_patient", "patients_contactpoint")
SQL = (
    "'",
    "';SELECT pg_sleep(3)--",
    "1 OR 1=1",
    "1) UNION SELECT password FROM users_user--",
    "$$;SELECT pg_sleep(3);$$",
    "\\'; DROP TABLE users_user; --",
    "id; SELECT pg_sleep(3)",
    "(SELECT pg_sleep(3))",
    "%27%20OR%201=1",
    "a' || pg_sleep(3) || '",
)
XSS = '"><img src=x onerror=alert(1)><script>alert(1)</script>'


def within(attack: Attack, most_s: float, method: str, path: str, **how: Any) -> Answer:
    """Send one request, which must take less than `most_s` seconds."""
    began = time.monotonic()
    answer = attack.call(method, path, **how)
    assert time.monotonic() - began < most_s, (method, path[:200], how.get("params"))
    return answer


def a_body(**over: Any) -> dict[str, Any]:
    return {
        "first_name": "A",
        "last_name": "B",
        "date_of_birth": "1980-01-01",
        "gender": "female",
        "phone": "+14155550100",
        "email": "a.b@example.org",
        "address_line1": "1 Elm",
        "city": "Albany",
        "state": "NY",
        "postal_code": "12207",
        **over,
    }


def test_attack_51_no_text_writes_a_line_of_its_own_into_a_log(attack: Attack, mine: Practice) -> None:
    forged = "2026-01-01 00:00:00,000 INFO forged line"
    port, token = attack.stack.web, attack.stack.token(mine.logins["admin"])
    attack.may_change("laboratory_inboundmessage")
    for agent in (f"x\x1b[31m{forged}", f"x\t{forged}", "\x1b]0;x\x07", "x" * 8000):
        head = f"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {agent}\r\nX-Request-Id: {agent}\r\n"
        attack.raw(f"{head}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    for path in ("%0d%0a" + forged.replace(" ", "%20"), "%1b%5b31mred", "%e2%80%a8" + "x", "%c2%85x"):
        attack.call("get", f"/{path}", status={400, 404})
        attack.call("get", f"{API}/patients/?{path}=1", by=mine.logins["admin"], status=400)
        attack.call("get", f"{API}/patients/{path}/", by=mine.logins["admin"], status=404)
    attack.call("post", f"{API}/patients/", json={f"a\r\n{forged}": "\x1b[31m"}, by=mine.logins["admin"], status=400)
    attack.lab(frame(b"MSH|^~\\&|L\x1b[31m|STRANGER\n" + forged.encode() + b"|||2026||ORU^R01|C\n1|P|2.5.1\r"))
    attack.call(
        "get",
        f"{API}/patients/",
        by=mine.logins["admin"],
        status=200,
        shows=True,
        headers={"User-Agent": "last call \u00a0\u00ad".encode("latin-1")},
    )
    written = attack.stack.logged_since(attack._logs)
    assert "\x1b" not in written
    assert "\x07" not in written
    assert not [line for line in written.splitlines() if line.startswith(forged[:20])]
    [row] = [one for one in attack.traced("list", outcome="allowed") if one.user_agent.startswith("last")]
    assert row.user_agent.isprintable()


SLEPT_S = 3.0  # what the texts ask the database to wait


def test_attack_52_no_text_becomes_sql(attack: Attack, mine: Practice) -> None:
    admin, timed = mine.logins["admin"], partial(within, attack, SLEPT_S)
    for text in SQL:
        for resource in ("patients", "appointments", "audit-logs"):
            for name in ("ordering", "search", "cursor", "limit", "id", "patient", "medical_record_number", text):
                timed("get", f"{API}/{resource}/", params={name: text}, by=admin, status={200, 400, 404}, shows=True)
        timed("get", f"{API}/patients/{text}/", by=admin, status={400, 404})
        timed("post", f"{API}/patients/search/", json={"text": text}, by=admin, status={200, 400})
        timed("post", f"{API}/patients/search/", json={"text": {"$ne": text}}, by=admin, status=400)
        timed(
            "get", f"{FHIR}/Patient", params={"family": text, "_sort": text, "_id": text}, by=admin, status={200, 400}
        )
        for page in ("/admin/patients/patient/", "/console/audit/", "/console/labs/", "/console/alerts/"):
            more = {"q": text, "o": text, "state": text, "outcome": text, "day": text, "p": text}
            timed("get", page, params=more, by=admin, pages=True, status={200, 302, 303, 400, 404}, shows=True)
        sought = timed("post", PATIENTS, data={"q": text}, by=admin, pages=True, status=303, **FORM)
        timed("get", sought.headers["Location"], by=admin, pages=True, status=200, shows=True)
    attack.traced("list", outcome="failed", at_least=10)


def test_attack_53_what_somebody_typed_is_shown_and_is_no_part_of_the_page(attack: Attack, mine: Practice) -> None:
    patient = make_reachable_patient(first_name=XSS[:90], last_name=XSS[:90], city=XSS[:60])
    url = link_of(visit_ahead(patient=patient, reason=XSS))
    put_off()
    admin = mine.logins["admin"]
    typed = attack.call("post", PATIENTS, data={"q": XSS[:200]}, by=admin, pages=True, status=303, **FORM)
    pages = [
        f"/admin/patients/patient/{patient.pk}/change/",
        PATIENTS,
        typed.headers["Location"],
        f"{PATIENTS}?q={XSS}",
        "/admin/appointments/appointment/",
        "/console/reminders/",
        "/console/audit/?q=" + XSS,
        "/console/?x=" + XSS,
        url,
    ]
    for page in pages:
        answer = attack.call(
            "get",
            page,
            by=None if page == url else admin,
            pages=True,
            status={200, 302, 303, 400, 404},
            shows=True,
            headers={"User-Agent": XSS, "Referer": f"http://x/{XSS}", "X-Request-Id": XSS},
        )
        assert "<img src=x" not in answer.text, page
        assert "<script>alert" not in answer.text, page
        assert "Content-Security-Policy" in answer.headers or answer.status_code != 200, page
        if page in pages[:3]:
            assert "&lt;script&gt;alert" in answer.text, "what was typed is shown"
    trail = AuditLog.objects.filter(timestamp__gte=attack.began, outcome="allowed")
    assert set(trail.values_list("action", "resource_type", "patient_id")) == {
        ("admin.retrieve", "patient", patient.pk),
        ("admin.list", "patient", None),
        ("admin.list", "appointment", None),
        ("console.list", "appointmentreminder", None),
        ("console.list", "auditlog", None),
        ("link.view", "appointment", patient.pk),
    }
    [seen, *_] = attack.traced("admin.retrieve", outcome="allowed", patient_id=patient.pk, user_id=admin.pk)
    assert seen.user_agent == XSS, "the log keeps it as it came, and shows it as above"


def test_attack_54_a_text_of_the_clinic_is_filled_with_what_is_named_and_runs_nothing(
    attack: Attack, mine: Practice
) -> None:
    tries = (
        "{{ 31337*31337 }}",
        "{% load log %}{% get_admin_log 10 as x %}",
        "{settings.SECRET_KEY}",
        "{patient.__class__.__mro__}",
        "{0.__globals__}",
        "${31337*31337}",
        "#{31337*31337}",
        "{!r}",
        "{first_name!r:>99999999}",
        "{first_name:{width}}",
        "<%= 31337*31337 %>",
        "{{}}" * 1000,
        "{{{{{",
        "{% include '/etc/passwd' %}",
        "{__import__('os')}",
        "[{first_name[0]}]",
        "[" * 2000,
    )
    admin = mine.logins["admin"]
    for text in tries:
        for channel in ("sms", "email"):
            body = {"kind": "reminder", "channel": channel, "subject": text[:100], "body": text}
            answer = attack.call("post", f"{API}/message-templates/preview/", json=body, by=admin, status={200, 400})
            assert "982007569" not in answer.text.replace(text, ""), text
            assert "root:" not in answer.text
            attack.call("post", f"{API}/message-templates/", json=body, by=admin, status={400, 422})
    for role in ("doctor", "nurse", "patient"):
        attack.call("post", f"{API}/message-templates/", json={"body": "x"}, by=mine.logins[role], status=403)
    attack.traced("create", outcome="failed", at_least=10)


def test_attack_55_no_text_adds_a_line_to_the_head_of_a_mail(attack: Attack, mine: Practice) -> None:
    desk, admin = mine.logins["receptionist"], mine.logins["admin"]
    clinic = Clinic.current()
    for line in (
        "\r\nBcc: all@example.org",
        "\nBcc: x@example.org",
        "\r\n\r\nbody",
        "\x0bBcc: x",
        "\u2028Bcc: x",
        "\0Bcc: x",
    ):
        address = f"a@example.org{line}"
        attack.call("post", f"{API}/patients/", json=a_body(email=address), by=desk, status=400)
        attack.call("patch", f"{API}/patients/{mine.patient.pk}/", json={"email": address}, by=desk, status=400)
        attack.call("post", f"{API}/users/", json={"email": address, "role": "nurse"}, by=admin, status=400)
        body = {"kind": "reminder", "channel": "email", "subject": f"Hello{line}", "body": "See you {when}"}
        attack.call("post", f"{API}/message-templates/", json=body, by=admin, status={400, 422})
        attack.call("patch", f"{API}/clinics/{clinic.pk}/", json={"email": address}, by=admin, status={400, 404})
    attack.traced("create", outcome="failed", at_least=12)


BROKEN_BODIES = (
    b'{"first_name":"a\\u0000b"}',
    b'{"first_name":"\\ud800"}',
    b'{"first_name":"\\udfff\\ud800"}',
    b'{"first_name":"\xff"}',
    b'{"first_name":"\xed\xa0\x80"}',
    b"\xff\xfe{\x00}\x00",
    b'{"\\u0000":1}',
    b'{"first_name":"\xf4\x90\x80\x80"}',
)
BROKEN_QUERIES = (
    "search=%00",
    "search=%ed%a0%80",
    "search=%ff",
    "%00=1",
    "last_name=a%00b",
    "ordering=%00",
    "cursor=%00",
)


def test_attack_56_half_characters_and_nul_are_refused_and_break_nothing(attack: Attack, mine: Practice) -> None:
    admin = mine.logins["admin"]
    attack.may_change(*PEOPLE, "patients_contactconsent", "core_idempotentrequest")
    for body in BROKEN_BODIES:
        for method, path in (
            ("post", "/patients/"),
            ("post", "/patients/search/"),
            ("patch", f"/patients/{mine.patient.pk}/"),
            ("post", "/auth/token/"),
            ("post", "/appointments/"),
        ):
            attack.call(
                method, API + path, data=body, headers={"Content-Type": "application/json"}, by=admin, status=400
            )
        attack.call(
            "post",
            f"{FHIR}/Patient",
            data=body,
            headers={"Content-Type": "application/fhir+json"},
            by=admin,
            status={400, 403, 422},
        )
    for query in BROKEN_QUERIES:
        attack.call("get", f"{API}/patients/?{query}", by=admin, status={200, 400}, shows=True)
        attack.call("get", f"{FHIR}/Patient?{query}", by=admin, status={200, 400}, shows=True)
        for page in (
            "/admin/patients/patient/",
            "/console/audit/",
            "/console/labs/",
            "/console/work/lab_results.file/",
        ):
            attack.call(
                "get",
                f"{page}?{query}&q=%00&state=%00&cause=%ff",
                by=admin,
                pages=True,
                status={200, 302, 303, 400, 404},
                shows=True,
            )
    for path in (
        "/a/%00",
        "/a/%ff%fe",
        "/console/work/%00/",
        "/console/claims/work/%00/",
        f"{API}/patients/%00/",
        f"{FHIR}/Patient/%00",
    ):
        attack.call("get", path, by=admin, pages=not path.startswith((API, FHIR)), status={400, 404, 429})
    attack.traced("create", outcome="failed", at_least=5)
