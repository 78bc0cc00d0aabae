"""Attacks 47 to 50: what an answer, a log, a queue or a cache tells beside what was asked."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import connection

from backend.apps.appointments.tests.factories import free_time
from backend.apps.users import services
from tests.security.attacks.attack import FORM, Attack, leaked
from tests.security.attacks.stack import METRICS_TOKEN
from tests.security.matrix import Practice
from tests.support.stores import everything_in

API, FHIR = "/api/v1", "/fhir/R4"
PAGES = ("/console/", "/console/audit/", "/admin/", "/admin/patients/patient/", "/console/reminders/")


@pytest.fixture
def broken() -> Any:
    """A table is away, as after a half done change of it: what needs it fails."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE insurance_insuranceplan RENAME TO insurance_gone")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE insurance_gone RENAME TO insurance_insuranceplan")


def test_attack_47_no_error_tells_of_a_patient_of_our_code_or_of_the_database(
    attack: Attack, mine: Practice, theirs: Practice, broken: None
) -> None:
    admin = mine.logins["admin"]
    mark = {
        "last_name": "Qvxwzlast",
        "date_of_birth": "Qvxwzborn",
        "phone": "Qvxwz",
        "medical_record_number": "QVXWZMRN1",
    }
    attack.call("post", f"{API}/patients/", json=mark, by=admin, status=400)
    attack.call("patch", f"{API}/patients/{theirs.patient.pk}/", json={"Qvx": 1, "phone": "x"}, by=admin, status=400)
    attack.call("get", f"{API}/patients/{theirs.patient.pk}x/", by=admin, status=404)
    attack.call("get", f"{FHIR}/Patient/{theirs.patient.pk}x?_format=xml", by=admin, status={400, 404, 406})
    attack.call("get", f"{API}/audit-logs/", by=mine.logins["nurse"], status=403)
    attack.call("get", f"/admin/patients/patient/{theirs.patient.pk}x/change/", by=admin, pages=True, status={302, 404})
    for path in ("/nowhere", "/console/nowhere/", "/api/v1/nowhere/", "/admin/nowhere/", "/%ff", "/a/%00"):
        attack.call("get", path, by=admin, pages=True, status={302, 404, 400, 410})
    attack.call("delete", f"{API}/patients/", by=admin, status=405)
    attack.call("put", "/webhooks/twilio/status", data=b"x", status=405)
    for path, pages in ((f"{API}/insurance-plans/", False), ("/admin/insurance/insuranceplan/", True)):
        answer = attack.call("get", path, by=admin, pages=pages, status=500)
        assert "DEBUG" not in answer.text
    attack.is_broken_by_us()
    attack.traced("retrieve", outcome="refused")
    attack.traced("list")


def nothing_leaked(url: str) -> None:
    """Look through what is kept beside the charts: Redis at `url`, tasks, sessions and the tables of who did what."""
    assert leaked(everything_in(url)) == []
    with Celery(broker=url, set_as_current=False) as app:
        told = [getattr(app.control.inspect(timeout=1), what)() for what in ("active", "reserved", "scheduled")]
        assert leaked(repr(told)) == []
    assert leaked(repr(list(LogEntry.objects.values_list("object_repr", "change_message")))) == []
    assert leaked(repr([session.get_decoded() for session in Session.objects.all()])) == []
    with connection.cursor() as cursor:
        for table in ("core_auditlog", "core_alert", "core_heartbeat", "core_idempotentrequest"):
            cursor.execute(f"SELECT {table}::text FROM {table}")  # noqa: S608  # our own names
            assert leaked(repr(cursor.fetchall())) == [], table


def test_attack_48_what_is_done_with_a_patient_stands_in_no_log_queue_session_or_number(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    desk, victim = mine.logins["receptionist"], str(theirs.patient.pk)
    attack.may_change(
        "appointments_appointment",
        "appointments_appointmentreminder",
        "patients_patient",
        "django_admin_log",
        "patients_contactpoint",
        "core_idempotentrequest",
        "messaging_patientmessage",
        "appointments_replan",
    )
    body = {
        "patient": victim,
        "doctor": str(theirs.doctor.pk),
        "appointment_datetime": free_time().isoformat(),
        "reason": "Qvxwzreason",
        "availability_override_reason": "Qvxwz",
    }
    attack.call("post", f"{API}/appointments/", json=body, by=desk, status=201, shows=True)
    attack.call(
        "post", f"{API}/patients/search/", json={"text": "qvxwzlast 1932-08-24"}, by=desk, status=200, shows=True
    )
    came_from = {"Referer": "http://x/?q=qvxwz"}
    attack.call("get", f"{API}/patients/?search=qvxwzfirst", by=desk, status=400, headers=came_from)
    attack.call(
        "patch",
        f"{API}/patients/{victim}/",
        json={"city": "Qvxwztown"},
        by=mine.logins["nurse"],
        status=200,
        shows=True,
    )
    typed = {"data": {"q": "qvxwzlast"}, "by": mine.logins["admin"], "pages": True, **FORM}
    found = attack.call("post", "/admin/patients/patient/", status=303, **typed).headers["Location"]
    for page in (f"/admin/patients/patient/{victim}/change/", found, f"/admin/patients/patient/{victim}/history/"):
        attack.call("get", page, by=mine.logins["admin"], pages=True, status=200, shows=True)
    nothing_leaked(attack.stack.stage.redis.url)
    numbers = attack.call("get", "/metrics", token=METRICS_TOKEN, status=200)
    assert "carerelay_" in numbers.text
    attack.traced("create", outcome="allowed")
    attack.traced("search", outcome="allowed")


def test_attack_49_nothing_of_a_patient_is_kept_by_a_cache_or_there_after_a_sign_out(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    user, victim = mine.logins["admin"], theirs.patient.pk
    key = attack.stack.cookie(user)
    for path in (
        f"{API}/patients/{victim}/",
        f"{API}/patients/",
        f"{FHIR}/Patient/{victim}",
        f"{API}/auth/me/",
        *PAGES,
        f"/admin/patients/patient/{victim}/change/",
    ):
        signed = {"by": user} if path.startswith(("/api", "/fhir")) else {"cookies": {"sessionid": key}}
        answer = attack.call("get", path, status=200, shows=True, **signed)
        assert "no-store" in answer.headers["Cache-Control"], path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = attack.call("get", "/admin/", cookies={"sessionid": key}, status=200, shows=True)
    token = (
        page.cookies.get("csrftoken") or page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    )
    attack.call(
        "post",
        "/admin/logout/",
        data={"csrfmiddlewaretoken": token},
        cookies={"sessionid": key, "csrftoken": token},
        headers={"Referer": f"{attack.stack.url}/admin/", "Origin": attack.stack.url},
        status={200, 302},
    )
    for path in PAGES:
        attack.call("get", path, cookies={"sessionid": key}, status={302, 403})
    session = services.open_session(mine.logins["nurse"])
    attack.call("post", f"{API}/auth/logout/", json={}, token=session.access, status=204)
    attack.call("get", f"{API}/patients/", token=session.access, status=401)
    attack.traced("retrieve", outcome="allowed")
    attack.traced("admin.logout", outcome="allowed")


def test_attack_50_who_is_not_signed_in_learns_nothing_of_what_runs_here(attack: Attack, mine: Practice) -> None:
    for path in (
        "/metrics",
        "/metrics/",
        "/api/schema/",
        "/api/docs/",
        "/api/",
        "/api/v1/",
        "/debug/",
        "/__debug__/",
        "/.env",
        "/.git/config",
        "/admin/doc/",
        "/static/admin/../../manage.py",
        "/server-status",
        "/flower/",
        "/console/overview/numbers/",
    ):
        attack.call("get", path, status={301, 302, 401, 403, 404})
    for token in ("x", "", "Bearer", METRICS_TOKEN[:-1]):
        attack.call("get", "/metrics", token=token, status={401, 403, 404})
    for path in ("/healthz", "/readyz"):
        answer = attack.call("get", path, status=200)
        for word in ("postgres", "version", "python", "django", "127.0.0.1", "traceback"):
            assert word not in answer.text.lower(), (path, answer.text)
    for answer in (attack.call("get", "/healthz", status=200), attack.call("get", "/admin/login/", status=200)):
        named = " ".join(answer.headers.values()).lower()
        assert not any(word in named for word in ("granian", "django", "python", "cpython"))
        assert "X-Powered-By" not in answer.headers
    attack.untraced("these addresses belong to nobody's data")
