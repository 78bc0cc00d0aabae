"""Attacks 11 to 17: becoming somebody else, or staying somebody one no longer is."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.utils import timezone

from backend.apps.users import services
from backend.apps.users.models import LoginSession, User
from backend.apps.users.tests.doors import with_device
from backend.apps.users.tests.factories import make_user
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import put_off
from tests.security.matrix import Practice, make

API = "/api/v1"
ME, REFRESH, LOGOUT, SIGN_IN = (f"{API}/auth/{word}/" for word in ("me", "token/refresh", "logout", "token"))
STAFF_ROLES = ("doctor", "nurse", "receptionist", "lab_tech", "pharmacist")
PASSWORD = "correct horse battery staple 9"


def test_attack_11_nobody_gives_himself_a_role_or_a_right(attack: Attack, mine: Practice) -> None:
    fields: dict[str, Any] = {
        "role": "admin",
        "is_staff": True,
        "is_superuser": True,
        "groups": [1],
        "user_permissions": ["all"],
        "clinic": "x",
        "is_verified": True,
        "email": "root@example.org",
        "password": "x" * 20,
        "token_version": 99,
    }
    for role in ("patient", *STAFF_ROLES):
        login = mine.logins[role]
        for name, value in fields.items():
            attack.call("patch", f"{API}/users/{login.pk}/", json={name: value}, by=login, status={400, 403})
            attack.call("patch", ME, json={name: value}, by=login, status=405)
        attack.call("put", f"{API}/users/{login.pk}/", json=fields, by=login, status=403)
        attack.call(
            "patch", f"{API}/users/{mine.logins['admin'].pk}/", json={"first_name": "x"}, by=login, status={403, 404}
        )
        attack.call(
            "post",
            f"/admin/users/user/{login.pk}/change/",
            data={"role": "admin"},
            by=login,
            pages=True,
            status={302, 403},
        )
    attack.traced("partial_update", outcome="failed", at_least=6)
    attack.traced("update", at_least=6)


def test_attack_12_what_a_machine_writes_and_what_nobody_knows_is_not_taken_from_a_body(
    attack: Attack, mine: Practice
) -> None:
    visit, order = make("appointments", mine), make("lab-orders", mine)
    put_off()
    unknown = ({"created_by": "x"}, {"is_deleted": True}, {"provider_sid": "SM1"}, {"__class__": "x"}, {"pk": 1})
    stated = (
        {"status": "completed"},
        {"version": 99},
        {"checked_in_at": "2026-01-01T00:00:00Z"},
        {"created_at": "2020-01-01"},
        {"cancellation_reason": "x"},
        {"id": "00000000-0000-0000-0000-000000000000"},
    )
    for body in unknown:
        attack.call("patch", f"{API}/appointments/{visit.pk}/", json=body, by=mine.logins["doctor"], status=400)
        attack.call("patch", f"{API}/lab-orders/{order.pk}/", json=body, by=mine.logins["doctor"], status=400)
        attack.call(
            "post", f"{API}/patients/", json={"first_name": "A", **body}, by=mine.logins["receptionist"], status=400
        )
    for body in ({"status": "delivered", "sent_at": "2026-01-01T00:00:00Z"}, {"work_state": "done"}, {"attempts": 0}):
        reminder = f"{API}/appointment-reminders/{visit.pk}/"
        for method in ("patch", "put", "delete"):
            attack.call(method, reminder, json=body, by=mine.logins["admin"], status={403, 405})
    before = type(visit).objects.values().get(pk=visit.pk)
    attack.may_change("appointments_appointment")
    for body in stated:
        attack.call("patch", f"{API}/appointments/{visit.pk}/", json=body, by=mine.logins["doctor"], status={200, 400})
    after = type(visit).objects.values().get(pk=visit.pk)
    assert {name for name in after if after[name] != before[name]} <= {"updated_at"}
    attack.traced("partial_update", outcome="failed", at_least=10)


def test_attack_13_no_way_of_making_or_resetting_a_login_makes_an_administrator(attack: Attack, mine: Practice) -> None:
    body = {"email": "new@example.org", "role": "admin", "password": PASSWORD, "first_name": "N", "last_name": "N"}
    attack.call("post", f"{API}/users/", json=body, status=401)
    for role in ("patient", *STAFF_ROLES):
        login = mine.logins[role]
        for path in (
            "",
            f"{login.pk}/reactivate/",
            f"{mine.logins['admin'].pk}/deactivate/",
            f"{mine.logins['admin'].pk}/sign_out_everywhere/",
        ):
            attack.call("post", f"{API}/users/{path}", json=body if not path else {}, by=login, status={403, 404})
        attack.call("post", "/admin/users/user/add/", data=body, by=login, pages=True, status={302, 403})
    other = {"current_password": "x", "new_password": PASSWORD, "user": str(mine.logins["admin"].pk)}
    attack.call("post", f"{API}/auth/password/", json=other, by=mine.logins["nurse"], status=400)
    attack.call(
        "post",
        f"{API}/auth/password/",
        json={"current_password": "", "new_password": PASSWORD},
        by=mine.logins["nurse"],
        status={400, 401, 403},
    )
    for path in ("/admin/password_reset/", "/admin/reset/x/y/", "/accounts/password/reset/", f"{API}/auth/register/"):
        attack.call("post", path, data={"email": body["email"]}, status={302, 403, 404})
        shown = attack.call("get", path, status={302, 404})  # a form of it would be shown
        assert "/admin/login/" in shown.headers.get("Location", "/admin/login/"), path
    attack.traced("create", at_least=6)
    attack.traced("deactivate")


def is_dead(attack: Attack, tokens: Any, key: str) -> None:
    """Nothing is done with these tokens and this cookie."""
    attack.call("get", ME, token=tokens.access, status=401)
    attack.call("get", f"{API}/patients/", token=tokens.access, status=401)
    attack.call("post", REFRESH, json={"refresh": tokens.refresh}, status=401)
    attack.call("get", "/fhir/R4/Patient", token=tokens.access, status=401)
    for page in ("/admin/", "/console/", f"{API}/patients/"):
        attack.call("get", page, cookies={"sessionid": key}, status={302, 401, 403})


def test_attack_14_a_closed_login_acts_no_more_not_with_any_token_it_still_holds(
    attack: Attack, mine: Practice
) -> None:
    user, left = make_user("nurse"), make_user("nurse")
    held, still = ((services.open_session(one), attack.stack.cookie(one)) for one in (user, left))
    attack.call("get", ME, token=held[0].access, status=200)
    attack.lawful()
    services.deactivate(user, by=None)
    User.objects.filter(pk=left.pk).update(is_active=False, deactivated_at=timezone.now())  # and no session is ended
    is_dead(attack, *held)
    is_dead(attack, *still)
    attack.lawful()
    services.reactivate(user, by=None)
    is_dead(attack, *held)
    attack.traced("refresh")
    attack.traced("list", at_least=1)


def test_attack_15_a_token_of_an_ended_or_rotated_session_is_dead_and_a_second_use_ends_it(
    attack: Attack, mine: Practice
) -> None:
    user = make_user("nurse")
    first = services.open_session(user)
    left = services.open_session(user)
    second = attack.call("post", REFRESH, json={"refresh": first.refresh}, status=200).json()
    attack.call("get", ME, token=second["access"], status=200)
    attack.call("post", REFRESH, json={"refresh": first.refresh}, status=401)  # stolen, and used after its owner
    attack.call("get", ME, token=second["access"], status=401)
    attack.call("post", REFRESH, json={"refresh": second["refresh"]}, status=401)
    attack.call("post", LOGOUT, json={}, token=left.access, status=204)
    attack.call("get", ME, token=left.access, status=401)
    attack.call("post", REFRESH, json={"refresh": left.refresh}, status=401)
    attack.call("post", LOGOUT, json={}, token=left.access, status=401)
    assert set(LoginSession.objects.filter(user=user).values_list("revoked_because", flat=True)) == {"reused", "logout"}
    attack.traced("refresh", at_least=3)
    attack.traced("logout", outcome="allowed")


def test_attack_16_no_way_in_is_weaker_than_the_one_with_a_second_step(attack: Attack, mine: Practice) -> None:
    user = make_user("doctor", password=PASSWORD)
    device, codes = with_device(user)
    given = {"email": user.email, "password": PASSWORD}
    told = [attack.call("post", SIGN_IN, json=given, status=200).json() for _ in range(3)]
    assert all("access" not in one and "refresh" not in one for one in told)
    challenge, another, third = (one["challenge"] for one in told)
    for path in (ME, f"{API}/patients/", "/fhir/R4/Patient"):
        attack.call("get", path, token=challenge, status=401)
        attack.call("get", path, auth=(user.email, PASSWORD), status=401)
    for path in ("mfa/enrol", "mfa/confirm", "mfa/recovery-codes", "password", "token/refresh"):
        attack.call(
            "post", f"{API}/auth/{path}/", json={"refresh": challenge}, token=challenge, status={400, 401, 403, 405}
        )
    page = attack.call("get", "/admin/login/", status=200)
    token = page.cookies["csrftoken"]
    form = {"username": user.email, "password": PASSWORD, "csrfmiddlewaretoken": token}
    entered = attack.call("post", "/admin/login/", data=form, cookies={"csrftoken": token}, status={200, 302})
    [held_by] = [one.lower() for one in entered.raw.headers.getlist("Set-Cookie") if one.startswith("sessionid=")]
    assert {"httponly", "samesite=lax"} <= set(held_by.split("; ")), "no script and no other site gets at it"
    held = {**entered.cookies.get_dict(), "csrftoken": token}
    for path in (
        "/admin/",
        "/admin/patients/patient/",
        "/console/",
        f"{API}/patients/",
        "/fhir/R4/Patient",
        "/admin/login/second-step/",
    ):
        got = attack.call("get", path, cookies=held, status={302, 401, 403})
        assert got.status_code != 302 or "login" in got.headers["Location"], path
    code, answer = device.code(), f"{API}/auth/token/mfa/"
    attack.call("post", answer, json={"challenge": challenge, "code": device.wrong()}, status=401)
    opened = attack.call("post", answer, json={"challenge": challenge, "code": code}, status=200).json()
    attack.call("get", ME, token=opened["access"], status=200)
    for again in (challenge, another):  # the code, and the challenge, a second time
        attack.call("post", answer, json={"challenge": again, "code": code}, status=401)
    attack.call("post", answer, json={"challenge": another, "code": codes[0]}, status=200)
    attack.call("post", answer, json={"challenge": third, "code": codes[0]}, status=401)
    attack.may_change("users_authenticator", "users_recoverycode", "users_user")
    attack.traced("login.code", at_least=3, user_id=user.pk)


def forgeries(good: dict[str, Any], key: str) -> dict[str, str]:
    """Return tokens that look like ours, by what is wrong with them."""
    pair = rsa.generate_private_key(65537, 2048)
    now = int(time.time())

    def signed(head: dict[str, Any] | None = None, with_key: Any = key, alg: str = "HS256", **over: Any) -> str:
        claims = {name: value for name, value in {**good, **over}.items() if value is not None}
        return jwt.encode(claims, with_key, algorithm=alg, headers=head)

    def bare(head: Any, body: Any = good) -> str:
        parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, body))
        return ".".join(parts)

    return {
        **{
            f"alg {name}": bare({"alg": name, "typ": "JWT"}) + end
            for name in ("none", "None", "NONE", "nOnE", "")
            for end in (".", ".AAAA", "")
        },
        "RS256 with a key of one's own": signed(with_key=pair, alg="RS256"),
        "a key beside it (jwk)": signed({"jwk": {"kty": "oct", "k": "AA"}}, with_key="A" * 32),
        "where the key is (jku)": signed({"jku": "http://127.0.0.1:9/keys"}, with_key="A" * 32),
        "a chain beside it (x5u)": signed({"x5u": "http://169.254.169.254/"}, with_key="A" * 32),
        "a key that is a file": signed({"kid": "../../../../dev/null"}, with_key="\0" * 32),
        "a key out of the database": signed({"kid": "x' UNION SELECT 'k"}, with_key="k" * 32),
        "signed with the web key": signed(with_key=settings.SECRET_KEY),
        "signed with a guess": signed(with_key="secret" * 8),
        "signed with the usual key": signed(with_key="development-only-" + "0" * 40),
        "another type": signed(token_type="refresh"),
        "no type": signed(token_type=None),
        "expired": signed(exp=now - 1),
        "no end": signed(exp=None),
        "not yet": signed(nbf=now + 600),
        "other audience": signed(aud="another"),
        "no audience": signed(aud=None),
        "audience among others": signed(aud=["x"]),
        "other issuer": signed(iss="another"),
        "no session": signed(sid=None),
        "a session that is SQL": signed(sid="1' OR 1=1"),
        "huge": signed(more="x" * 1_000_000),
        "deep": bare({"alg": "HS256", "x": [[[[[]]]]]}) + "." + "A" * 43,
        "no token": "x",
        "empty parts": "..",
        "a NUL": "a.b.\x00",
        "many dots": "." * 10_000,
    }


def test_attack_17_a_forged_or_foreign_token_is_refused(attack: Attack, mine: Practice) -> None:
    user = mine.logins["admin"]
    tokens = services.open_session(user)
    good = jwt.decode(tokens.access, options={"verify_signature": False})
    attack.call("get", ME, token=tokens.access, status=200)
    for name, forged in forgeries(good, settings.JWT_SIGNING_KEY).items():
        told = {401} if len(forged) < 30_000 and forged.isprintable() else {400, 401, 431}
        try:
            answer = attack.call("get", ME, headers={"Authorization": f"Bearer {forged}"}, status=told)
        except (ValueError, OSError):  # the client itself does not send it, or was hung up on
            continue
        assert "WWW-Authenticate" in answer.headers or answer.status_code != 401, name
    for path in (ME, "/fhir/R4/Patient"):
        attack.call("get", path, token=tokens.refresh, status=401)
        attack.call("get", f"{path}?access_token={tokens.access}&token={tokens.access}", status=401)
        attack.call("get", path, cookies={"access": tokens.access, "token": tokens.access}, status=401)
        for scheme in ("Basic", "Token", "JWT", "Digest"):
            attack.call("get", path, headers={"Authorization": f"{scheme} {tokens.access}"}, status=401)
    attack.call("post", REFRESH, json={"refresh": tokens.access}, status=401)
    attack.call("get", ME, token=tokens.access, status=200)
    attack.traced("me", at_least=20)
    attack.traced("refresh")
