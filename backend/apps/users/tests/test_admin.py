"""Holds the admin site's door and its pages of logins."""

from __future__ import annotations

import ipaddress
import random

import pytest
from django.test import Client

from backend.apps.core.models import AuditLog
from backend.apps.users import services
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.pages import search, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_to_hash")]
PASSWORD = "correct-horse-battery-staple"
USERS = "/admin/users/user/"


@pytest.fixture
def site() -> Client:
    client = Client()
    client.force_login(make_user("admin"))
    return client


def sign_in(user: User, password: str = PASSWORD) -> Client:
    client = Client(REMOTE_ADDR=str(ipaddress.IPv4Address(random.getrandbits(32))))
    client.post("/admin/login/", {"username": user.email.upper(), "password": password})
    return client


def test_staff_sign_in_and_it_is_audited() -> None:
    user = make_user("nurse", password=PASSWORD)
    assert sign_in(user).get("/admin/").status_code == 200
    assert AuditLog.objects.filter(action="admin.login", outcome="allowed", user_id=user.pk).count() == 1


@pytest.mark.parametrize(("role", "password", "open_"), [
    ("patient", PASSWORD, True), ("nurse", "wrong", True), ("nurse", PASSWORD, False),
])  # fmt: skip
def test_patients_wrong_passwords_and_closed_logins_stay_outside(role: str, password: str, open_: bool) -> None:
    user = make_user(role, password=PASSWORD, is_active=open_)
    assert sign_in(user, password).get("/admin/").status_code == 302
    assert AuditLog.objects.filter(action="admin.login", outcome="refused").count() == 1


def test_a_patient_who_is_signed_in_is_sent_away_from_the_admin_and_that_is_written_down() -> None:
    patient = make_user("patient")
    page = signed_in(patient)
    for path in ("/admin/", "/admin/users/user/"):
        assert page.get(path)["Location"].startswith("/admin/login/")
    told = AuditLog.objects.filter(action="admin.view", outcome="refused", user_id=patient.pk)
    assert sorted(told.values_list("resource_type", flat=True)) == ["index", "users_user_changelist"]
    assert Client().get("/admin/").status_code == 302
    assert AuditLog.objects.filter(action="admin.view").count() == 2, "whoever is not signed in is nobody"


def test_closing_a_login_ends_its_cookie_session_at_once() -> None:
    user = make_user("nurse", password=PASSWORD)
    client = sign_in(user)
    services.deactivate(user, by=None)
    assert client.get("/admin/").status_code == 302


def test_logging_out_is_audited() -> None:
    user = make_user("nurse", password=PASSWORD)
    client = sign_in(user)
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302
    assert AuditLog.objects.filter(action="admin.logout", user_id=user.pk).count() == 1


@pytest.mark.parametrize("page", [USERS, f"{USERS}add/", "/admin/users/loginsession/"])
def test_the_pages_open_for_the_administrator(site: Client, page: str) -> None:
    services.open_session(make_user("nurse"))
    assert site.get(page).status_code == 200


def test_a_login_is_found_by_its_mailbox_among_those_of_a_role(site: Client) -> None:
    nurse, _other = make_user("nurse"), make_user("nurse")
    assert list(search(site, f"{USERS}?role=nurse", nurse.email).context["cl"].result_list) == [nurse]
    assert list(search(site, f"{USERS}?role=doctor", nurse.email).context["cl"].result_list) == []


def test_a_login_is_added_changed_and_given_a_password(site: Client) -> None:
    added = site.post(f"{USERS}add/", {
        "email": "New@example.org", "role": "nurse", "first_name": "Kim", "last_name": "Example",
        "password1": PASSWORD, "password2": PASSWORD,
    })  # fmt: skip
    assert added.status_code == 302, added.content[:500]
    user = User.objects.get(email="new@example.org")
    assert user.check_password(PASSWORD)
    changed = site.post(f"{USERS}{user.pk}/change/", {"email": user.email, "role": "doctor", "first_name": "Kim"})
    assert changed.status_code == 302
    user.refresh_from_db()
    services.open_session(user)
    new = "another-fine-passphrase"
    body = {"usable_password": "true", "password1": new, "password2": new, "set-password": "1"}
    assert site.post(f"{USERS}{user.pk}/password/", body).status_code == 302
    user.refresh_from_db()
    assert (user.role, user.check_password(new)) == ("doctor", True)
    assert user.login_sessions.live().count() == 0


@pytest.mark.parametrize("role", ["nurse", "receptionist", "doctor"])
def test_other_staff_cannot_change_a_login_there_not_even_the_own(role: str) -> None:
    user = make_user(role)
    client = Client()
    client.force_login(user)
    body = {"email": user.email, "role": "admin"}
    assert client.post(f"{USERS}{user.pk}/change/", body).status_code == 403
    assert client.post(f"{USERS}{user.pk}/password/", body).status_code == 403
    assert client.post(f"{USERS}add/", body).status_code == 403
    client.post(USERS, {"action": "close", "_selected_action": [str(user.pk)]})
    user.refresh_from_db()
    assert (user.role, user.is_active) == (role, True)


def test_logins_are_closed_and_opened_by_post(site: Client) -> None:
    user = make_user("nurse")
    for action, state in (("close", False), ("reopen", True)):
        site.post(USERS, {"action": action, "_selected_action": [str(user.pk)]})
        user.refresh_from_db()
        assert user.is_active is state
    assert AuditLog.objects.filter(resource_id=str(user.pk), action="admin.deactivate").count() == 1
