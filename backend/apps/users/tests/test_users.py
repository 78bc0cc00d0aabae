"""Holds who sees and changes which login, and that the database keeps e-mail addresses apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/users/"


class TestUsersContract(ApiContract):
    url = URL

    def make(self) -> User:
        return make_user()


@pytest.mark.parametrize("role", Role.values)
def test_the_role_gives_the_four_properties(role: str) -> None:
    user = User(role=role)
    assert user.is_admin == (role == "admin")
    assert user.is_doctor == (role == "doctor")
    assert user.is_patient == (role == "patient")
    assert user.is_staff_member == (role != "patient")
    assert user.is_superuser == (role == "admin")


def test_an_e_mail_address_belongs_to_one_login_whatever_its_case() -> None:
    make_user(email="robin@example.org")
    for email in ("robin@example.org", "Robin@Example.ORG"):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.bulk_create([User(email=email, role="nurse")])
    answer = client_for(make_user("admin")).post(URL, {"email": "ROBIN@example.org", "role": "nurse"})
    assert answer.status_code == 400
    assert User.objects.filter(email__iexact="robin@example.org").count() == 1


@pytest.mark.parametrize(
    "fields",
    [{"role": "superhero"}, {"phone": "555-0100"}, {"is_deleted": True}, {"email": "UPPER@example.org"}],
    ids=str,
)
def test_the_database_refuses_what_python_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(**{"email": "new@example.org", "role": "nurse", **fields})])


@pytest.mark.parametrize("role", sorted(set(Role.values) - {"admin"}))
def test_everybody_but_the_administrator_finds_only_the_own_row(role: str) -> None:
    own, other = make_user(role), make_user("admin")
    api = client_for(own)
    assert [row["id"] for row in api.get(URL).data["results"]] == [str(own.pk)]
    assert api.get(f"{URL}{other.pk}/").status_code == 404
    assert api.patch(f"{URL}{other.pk}/", {"first_name": "X"}).status_code == 404


def test_a_user_changes_the_own_names_and_phone_number() -> None:
    user = make_user("patient")
    answer = client_for(user).patch(f"{URL}{user.pk}/", {"first_name": "Kim", "phone": "+14155550123"})
    assert answer.status_code == 200, answer.data
    user.refresh_from_db()
    assert (user.first_name, user.phone) == ("Kim", "+14155550123")


@pytest.mark.parametrize(
    "change",
    [
        {"role": "admin"},
        {"first_name": "Kim", "role": "admin"},
        {"is_verified": True},
        {"is_active": True},
        {"email": "someone.else@example.org"},
        {"date_of_birth": "1990-01-01"},
        {"is_superuser": True},
        {"is_staff": True},
        {"password": "another-fine-passphrase"},
        {"groups": [1]},
        {"deactivated_at": None},
        {"id": "0197a2f0-0000-7000-8000-000000000000"},
    ],
    ids=str,
)
def test_nothing_else_can_be_raised_by_oneself(change: dict[str, Any]) -> None:
    user = make_user("nurse", is_verified=False)
    before = User.objects.filter(pk=user.pk).values().get()
    answer = client_for(user).patch(f"{URL}{user.pk}/", change)
    after = User.objects.filter(pk=user.pk).values().get()
    before.pop("updated_at"), after.pop("updated_at")
    assert after == before
    assert answer.status_code in {400, 403} or set(change) <= {"is_active", "deactivated_at", "id"}


@pytest.mark.parametrize("verb", ["deactivate", "reactivate", "sign_out_everywhere"])
def test_only_the_administrator_opens_and_closes_logins(verb: str) -> None:
    user = make_user("doctor")
    assert client_for(user).post(f"{URL}{user.pk}/{verb}/").status_code == 403
    assert client_for(user).put(f"{URL}{user.pk}/", {"email": user.email, "role": "admin"}).status_code == 403
    assert client_for(user).post(URL, {"email": "new@example.org", "role": "admin"}).status_code == 403
    assert client_for(make_user("admin")).delete(f"{URL}{user.pk}/").status_code in {403, 405}
    assert User.objects.filter(pk=user.pk, is_active=True, role="doctor").exists()


def test_the_administrator_adds_closes_and_opens_a_login() -> None:
    admin = make_user("admin")
    api = client_for(admin)
    body = {"email": "New.Nurse@example.org", "role": "nurse", "password": "a-passphrase-for-now"}
    made = api.post(URL, body)
    assert made.status_code == 201, made.data
    assert "password" not in made.data
    user = User.objects.get(email="new.nurse@example.org")
    assert user.check_password("a-passphrase-for-now")
    closed = api.post(f"{URL}{user.pk}/deactivate/", {"reason": "on leave"})
    assert (closed.status_code, closed.data["is_active"], closed.data["deactivated_because"]) == (
        200,
        False,
        "on leave",
    )
    assert api.post(f"{URL}{user.pk}/reactivate/").data["is_active"] is True
    verbs = AuditLog.objects.filter(user_id=admin.pk, resource_id=str(user.pk)).values_list("action", flat=True)
    assert set(verbs) == {"create", "deactivate", "reactivate"}


def test_a_login_without_a_password_lets_nobody_in() -> None:
    client_for(make_user("admin")).post(URL, {"email": "new@example.org", "role": "nurse"})
    assert not User.objects.get(email="new@example.org").has_usable_password()


@pytest.mark.parametrize("password", ["short", "password1234", "123456789012", "new.nurse@example"])
def test_a_weak_password_is_refused_and_adds_nobody(password: str) -> None:
    body = {"email": "new.nurse@example.org", "role": "nurse", "password": password}
    assert client_for(make_user("admin")).post(URL, body).status_code == 400
    assert not User.objects.filter(email="new.nurse@example.org").exists()


def test_a_changed_role_holds_at_the_next_request() -> None:
    admin, user = make_user("admin"), make_user("nurse")
    answer = client_for(admin).patch(f"{URL}{user.pk}/", {"role": "pharmacist"})
    assert answer.data["role"] == "pharmacist"
    user.refresh_from_db()
    assert user.role == "pharmacist"


def test_a_deleted_login_keeps_its_row_but_is_found_nowhere() -> None:
    user = make_user()
    user.delete()
    assert not User.objects.filter(pk=user.pk).exists()
    assert User.all_objects.filter(pk=user.pk, is_deleted=True).exists()
