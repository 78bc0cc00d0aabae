"""Holds that guessing ends at a lock that nobody can see from outside, and that its owner hears of it once."""

from __future__ import annotations

import re
import statistics
import time
from datetime import timedelta
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from backend.apps.core.models import AuditLog
from backend.apps.users import guards, services, throttle
from backend.apps.users.hashers import Argon2id
from backend.apps.users.models import LoginGuard, LoginNotice, LoginSession, User
from backend.apps.users.tests.doors import API, CODE, PASSWORD, api, browser, enter, tokens_of, with_device
from backend.apps.users.tests.factories import make_user
from tests.support.clocks import held_minute
from tests.support.pages import signed_in
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
LEAST = {"time_cost": 1, "memory_cost": 64, "parallelism": 1}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for cost, least in LEAST.items():
        monkeypatch.setattr(Argon2id, cost, least)


@pytest.fixture
def user() -> User:
    return make_user("doctor", password=PASSWORD)


def nobody(email: str = "nobody.at.all@example.org") -> User:
    return User(email=email, role="nurse")


def guess(user: User, times: int = guards.MOST) -> None:
    """Guess as many machines would, each from an address of its own."""
    for _ in range(times):
        assert tokens_of(api(), user, "wrong-password-here").status_code == 401


def visible(answer: Any) -> tuple[int, bytes, str]:
    """Return what a caller sees of an answer, without what differs between any two."""
    text = re.sub(
        rb'name="csrfmiddlewaretoken" value="[^"]+"|value="[^"@]+@[^"]+"|"request_id":"[^"]+"', b"", answer.content
    )
    return answer.status_code, text, answer.get("Retry-After", "")


@pytest.mark.usefixtures("quick")
def test_a_locked_login_answers_as_any_wrong_guess_even_to_the_right_password(user: User) -> None:
    for who in (user, nobody()):
        guess(who)
    tries = [(user, PASSWORD), (user, "wrong-password-here"), (nobody(), PASSWORD), (nobody("else@example.org"), "x")]
    for ask in (lambda who, password: tokens_of(api(), who, password), lambda *given: enter(browser(), *given)):
        answers = [visible(ask(*given)) for given in tries]
        assert len(set(answers)) == 1, answers
    assert answers[0][0] == 401
    assert LoginSession.objects.count() == 0
    assert AuditLog.objects.filter(action="login", detail__reason="locked").count() == 3


@pytest.mark.usefixtures("quick")
def test_known_unknown_and_locked_cost_the_same_hash_and_the_same_statements(
    user: User, django_assert_num_queries: Any
) -> None:
    work: list[str] = []
    real = {name: getattr(Argon2id, name) for name in ("encode", "verify")}
    spies = {name: (lambda self, *args, name=name: (work.append(name), real[name](self, *args))[1]) for name in real}
    guess(user, guards.MOST + 1), guess(nobody(), guards.MOST + 1)
    with mock.patch.multiple(Argon2id, **spies):
        for who, password in ((user, PASSWORD), (nobody(), PASSWORD), (make_user(password=PASSWORD), "wrong")):
            work.clear()
            with django_assert_num_queries(2), pytest.raises(services.SignInRefused):  # the count, and the login
                services.prove(who.email, password)
            assert len(work) == 1, work


def test_known_unknown_and_locked_take_about_the_same_time(user: User) -> None:
    locked = make_user(password=PASSWORD)
    LoginGuard.objects.create(
        digest=guards._digest(locked.email, guards.PASSWORD),
        failures=11,
        locked_until=timezone.now() + timedelta(hours=1),
    )

    def took(email: str, password: str) -> float:
        began = time.thread_time()  # what others do on this machine does not count
        with pytest.raises(services.SignInRefused):
            services.prove(email, password)
        return time.thread_time() - began

    asked = {
        "known": (user.email, "wrong"),
        "unknown": ("nobody@example.org", "wrong"),
        "locked": (locked.email, PASSWORD),
    }
    medians = {name: statistics.median(took(*given) for _ in range(5)) for name, given in asked.items()}
    assert max(medians.values()) < 3 * min(medians.values()), medians  # without a hash it is a hundredth


@pytest.mark.usefixtures("quick")
def test_the_owner_is_told_once_and_the_lock_is_written_down_once(user: User) -> None:
    guess(user, guards.MOST + 5), guess(nobody(), guards.MOST + 5)
    assert list(LoginNotice.work.filter(user=user).values_list("kind", flat=True)) == ["locked"]
    assert LoginNotice.work.count() == 2  # nobody is told of the other, at the same price
    assert AuditLog.objects.filter(action="sign_in.locked").count() == 2
    assert not LoginGuard.objects.filter(digest__contains=user.email).exists()


@pytest.mark.usefixtures("quick")
def test_a_lock_ends_by_itself_and_guessing_on_does_not_lengthen_it(user: User) -> None:
    guess(user, guards.MOST + 5)
    first = LoginGuard.objects.get().locked_until
    assert first is not None
    guess(user, 5)
    assert LoginGuard.objects.get().locked_until == first
    LoginGuard.objects.update(locked_until=F("locked_until") - guards.LOCKED_FOR)
    assert tokens_of(api(), user).status_code == 200
    assert LoginGuard.objects.count() == 0


@pytest.mark.usefixtures("quick")
def test_failures_of_long_ago_do_not_count_and_a_right_password_forgets_them(user: User) -> None:
    guess(user, guards.MOST - 1)
    assert tokens_of(api(), user).status_code == 200
    guess(user, guards.MOST - 1)
    LoginGuard.objects.update(began_at=F("began_at") - guards.WINDOW)
    guess(user, 1)
    assert tokens_of(api(), user).status_code == 200


@pytest.mark.usefixtures("quick")
def test_an_administrator_and_a_command_unlock(user: User) -> None:
    admin = api(services.open_session(make_user("admin")).access)
    for unlock in (
        lambda: admin.post(f"/api/v1/users/{user.pk}/unlock/"),
        lambda: call_command("unlock", user.email.upper(), stdout=StringIO()),
    ):
        guess(user, guards.MOST + 1)
        assert tokens_of(api(), user).status_code == 401
        unlock()
        assert tokens_of(api(), user).status_code == 200
    assert AuditLog.objects.filter(action="unlock", resource_id=str(user.pk)).count() == 2
    nurse = api(services.open_session(make_user("nurse")).access)
    assert nurse.post(f"/api/v1/users/{user.pk}/unlock/").status_code in {403, 404}


@pytest.mark.usefixtures("quick")
def test_who_guesses_in_an_open_sign_in_loses_it_before_the_login_is_locked(user: User) -> None:
    given = {"current_password": "wrong", "new_password": "another-fine-passphrase"}
    right = {"current_password": PASSWORD, "new_password": "short"}
    web = api(services.open_session(user).access)
    for body in (*[given] * 4, right, *[given] * 4):
        assert web.post(f"{API}/password/", body).status_code == 400, "a right one begins the count anew"
    assert [web.post(f"{API}/password/", body).status_code for body in (given, right)] == [401, 401]
    assert LoginSession.objects.get().revoked_because == "guessed"
    assert AuditLog.objects.get(detail__reason="guessed").user_id == user.pk
    device, _ = with_device(user)
    page = signed_in(user)
    for path, form in (
        ("/account/device/", {"act": "begin", "password": "wrong", "code": device.code()}),
        ("/account/recovery-codes/", {"code": device.wrong()}),
        ("/admin/password_change/", {"current": "wrong", "new": "a" * 12, "again": "a" * 12}),
        ("/account/device/", {"act": "begin", "password": PASSWORD, "code": device.wrong()}),
        ("/account/device/", {"act": "begin", "password": "wrong", "code": device.code()}),
    ):
        assert page.post(path, form).status_code in {400, 401}, path
    assert page.get("/account/").status_code == 302
    assert tokens_of(api(), user).status_code == 200, "the owner signs in again"


@pytest.mark.usefixtures("quick")
def test_an_empty_field_of_a_proof_is_told_of_and_is_no_guess(user: User) -> None:
    web, page = api(services.open_session(user).access), signed_in(user)
    new = {"new": "another-fine-passphrase", "again": "another-fine-passphrase"}
    for body in ({}, {"current_password": ""}):
        answer = web.post(f"{API}/mfa/enrol/", body)
        assert (answer.status_code, [each["field"] for each in answer.data["errors"]]) == (400, ["current_password"])
    assert page.post("/account/device/", {"act": "begin", "password": ""}).status_code == 400
    assert page.post("/admin/password_change/", {"current": "", **new}).status_code == 400
    assert page.post("/account/recovery-codes/", {"code": ""}).status_code == 400
    assert not LoginGuard.objects.exists()
    assert not LoginSession.objects.filter(wrong_codes__gt=0).exists()
    assert page.get("/account/").status_code == 200
    assert web.post(f"{API}/mfa/enrol/", {"current_password": PASSWORD}).status_code == 200


@pytest.mark.usefixtures("quick")
def test_guesses_in_open_sign_ins_count_for_the_login_too(user: User) -> None:
    given = {"current_password": "wrong", "new_password": "another-fine-passphrase"}
    for _ in range(2):
        web = api(services.open_session(user).access)
        for _ in range(5):
            web.post(f"{API}/password/", given)
    assert tokens_of(api(), user).status_code == 401
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.usefixtures("quick")
def test_one_address_that_tries_many_logins_is_slowed_down_at_every_door() -> None:
    with held_minute():
        web, page = api(), browser()
        page.defaults["REMOTE_ADDR"] = web.defaults["REMOTE_ADDR"]
        for number in range(throttle.BY_ADDRESS.most):
            assert tokens_of(web, nobody(f"nobody.{number}@example.org")).status_code == 401
        user = make_user("nurse", password=PASSWORD)
        slowed = tokens_of(web, user), enter(page, user)
        assert [answer.status_code for answer in slowed] == [429, 429]
        assert all(1 <= int(answer["Retry-After"]) <= 60 for answer in slowed)
        assert tokens_of(api(), user).status_code == 200
    assert not LoginGuard.objects.filter(failures__gt=1).exists()


@pytest.mark.usefixtures("quick")
def test_who_is_slowed_down_is_written_down_with_the_login_that_was_tried_by_the_same_statements(
    user: User, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_device(user)
    challenge, page = tokens_of(api(), user).data["challenge"], browser()
    enter(page, user)
    last = AuditLog.objects.count()
    monkeypatch.setattr(throttle, "attempt", lambda *_, **__: 30)
    for who in (user, nobody()):
        with django_assert_num_queries(2):  # the login, and the audit row
            tokens_of(api(), who)
        with django_assert_num_queries(2):
            enter(browser(), who)
    for text in (challenge, "no challenge"):
        assert api().post(f"{API}/token/mfa/", {"challenge": text, "code": "123456"}).status_code == 429
    page.post(CODE, {"code": "123456"})
    rows = AuditLog.objects.order_by("timestamp")[last:]
    assert [(row.action, row.resource_id, row.detail["reason"]) for row in rows] == [
        ("login", str(user.pk), "throttled"),
        ("admin.login", str(user.pk), "throttled"),
        ("login", "", "throttled"),
        ("admin.login", "", "throttled"),
        ("login.code", str(user.pk), "throttled"),
        ("login.code", "", "throttled"),
        ("admin.login.code", str(user.pk), "throttled"),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
def test_many_guesses_at_the_same_moment_are_each_counted() -> None:
    user = make_user(password=PASSWORD)
    at_once(*[lambda: services.prove(user.email, "wrong") for _ in range(6)])
    at_once(*[lambda: services.prove(user.email, "wrong") for _ in range(6)])
    assert LoginGuard.objects.get().failures == 12
    assert LoginNotice.work.count() == 1


def test_right_passwords_count_for_nothing_however_many_are_judged_at_the_same_moment(user: User) -> None:
    for _ in range(guards.MOST + 2):  # none was forgiven before the next was counted
        assert not guards.count(user.email, guards.PASSWORD, user, is_wrong=False)
    for _ in range(guards.MOST - 1):
        guards.count(user.email, guards.PASSWORD, user, is_wrong=True)
    assert tokens_of(api(), user).status_code == 200
    assert (LoginGuard.objects.count(), LoginNotice.work.count()) == (0, 0)


def test_a_right_password_forgets_failures_but_no_lock_and_a_person_opens_that(user: User) -> None:
    for _ in range(guards.MOST):
        guards.count(user.email, guards.PASSWORD, user, is_wrong=True)
    guards.forgive(user.email, guards.PASSWORD)  # of a right one that was judged before the last guess
    assert tokens_of(api(), user).status_code == 401
    guards.clear(user.email, guards.PASSWORD)
    assert tokens_of(api(), user).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_cannot_be_told_of_does_not_begin() -> None:
    gone = User(email="gone@example.org", role="nurse")
    for _ in range(guards.MOST - 1):
        guards.count(gone.email, guards.PASSWORD, gone, is_wrong=True)
    with pytest.raises(IntegrityError):  # there is no such row to tell of
        guards.count(gone.email, guards.PASSWORD, gone, is_wrong=True)
    assert LoginGuard.objects.get().failures == guards.MOST - 1
    assert guards.count(gone.email, guards.PASSWORD, None, is_wrong=True) is False
    assert LoginNotice.work.count() == 1
    assert guards.count(gone.email, guards.PASSWORD, None, is_wrong=False) is True


@pytest.mark.usefixtures("quick")
def test_a_refused_sign_in_names_the_login_by_its_id_and_an_unknown_one_by_nothing(user: User) -> None:
    for who in (user, nobody()):
        tokens_of(api(), who, "wrong-password-here")
        enter(browser(), who, "wrong-password-here")
    patient = make_user("patient", password=PASSWORD)
    enter(browser(), patient)
    rows = AuditLog.objects.filter(outcome="refused")
    told = list(rows.order_by("timestamp").values_list("action", "resource_id", "user_id"))
    assert told == [
        ("login", str(user.pk), None),
        ("admin.login", str(user.pk), None),
        ("login", "", None),
        ("admin.login", "", None),
        ("admin.login", str(patient.pk), None),
    ]
    assert "nobody.at.all" not in str(list(rows.values()))


@pytest.mark.usefixtures("quick")
def test_the_command_takes_a_second_step_off_and_lists_who_has_none(user: User) -> None:
    with_device(user)
    told = StringIO()
    call_command("mfa", "missing", stdout=told)
    assert user.email not in told.getvalue()
    call_command("mfa", "reset", user.email, stdout=told)
    call_command("mfa", "missing", stdout=told)
    assert user.email in told.getvalue()
    assert set(tokens_of(api(), user).data) == {"access", "refresh", "expires_in"}
    assert AuditLog.objects.filter(action="mfa.reset", resource_id=str(user.pk)).exists()
    with pytest.raises(CommandError, match="no login"):
        call_command("mfa", "reset", "nobody@example.org")


@override_settings(STAFF_MFA="optional")
def test_the_deployment_check_counts_staff_without_a_second_step(user: User) -> None:
    def warned() -> list[str]:
        return [
            found.msg
            for found in run_checks(tags=["security"], include_deployment_checks=True)
            if found.id == "users.W001"
        ]

    assert warned() == ["1 member of the staff signs in by a password alone."]
    with_device(user)
    assert warned() == []
