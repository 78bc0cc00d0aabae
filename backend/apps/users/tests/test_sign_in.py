"""Holds the way in and out: one refusal for every wrong guess, rotation, reuse, logout and deactivation at once."""

from __future__ import annotations

import ipaddress
import random
import uuid
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings
from rest_framework.test import APIClient

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.users import services, throttle
from backend.apps.users.hashers import Argon2id
from backend.apps.users.models import LoginSession, User
from backend.apps.users.tests.factories import make_user
from tests.support.clocks import held_minute

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_to_hash")]
PASSWORD = "correct-horse-battery-staple"
TOKEN, REFRESH, LOGOUT, ME, CHANGE = (
    f"/api/v1/auth/{name}/" for name in ("token", "token/refresh", "logout", "me", "password")
)


@pytest.fixture
def web() -> APIClient:
    """A caller with an address of his own, since failures are counted by address."""
    return APIClient(REMOTE_ADDR=str(ipaddress.IPv4Address(random.getrandbits(32))))


@pytest.fixture
def minute() -> Iterator[None]:
    with held_minute():
        yield


@pytest.fixture
def user() -> User:
    return make_user("doctor", password=PASSWORD)


def nobody() -> str:
    """Return an address without a login; a new one each time, since Redis counts guesses longer than a test lasts."""
    return f"nobody.{uuid.uuid4().hex[:12]}@example.org"


def sign_in(web: APIClient, email: str, password: str = PASSWORD) -> Any:
    return web.post(TOKEN, {"email": email, "password": password})


def me(token: str) -> int:
    return APIClient().get(ME, HTTP_AUTHORIZATION=f"Bearer {token}").status_code


def test_the_right_password_gets_tokens_that_work(web: APIClient, user: User) -> None:
    answer = sign_in(web, user.email.upper())
    assert answer.status_code == 200
    assert set(answer.data) == {"access", "refresh", "expires_in"}
    assert me(answer.data["access"]) == 200
    user.refresh_from_db()
    assert user.last_login is not None
    assert AuditLog.objects.filter(action="login", outcome="allowed", user_id=user.pk).count() == 1


def refusals(web: APIClient, user: User) -> dict[str, Any]:
    closed = make_user(password=PASSWORD, is_active=False)
    deleted = make_user(password=PASSWORD)
    deleted.delete()
    return {
        "wrong": sign_in(web, user.email, "wrong-password-here"),
        "unknown": sign_in(web, nobody()),
        "closed": sign_in(web, closed.email),
        "deleted": sign_in(web, deleted.email),
        "without a password": sign_in(web, make_user().email, "!"),
    }


def test_every_wrong_guess_gets_the_same_refusal(web: APIClient, user: User) -> None:
    answers = refusals(web, user)
    assert {answer.status_code for answer in answers.values()} == {401}
    assert len({answer.content for answer in answers.values()}) == 1
    assert all(answer["WWW-Authenticate"].startswith("Bearer") for answer in answers.values())
    assert LoginSession.objects.count() == 0
    assert AuditLog.objects.filter(action="login", outcome="refused").count() == len(answers)


def test_every_wrong_guess_costs_one_password_hash(web: APIClient, user: User) -> None:
    work: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2id, name)
        spy = lambda self, *args, real=real, name=name: (work.append(name), real(self, *args))[1]  # noqa: E731  # binds the loop's values
        mock.patch.object(Argon2id, name, spy).start()
    try:
        for email in (user.email, nobody(), make_user().email):
            work.clear()
            sign_in(web, email, "wrong-password-here")
            assert len(work) == 1, (email == user.email, work)
    finally:
        mock.patch.stopall()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@example.org"},
        {"email": "a@example.org", "password": ["x"]},
        {"email": {"$ne": ""}, "password": "x"},
        {"email": "a\x00@example.org", "password": "x"},
        {"email": "a" * 255, "password": "x"},
        {"email": "a@example.org", "password": "x" * 257},
        {"email": "a@example.org", "password": "x", "role": "admin"},
        [],
        "text",
    ],
)
def test_a_malformed_sign_in_is_400(web: APIClient, body: Any) -> None:
    assert web.post(TOKEN, body).status_code == 400


def test_a_refresh_token_is_traded_for_new_tokens(web: APIClient, user: User) -> None:
    first = sign_in(web, user.email).data
    second = web.post(REFRESH, {"refresh": first["refresh"]})
    assert second.status_code == 200
    assert me(second.data["access"]) == 200
    assert LoginSession.objects.count() == 1
    assert web.post(REFRESH, {"refresh": second.data["refresh"]}).status_code == 200


def test_a_refresh_token_used_twice_ends_the_session_of_thief_and_owner(web: APIClient, user: User) -> None:
    first = sign_in(web, user.email).data
    second = web.post(REFRESH, {"refresh": first["refresh"]}).data
    assert web.post(REFRESH, {"refresh": first["refresh"]}).status_code == 401
    assert me(second["access"]) == 401
    assert web.post(REFRESH, {"refresh": second["refresh"]}).status_code == 401
    assert LoginSession.objects.get().revoked_because == "reused"


@pytest.mark.parametrize("text", ["", "garbage", "a.b.c", "a" * 100_000, None, 5, ["x"]])
def test_a_bad_refresh_token_is_refused(web: APIClient, text: Any) -> None:
    assert web.post(REFRESH, {"refresh": text}, format="json").status_code in {400, 401}


def test_logout_kills_the_access_token_at_once_and_no_other(web: APIClient, user: User) -> None:
    here, there = sign_in(web, user.email).data, sign_in(web, user.email).data
    answer = web.post(LOGOUT, HTTP_AUTHORIZATION=f"Bearer {here['access']}")
    assert answer.status_code == 204
    assert me(here["access"]) == 401
    assert web.post(REFRESH, {"refresh": here["refresh"]}).status_code == 401
    assert me(there["access"]) == 200
    assert AuditLog.objects.filter(action="logout", outcome="allowed", user_id=user.pk).count() == 1


def test_logout_everywhere_kills_every_session(web: APIClient, user: User) -> None:
    here, there = sign_in(web, user.email).data, sign_in(web, user.email).data
    web.post(LOGOUT, {"everywhere": True}, HTTP_AUTHORIZATION=f"Bearer {here['access']}")
    assert me(here["access"]) == me(there["access"]) == 401


def test_closing_a_login_kills_its_tokens_at_once_and_twice_is_harmless(web: APIClient, user: User) -> None:
    admin = make_user("admin")
    issued = sign_in(web, user.email).data
    services.deactivate(user, by=admin, reason="left the practice")
    first = user.deactivated_at
    services.deactivate(user, by=admin, reason="again")
    user.refresh_from_db()
    assert (user.is_active, user.deactivated_at, user.deactivated_because) == (False, first, "left the practice")
    assert me(issued["access"]) == 401
    assert web.post(REFRESH, {"refresh": issued["refresh"]}).status_code == 401
    assert sign_in(web, user.email).status_code == 401


def test_opening_a_login_again_does_not_bring_its_old_tokens_back(web: APIClient, user: User) -> None:
    issued = sign_in(web, user.email).data
    services.deactivate(user, by=None)
    services.reactivate(user, by=None)
    assert me(issued["access"]) == 401
    assert sign_in(web, user.email).status_code == 200


def test_the_password_of_a_closed_login_proves_nothing() -> None:
    with pytest.raises(services.SignInRefused):
        services.prove(make_user(password=PASSWORD, is_active=False).email, PASSWORD)


def test_a_login_closed_between_password_and_session_gets_no_session(user: User) -> None:
    proven = services.prove(user.email, PASSWORD)
    services.deactivate(user, by=None)
    with pytest.raises(services.SignInRefused):
        services.open_session(proven)


def test_the_last_administrator_cannot_be_closed_or_demoted() -> None:
    one, other = make_user("admin"), make_user("admin")
    services.deactivate(one, by=None)
    for take_away in (
        lambda: services.deactivate(other, by=None),
        lambda: services.update(other, by=None, role="nurse"),
    ):
        with pytest.raises(DomainError, match="at least one"):
            take_away()
    other.refresh_from_db()
    assert (other.role, other.is_active) == ("admin", True)


def test_nobody_closes_the_own_login() -> None:
    admin = make_user("admin")
    make_user("admin")
    with pytest.raises(DomainError, match="your own"):
        services.deactivate(admin, by=admin)


def test_a_new_password_ends_the_other_sessions(web: APIClient, user: User) -> None:
    here, there = sign_in(web, user.email).data, sign_in(web, user.email).data
    body = {"current_password": PASSWORD, "new_password": "another-fine-passphrase"}
    answer = web.post(CHANGE, body, HTTP_AUTHORIZATION=f"Bearer {here['access']}")
    assert answer.status_code == 204
    assert me(here["access"]) == 200
    assert me(there["access"]) == 401
    assert sign_in(web, user.email).status_code == 401
    assert sign_in(web, user.email, "another-fine-passphrase").status_code == 200


@pytest.mark.parametrize(
    ("current", "new"), [("wrong-password", "another-fine-passphrase"), (PASSWORD, "a-b-c"), (PASSWORD, "123456789012")]
)
def test_a_wrong_or_weak_password_changes_nothing(web: APIClient, user: User, current: str, new: str) -> None:
    token = sign_in(web, user.email).data["access"]
    answer = web.post(CHANGE, {"current_password": current, "new_password": new}, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 400
    assert new not in answer.content.decode()
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.usefixtures("minute")
def test_too_many_failures_from_one_address_are_429(web: APIClient) -> None:
    answers = [web.post(REFRESH, {"refresh": "garbage"}).status_code for _ in range(throttle.BY_ADDRESS.most + 1)]
    assert answers == [401] * throttle.BY_ADDRESS.most + [429]


def test_an_ipv6_customer_is_counted_as_one() -> None:
    assert throttle.network("2001:db8::1") == throttle.network("2001:db8::ffff:2") != throttle.network("2001:db9::1")
    assert throttle.network("not an address") == "unknown"


@pytest.mark.usefixtures("minute")
def test_redis_holds_no_address_in_clear(web: APIClient, user: User) -> None:
    sign_in(web, user.email, "wrong")
    client, address = cache._cache.get_client(), web.defaults["REMOTE_ADDR"]
    counted = client.exists(cache.make_key(throttle._key(throttle.BY_ADDRESS, address)))
    keys = [key.decode() for key in client.keys("*throttle*")]
    assert counted
    assert not any(user.email in key or address in key for key in keys)


def test_sign_in_works_while_redis_is_away(web: APIClient, user: User, caplog: pytest.LogCaptureFixture) -> None:
    away = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    with override_settings(CACHES=away):
        assert sign_in(web, user.email).status_code == 200
    assert "throttle is off" in caplog.text
    assert user.email not in caplog.text
