"""Proves that the console lets in who may, tells the others why not, and seals every answer."""

from __future__ import annotations

import pytest
from django.contrib.messages.storage.fallback import FallbackStorage
from django.db import connection
from django.test import Client, RequestFactory

from backend.apps.core import problems
from backend.apps.core.models import AuditLog
from backend.apps.core.roles import STAFF
from backend.apps.interop import console
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db


def test_who_is_not_signed_in_is_sent_to_the_sign_in_and_comes_back() -> None:
    answer = Client().get("/console/?page=1")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/console/%3Fpage%3D1"


def test_a_patient_is_no_staff() -> None:
    assert signed_in("patient").get("/console/")["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("role", sorted(STAFF))
def test_the_first_page_is_for_all_staff_and_sealed(role: str) -> None:
    answer = signed_in(role).get("/console/")
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (answer["Referrer-Policy"], answer["X-Frame-Options"]) == ("same-origin", "DENY")
    assert "no-store" in answer["Cache-Control"]
    assert b"<style" not in answer.content
    assert b" style=" not in answer.content
    assert b"<script>" not in answer.content


def test_a_nul_character_is_refused_in_a_page() -> None:
    answer = signed_in("admin").get("/console/?a=%00")
    assert answer.status_code == 400
    assert AuditLog.objects.filter(action="console.view", outcome="refused").exists()


def test_a_method_nobody_asked_for_is_refused() -> None:
    assert signed_in("admin").delete("/console/").status_code == 405


def test_the_sign_in_leads_nowhere_else() -> None:
    user = make_user("lab_tech")
    user.set_password("console-by-next-2026")
    user.save()
    form = {"username": user.email, "password": "console-by-next-2026"}
    for there, expected in (("//evil.example/", "/admin/"), ("/console/labs/", "/console/labs/")):
        assert Client().post("/admin/login/", {**form, "next": there})["Location"] == expected


def test_what_took_too_long_is_told_as_a_sentence_and_leaves_nothing() -> None:
    request = RequestFactory().post("/console/")
    request.user, request.session = make_user("admin"), {}  # type: ignore[assignment]  # a plain dict serves
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]  # as the middleware adds it

    def act() -> str:
        make_user("nurse", email="nobody@example.org")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(1)")
        return "Done."

    answer = console.attempt(request, "look", "retentionrule", act, back="/console/retention/")
    assert (answer.status_code, [str(each) for each in request._messages]) == (302, [problems.TOO_LONG])  # type: ignore[attr-defined]  # as above
    assert not User.objects.filter(email="nobody@example.org").exists()
    assert AuditLog.objects.filter(action="console.look", outcome="refused").exists()
