"""Holds the second step: no door opens by a password alone, and each code opens one once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import F
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.users import second_step, services
from backend.apps.users.models import Authenticator, LoginGuard, LoginNotice, LoginSession, RecoveryCode, User
from backend.apps.users.tests.doors import (
    API,
    CODE,
    LOGIN,
    PASSWORD,
    SET_UP,
    api,
    browser,
    enter,
    tokens_of,
    with_device,
)
from backend.apps.users.tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_to_hash")]
REQUIRED = override_settings(STAFF_MFA="required")


@pytest.fixture
def user() -> User:
    return make_user("doctor", password=PASSWORD)


def actions(user: User, outcome: str = "allowed") -> set[str]:
    return set(AuditLog.objects.filter(user_id=user.pk, outcome=outcome).values_list("action", flat=True))


def notices(user: User) -> list[str]:
    return list(LoginNotice.work.filter(user=user).order_by("created_at").values_list("kind", flat=True))


def opens(token: str, path: str = f"{API}/me/") -> int:
    status: int = api(token).get(path).status_code
    return status


def answer(client: APIClient, challenge: str, code: str) -> Any:
    return client.post(f"{API}/token/mfa/", {"challenge": challenge, "code": code})


def test_a_password_gets_a_challenge_and_only_its_code_gets_tokens(user: User) -> None:
    device, _ = with_device(user)
    web = api()
    first = tokens_of(web, user)
    assert (first.status_code, set(first.data)) == (200, {"challenge", "expires_in"})
    assert opens(first.data["challenge"]) == 401
    assert answer(web, first.data["challenge"], device.wrong()).status_code == 401
    second = answer(web, first.data["challenge"], device.code())
    assert second.status_code == 200, second.data
    assert opens(second.data["access"]) == 200
    assert {"login", "login.code"} <= actions(user)
    assert "login.code" in actions(user, "refused")


def test_a_code_opens_one_door_once_and_so_does_a_challenge(user: User) -> None:
    device, _ = with_device(user)
    web, code = api(), device.code()
    one, other = (tokens_of(web, user).data["challenge"] for _ in range(2))
    assert answer(web, one, code).status_code == 200
    assert answer(web, other, code).status_code == 401
    assert answer(web, one, device.code(1)).status_code == 401
    assert answer(web, other, device.code(1)).status_code == 200
    assert answer(web, tokens_of(web, user).data["challenge"], device.code(0)).status_code == 401  # an earlier one


@pytest.mark.parametrize(("steps", "is_right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(user: User, steps: int, is_right: bool) -> None:
    device, _ = with_device(user)
    with time_machine.travel(timezone.now(), tick=False):
        code = device.code(steps)
        got = answer(api(), tokens_of(api(), user).data["challenge"], code).status_code
    assert got == (200 if is_right else 401)


def test_five_wrong_codes_end_a_challenge_even_for_the_right_one(user: User) -> None:
    device, _ = with_device(user)
    web = api()
    challenge = tokens_of(web, user).data["challenge"]
    for _ in range(services.MOST_CODES):
        assert answer(web, challenge, device.wrong()).status_code == 401
    assert answer(web, challenge, device.code()).status_code == 401
    assert LoginSession.objects.get().revoked_because == "guessed"


def test_too_many_wrong_codes_lock_all_codes_and_the_owner_is_told_once(user: User) -> None:
    device, codes = with_device(user)
    web = api()
    for _ in range(3):
        challenge = tokens_of(web, user).data["challenge"]
        for _ in range(4):
            answer(web, challenge, device.wrong())
    challenge = tokens_of(web, user).data["challenge"]
    refused = [answer(web, challenge, code) for code in (device.code(), codes[0])]
    assert [one.status_code for one in refused] == [401, 401]
    assert notices(user).count("codes_locked") == 1
    services.unlock(user, by=None)
    assert answer(web, challenge, device.code()).status_code == 200


def test_a_recovery_code_counts_once_however_it_is_typed_and_is_stored_nowhere(user: User) -> None:
    _, codes = with_device(user)
    assert len(set(codes)) == 10
    assert not RecoveryCode.objects.filter(digest__in=codes).exists()
    typed = codes[3].upper().replace("-", " ")
    assert answer(api(), tokens_of(api(), user).data["challenge"], typed).status_code == 200
    assert answer(api(), tokens_of(api(), user).data["challenge"], codes[3]).status_code == 401
    assert second_step.standing(user).recovery_codes_left == 9
    assert notices(user) == ["enrolled", "recovered"]


@pytest.mark.parametrize("end", [
    lambda user: services.set_password(user, new="another-fine-passphrase"),
    services.sign_out_everywhere,
    lambda user: services.deactivate(user, by=None),
    lambda user: services.update(user, by=None, role="nurse"),
    lambda _: LoginSession.objects.update(created_at=timezone.now() - timedelta(minutes=6)),
], ids=["password", "everywhere", "closed", "role", "six minutes"])  # fmt: skip
def test_a_challenge_ends_with_what_ends_sign_ins(user: User, end: Any) -> None:
    device, _ = with_device(user)
    challenge = tokens_of(api(), user).data["challenge"]
    end(user)
    assert answer(api(), challenge, device.code()).status_code == 401
    assert not LoginSession.objects.usable().exists()


@pytest.mark.parametrize("challenge", ["", "x", "a:b:c", "a" * 300, None, ["x"], {"a": 1}])
def test_a_challenge_that_is_not_ours_is_refused(challenge: Any) -> None:
    assert answer(api(), challenge, "123456").status_code in {400, 401}


@REQUIRED
def test_staff_without_a_second_step_may_set_one_up_and_nothing_else(user: User) -> None:
    got = tokens_of(api(), user)
    assert got.data["must_enrol"] is True
    web = api(got.data["access"])
    for path in (f"{API}/me/", "/api/v1/patients/", "/api/v1/users/", f"{API}/sessions/", "/fhir/R4/Patient"):
        refused = web.get(path)
        assert refused.status_code == 403, path
        assert "second step" in str(refused.content), path
    assert web.post(f"{API}/password/", {"current_password": PASSWORD, "new_password": "x" * 20}).status_code == 403
    assert web.post(f"{API}/mfa/recovery-codes/", {"code": "123456"}).status_code == 403
    assert web.get(f"{API}/mfa/").data == {"is_set_up": False, "is_required": True, "recovery_codes_left": 0}
    shown = web.post(f"{API}/mfa/enrol/").data
    assert shown["uri"].startswith("otpauth://totp/CareRelay:")
    assert shown["qr"].startswith("<svg")
    device = second_step.pyotp.TOTP(shown["secret"])
    assert web.post(f"{API}/mfa/confirm/", {"code": "000000"}).status_code in {401, 200}
    confirmed = web.post(f"{API}/mfa/confirm/", {"code": device.now()})
    assert len(confirmed.data["recovery_codes"]) == 10
    assert web.get(f"{API}/me/").status_code == 200
    assert set(tokens_of(api(), user).data) == {"challenge", "expires_in"}
    assert {"mfa.enrol", "mfa.confirm"} <= actions(user)
    assert shown["secret"] not in str(list(AuditLog.objects.values()))


@REQUIRED
def test_patients_sign_in_by_password_also_where_staff_may_not() -> None:
    assert set(tokens_of(api(), make_user("patient", password=PASSWORD)).data) == {"access", "refresh", "expires_in"}


def test_another_device_takes_the_password_the_old_code_and_ends_the_other_sign_ins(user: User) -> None:
    old, _ = with_device(user)
    here, there = services.open_session(user), services.open_session(user)
    web = api(here.access)
    assert web.post(f"{API}/mfa/enrol/", {"code": old.code()}).status_code == 400
    assert web.post(f"{API}/mfa/enrol/", {"current_password": PASSWORD}).status_code == 400
    wrong = {"current_password": PASSWORD, "code": old.wrong()}
    assert web.post(f"{API}/mfa/enrol/", wrong).status_code == 401
    shown = web.post(f"{API}/mfa/enrol/", {"current_password": PASSWORD, "code": old.code()}).data
    assert answer(api(), tokens_of(api(), user).data["challenge"], old.code(1)).status_code == 200  # it still counts
    assert api(there.access).post(f"{API}/mfa/confirm/", {"code": "123456"}).status_code == 401  # not shown there
    new = second_step.pyotp.TOTP(shown["secret"])
    assert web.post(f"{API}/mfa/confirm/", {"code": new.now()}).status_code == 200
    assert (opens(here.access), opens(there.access)) == (200, 401)
    assert Authenticator.objects.filter(user=user).count() == 1


def test_new_recovery_codes_need_a_fresh_code_and_void_the_old_ones(user: User) -> None:
    device, old = with_device(user)
    web = api(services.open_session(user).access)
    assert web.post(f"{API}/mfa/recovery-codes/", {"code": device.wrong()}).status_code == 401
    new = web.post(f"{API}/mfa/recovery-codes/", {"code": device.code()}).data["recovery_codes"]
    assert not set(new) & set(old)
    assert answer(api(), tokens_of(api(), user).data["challenge"], old[0]).status_code == 401
    assert answer(api(), tokens_of(api(), user).data["challenge"], new[0]).status_code == 200
    assert "codes" in notices(user)


def test_a_new_password_leaves_the_second_step_where_it_is(user: User) -> None:
    with_device(user)
    services.set_password(user, new="another-fine-passphrase")
    assert set(tokens_of(api(), user, "another-fine-passphrase").data) == {"challenge", "expires_in"}


def test_an_administrator_takes_a_lost_second_step_off_but_not_the_own(user: User) -> None:
    admin = make_user("admin")
    with_device(user)
    issued = services.open_session(user)
    with pytest.raises(DomainError, match="Somebody else"):
        services.reset_second_step(admin, by=admin)
    web = api(services.open_session(admin).access)
    assert web.post(f"/api/v1/users/{user.pk}/reset_second_step/").status_code == 200
    assert opens(issued.access) == 401
    assert set(tokens_of(api(), user).data) == {"access", "refresh", "expires_in"}
    assert notices(user) == ["enrolled", "reset"]
    assert AuditLog.objects.filter(action="reset_second_step", user_id=admin.pk, resource_id=str(user.pk)).exists()


def test_the_pages_ask_for_the_code_too_and_the_cookie_opens_nothing_before(user: User) -> None:
    device, codes = with_device(user)
    for code in (device.code(), codes[0]):
        page = browser()
        asked = enter(page, user, next="/console/")
        assert asked["Location"] == f"{CODE}?next=%2Fconsole%2F"
        before = page.cookies["sessionid"].value
        for path in ("/admin/", "/console/", "/account/", "/admin/password_change/"):
            assert page.get(path)["Location"].startswith(LOGIN), path
        assert page.get(f"{API}/me/").status_code == 401
        shown = page.get(asked["Location"])
        assert "unsafe" not in shown["Content-Security-Policy"]
        assert page.post(CODE, {"code": device.wrong()}).status_code == 401
        assert page.post(CODE, {"code": code, "next": "/console/"})["Location"] == "/console/"
        assert page.get("/console/").status_code == 200
        assert page.cookies["sessionid"].value != before
        assert LoginSession.objects.usable().filter(kind="cookie").exists()


@REQUIRED
def test_the_pages_let_staff_set_up_a_second_step_and_show_the_codes_once(user: User) -> None:
    page = browser()
    assert enter(page, user, next="/console/")["Location"] == f"{SET_UP}?next=%2Fconsole%2F"
    assert page.get("/console/")["Location"].startswith(LOGIN)
    shown = page.get(f"{SET_UP}?next=/console/").content.decode()
    secret = re.search(r'class="key"[^>]*>([A-Z2-7]+)<', shown)[1]  # type: ignore[index]  # it is there
    assert "<svg" in shown
    device = second_step.pyotp.TOTP(secret)
    wrong = page.post(SET_UP, {"code": "12345", "act": "confirm", "next": "/console/"})
    assert (wrong.status_code, secret in wrong.content.decode()) == (401, True)
    done = page.post(SET_UP, {"code": device.now(), "act": "confirm", "next": "/console/"})
    codes = re.findall(r"<li>([a-z2-7-]{27})</li>", done.content.decode())
    assert len(codes) == 10
    assert 'href="/console/"' in done.content.decode()
    assert page.get("/console/").status_code == 200
    assert page.get(SET_UP)["Location"].startswith(LOGIN)
    enter(other := browser(), user)
    assert other.post(CODE, {"code": codes[0]}).status_code == 302


def held(shown: str) -> tuple[Any, str]:
    """Return the device and the ticket of a page that shows a key."""
    key = re.search(r'class="key"[^>]*>([A-Z2-7]+)<', shown)
    ticket = re.search(r'name="ticket" value="([^"]+)"', shown)
    assert key, shown
    assert ticket
    return second_step.pyotp.TOTP(key[1]), ticket[1]


def test_a_key_that_was_left_on_its_page_is_shown_to_nobody_and_opens_nothing(user: User) -> None:
    page, url = browser(), "/account/device/"
    enter(page, user)

    def begun() -> tuple[Any, str]:
        return held(page.post(url, {"act": "begin", "password": PASSWORD}).content.decode())

    device, ticket = begun()
    for wrong in ({}, {"ticket": "x"}, {"ticket": "x" + ticket}):
        for code in ("000000", device.now()):
            refused = page.post(url, {"act": "confirm", "code": code, **wrong})
            assert (refused.status_code, device.secret in refused.content.decode()) == (401, False)
    for leave in ("/account/", url, "begun anew", "late"):
        device, ticket = begun()
        if leave == "begun anew":
            begun()
        elif leave == "late":
            Authenticator.objects.update(created_at=F("created_at") - second_step.WAITS)
        else:
            page.get(leave)
        assert page.post(url, {"act": "confirm", "code": device.now(), "ticket": ticket}).status_code == 401, leave
    assert not second_step.is_set_up(user)


@REQUIRED
def test_a_set_up_that_is_left_for_ten_minutes_begins_with_the_password_again(user: User) -> None:
    web, page = api(tokens_of(api(), user).data["access"]), browser()
    shown = web.post(f"{API}/mfa/enrol/").data
    Authenticator.objects.update(created_at=F("created_at") - second_step.WAITS)
    code = second_step.pyotp.TOTP(shown["secret"]).now()
    assert web.post(f"{API}/mfa/confirm/", {"code": code}).status_code == 401
    enter(page, user)
    LoginSession.objects.update(created_at=F("created_at") - second_step.WAITS)
    assert page.get(SET_UP).status_code == 200, "the device that waits is shown for its own ten minutes"
    assert "Too much time went by" in page.post(SET_UP, {"act": "anew"}).content.decode()
    Authenticator.objects.update(created_at=F("created_at") - second_step.WAITS)
    assert web.post(f"{API}/mfa/enrol/").status_code == 400
    for again in (page.get(SET_UP), page.post(SET_UP, {"act": "anew"}), page.post(SET_UP, {"code": code})):
        assert "Too much time went by" in again.content.decode()
    assert not second_step.is_set_up(user)
    assert web.post(f"{API}/mfa/enrol/", {"current_password": PASSWORD}).status_code == 200


def test_the_account_page_sets_up_changes_and_renews(user: User) -> None:
    page = browser()
    enter(page, user)
    assert "not set up" in page.get("/account/").content.decode()
    assert page.post("/account/device/", {"act": "begin", "password": "wrong"}).status_code == 400
    shown = page.post("/account/device/", {"act": "begin", "password": PASSWORD}).content.decode()
    device, ticket = held(shown)
    assert page.post("/account/device/", {"act": "confirm", "code": "12345", "ticket": ticket}).status_code == 401
    right = {"act": "confirm", "code": device.now(), "ticket": ticket}
    assert b"<li>" in page.post("/account/device/", right).content
    assert "10 recovery codes left" in page.get("/account/").content.decode()
    Authenticator.objects.update(last_used_counter=0)
    assert page.post("/account/recovery-codes/", {"code": "12345"}).status_code == 401
    assert b"<li>" in page.post("/account/recovery-codes/", {"code": device.now()}).content
    for body, told in (
        ({"current": PASSWORD, "new": "another-fine-passphrase", "again": "not-alike"}, "not alike"),
        (
            {"current": "wrong", "new": "another-fine-passphrase", "again": "another-fine-passphrase"},
            "current password",
        ),
        ({"current": PASSWORD, "new": "password1234", "again": "password1234"}, "leak"),
    ):
        refused = page.post("/admin/password_change/", body)
        assert (refused.status_code, told in refused.content.decode()) == (400, True), told
    new = {"current": PASSWORD, "new": "another-fine-passphrase", "again": "another-fine-passphrase"}
    assert page.post("/admin/password_change/", new)["Location"] == "/account/"
    assert page.get("/account/").status_code == 200
    assert enter(browser(), user, "another-fine-passphrase")["Location"] == CODE


def test_forms_of_the_doors_are_refused_without_their_token(user: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert enter(strict, user).status_code == 403
    assert strict.post(CODE, {"code": "123456"}).status_code == 403
    assert not LoginGuard.objects.exists()
    assert LoginSession.objects.count() == 0
