"""Holds which tokens open the door: ours, fresh, of the right kind, and of a session that lives."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.users import services, tokens
from backend.apps.users.models import LoginSession, User
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
ME = "/api/v1/auth/me/"


def me(token: str, scheme: str = "Bearer") -> Any:
    return APIClient().get(ME, HTTP_AUTHORIZATION=f"{scheme} {token}")


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(payload: dict[str, Any], key: str = settings.JWT_SIGNING_KEY, alg: str = "HS256") -> str:
    return jwt.encode({name: value for name, value in payload.items() if value is not None}, key, algorithm=alg)


def unsigned(payload: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, payload)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


@pytest.fixture
def user() -> User:
    return make_user("nurse")


@pytest.fixture
def access(user: User) -> str:
    return services.open_session(user).access


def test_a_fresh_access_token_opens_the_door(user: User, access: str) -> None:
    answer = me(access)
    assert answer.status_code == 200
    assert answer.data["id"] == str(user.pk)
    assert me(access, "bearer").status_code == 200


def hours(number: int) -> int:
    return int((timezone.now() + timedelta(hours=number)).timestamp())


FORGERIES = {
    "no algorithm": lambda good: unsigned(claims(good)),
    "signed with the web key": lambda good: signed(claims(good), key=settings.SECRET_KEY),
    "signed with a guess": lambda good: signed(claims(good), key="secret" * 10),
    "another algorithm": lambda good: signed(claims(good), key=settings.JWT_SIGNING_KEY * 2, alg="HS512"),
    "expired": lambda good: signed({**claims(good), "exp": hours(-1)}),
    "without an end": lambda good: signed({**claims(good), "exp": None}),
    "an end that is no number": lambda good: signed({**claims(good), "exp": "soon"}),
    "for another audience": lambda good: signed({**claims(good), "aud": "somebody-else"}),
    "without an audience": lambda good: signed({**claims(good), "aud": None}),
    "from another issuer": lambda good: signed({**claims(good), "iss": "somebody-else"}),
    "without an issuer": lambda good: signed({**claims(good), "iss": None}),
    "without a type": lambda good: signed({**claims(good), "token_type": None}),
    "of another type": lambda good: signed({**claims(good), "token_type": "refresh"}),
    "without a session": lambda good: signed({**claims(good), "sid": None}),
    "a session that is no key": lambda good: signed({**claims(good), "sid": "1 OR 1=1"}),
    "a session that is a list": lambda good: signed({**claims(good), "sid": ["x"]}),
    "a session nobody began": lambda good: signed({**claims(good), "sid": "0" * 32}),
    "cut off": lambda good: good[:-1],
    "one letter changed": lambda good: good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:],
    "garbage": lambda _: "garbage",
    "three dots": lambda _: "...",
    "two tokens": lambda good: f"{good} {good}",
    "nothing": lambda _: "",
    "not ASCII": lambda _: "é.ü.ß",
    "100 kB": lambda _: "a" * 100_000,
    "100 kB with dots": lambda _: ".".join(["a" * 33_000] * 3),
    "a deep header": lambda _: base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30." + "a" * 43,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_any_other_token_is_401_and_says_bearer(access: str, forge: Any) -> None:
    answer = me(forge(access))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"].startswith("application/problem+json")


def test_the_forgeries_differ_from_a_good_token_in_one_thing_only(access: str) -> None:
    assert me(signed(claims(access))).status_code == 200


def test_a_refresh_token_is_no_access_token_and_the_other_way_round(user: User) -> None:
    issued = services.open_session(user)
    assert me(issued.refresh).status_code == 401
    answer = APIClient().post("/api/v1/auth/token/refresh/", {"refresh": issued.access})
    assert answer.status_code == 401


def test_the_role_in_a_token_is_not_believed(user: User, access: str) -> None:
    answer = me(signed({**claims(access), "role": "admin", "is_superuser": True, "user_id": "1"}))
    assert answer.data["role"] == "nurse"
    User.objects.filter(pk=user.pk).update(role="pharmacist")
    assert me(access).data["role"] == "pharmacist"


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_deleted": True, "deleted_at": timezone.now()}])
def test_a_login_that_is_closed_or_deleted_is_refused_at_once(user: User, access: str, change: dict[str, Any]) -> None:
    User.objects.filter(pk=user.pk).update(**change)
    assert me(access).status_code == 401


def test_an_access_token_lives_ten_minutes(user: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        issued = services.open_session(user)
        assert issued.expires_in == 600
        clock.shift(599)
        assert me(issued.access).status_code == 200
        clock.shift(2)
        assert me(issued.access).status_code == 401


def test_rotation_never_lengthens_a_session(user: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        issued = services.open_session(user)
        end = claims(issued.refresh)["exp"]
        clock.shift(timedelta(hours=11, minutes=55))
        _, again = services.refresh(issued.refresh)
        assert claims(again.refresh)["exp"] == end
        assert claims(again.access)["exp"] <= end
        assert again.expires_in <= 300
        clock.shift(timedelta(minutes=6))
        with pytest.raises(services.SessionEnded):
            services.refresh(again.refresh)


def test_one_query_finds_session_and_user(user: User, access: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):  # the session with its user; the audit row
        me(access)


def test_use_is_noted_at_most_once_a_minute(access: str) -> None:
    began = LoginSession.objects.get().last_seen_at
    me(access)
    assert LoginSession.objects.get().last_seen_at == began
    earlier = began - timedelta(seconds=61)
    LoginSession.objects.update(last_seen_at=earlier)
    me(access)
    assert LoginSession.objects.get().last_seen_at > earlier


def test_a_token_fits_the_shape_we_accept(user: User) -> None:
    issued = services.open_session(user)
    assert tokens.read_access(issued.access).session_id == tokens.read_refresh(issued.refresh).session_id
    assert len(issued.refresh) < tokens.LONGEST / 2
