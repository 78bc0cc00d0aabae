"""Holds that whatever ends a sign-in ends its tokens and its cookies at once, and that nobody stays in for ever."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.users import second_step, services, tokens
from backend.apps.users.models import LoginNotice, LoginSession, Stage, User
from backend.apps.users.tests.doors import API, LOGIN, LOGOUT, PASSWORD, api, browser, enter, tokens_of, with_device
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in
from tests.support.races import wait_until_waited_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_to_hash")]
ME = f"{API}/me/"


@pytest.fixture
def user() -> User:
    return make_user("nurse", password=PASSWORD)


ENDS = {
    "password": ("password", lambda user: services.set_password(user, new="another-fine-passphrase")),
    "everywhere": ("everywhere", services.sign_out_everywhere),
    "closed": ("deactivated", lambda user: services.deactivate(user, by=None)),
    "role": ("role", lambda user: services.update(user, by=None, role="doctor")),
    "second step": ("second_step", lambda user: services.reset_second_step(user, by=None)),
}


@pytest.mark.parametrize(("why", "end"), ENDS.values(), ids=ENDS)
def test_what_ends_a_sign_in_ends_tokens_and_cookies_at_once(user: User, why: str, end: Any) -> None:
    issued, page = services.open_session(user), browser()
    enter(page, user)
    assert (api(issued.access).get(ME).status_code, page.get("/admin/").status_code) == (200, 200)
    end(user)
    assert (api(issued.access).get(ME).status_code, page.get("/admin/").status_code) == (401, 302)
    assert page.get(ME).status_code == 401
    assert api().post(f"{API}/token/refresh/", {"refresh": issued.refresh}).status_code == 401
    assert set(LoginSession.objects.values_list("revoked_because", flat=True)) == {why}


def test_a_name_that_changes_ends_nothing(user: User) -> None:
    issued = services.open_session(user)
    services.update(user, by=None, first_name="Kim", role=user.role)
    assert api(issued.access).get(ME).status_code == 200


@pytest.mark.parametrize(("field", "back", "why"), [
    ("last_seen_at", timedelta(minutes=15, seconds=1), "idle"),
    ("created_at", timedelta(hours=12, seconds=1), "expired"),
])  # fmt: skip
def test_a_sign_in_ends_when_it_is_left_alone_or_a_day_is_over(
    user: User, field: str, back: timedelta, why: str
) -> None:
    issued, page = services.open_session(user), browser()
    enter(page, user)
    LoginSession.objects.update(**{field: F(field) - back + timedelta(seconds=31)})
    assert (api(issued.access).get(ME).status_code, page.get("/admin/").status_code) == (200, 200)
    LoginSession.objects.update(**{field: timezone.now() - back})
    assert (api(issued.access).get(ME).status_code, page.get("/admin/").status_code) == (401, 302)
    assert api().post(f"{API}/token/refresh/", {"refresh": issued.refresh}).status_code == 401
    assert page.get("/admin/").status_code == 302
    assert set(LoginSession.objects.values_list("revoked_because", flat=True)) == {why}
    assert AuditLog.objects.filter(action="session.timeout", user_id=user.pk, detail__why=why).count() == 2
    assert "You were signed out" in page.get(LOGIN).content.decode()


def test_a_page_that_asks_by_itself_keeps_nobody_signed_in(user: User) -> None:
    page = signed_in(make_user("admin"))
    for header, moves in (({"X-Poll": "1"}, False), ({}, True)):
        LoginSession.objects.update(last_seen_at=F("last_seen_at") - timedelta(minutes=5))
        before = LoginSession.objects.get().last_seen_at
        assert page.get("/console/numbers/", headers=header).status_code == 200
        assert (LoginSession.objects.get().last_seen_at > before) is moves
    assert b'"X-Poll"' in page.get("/console/").content


@override_settings(IDLE_MIN=1.0)
def test_a_short_limit_still_sees_who_is_at_work(user: User) -> None:
    issued = services.open_session(user)
    LoginSession.objects.update(last_seen_at=F("last_seen_at") - timedelta(seconds=50))
    assert api(issued.access).get(ME).status_code == 200
    assert LoginSession.objects.get().last_seen_at > timezone.now() - timedelta(seconds=30)


def test_signing_out_clears_the_browser_and_ends_one_sign_in(user: User) -> None:
    page, other = browser(), browser()
    enter(page, user), enter(other, user)
    kept = page.cookies["sessionid"].value
    out = page.post(LOGOUT)
    assert (out.status_code, out["Clear-Site-Data"]) == (200, '"cache", "cookies", "storage"')
    page.cookies["sessionid"] = kept
    assert page.get("/admin/").status_code == 302
    assert other.get("/admin/").status_code == 200
    assert page.get(LOGOUT).status_code == 405
    assert other.post(f"{API}/logout/").status_code == 204
    assert other.get("/admin/").status_code == 302
    assert set(LoginSession.objects.values_list("revoked_because", flat=True)) == {"logout"}


def test_a_cookie_gets_another_id_when_its_owner_signs_in(user: User) -> None:
    page = browser()
    page.get(LOGIN)
    session = page.session
    session["planted"] = "by somebody else"
    session.save()
    planted = session.session_key
    enter(page, user)
    assert page.session.session_key != planted
    assert "planted" not in page.session
    enter(page, user)  # once more, as from another tab
    assert LoginSession.objects.usable().count() == 1


def test_the_own_sign_ins_are_listed_and_ended_one_by_one(user: User) -> None:
    issued, other, page = services.open_session(user), services.open_session(user), browser()
    stranger = services.open_session(make_user("nurse"))
    enter(page, user)
    web = api(issued.access)
    listed = web.get(f"{API}/sessions/").data
    assert [(row["kind"], row["is_this"]) for row in listed] == [("cookie", False), ("token", False), ("token", True)]
    assert "refresh_jti" not in listed[0]
    for row in listed[:1]:
        assert web.delete(f"{API}/sessions/{row['id']}/").status_code == 204
        assert web.delete(f"{API}/sessions/{row['id']}/").status_code == 404
    assert page.get("/admin/").status_code == 302
    theirs = LoginSession.objects.exclude(user=user).get()
    assert web.delete(f"{API}/sessions/{theirs.pk}/").status_code == 404
    assert api(stranger.access).get(ME).status_code == 200
    enter(page, user)
    mine = LoginSession.objects.usable().filter(user=user, kind="token").order_by("-created_at").first()
    assert mine is not None
    assert page.post("/account/", {"session": str(mine.pk)}).status_code == 302
    assert page.post("/account/", {"session": "no id"}).status_code == 302
    assert api(other.access).get(ME).status_code == 401
    assert api(issued.access).get(ME).status_code == 200


def test_a_cookie_without_a_sign_in_of_ours_opens_nothing(user: User) -> None:
    page = signed_in(user)
    LoginSession.objects.all().delete()
    assert page.get("/admin/").status_code == 302
    page = signed_in(user)
    session = page.session
    session["login_session"] = "x" * 40
    session.save()
    assert page.get("/admin/").status_code == 302


def test_a_cookie_costs_two_queries_and_a_token_one(user: User, django_assert_num_queries: Any) -> None:
    page = signed_in(user)
    with django_assert_num_queries(3):  # the cookie's session; the sign-in with its user; the audit row
        assert page.get(ME).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_refreshes_at_once_one_is_a_reuse_and_ends_the_session() -> None:
    user = make_user("nurse")
    issued = services.open_session(user)
    outcomes: list[str] = []

    def second() -> None:
        try:
            services.refresh(issued.refresh)
            outcomes.append("new tokens")
        except services.SessionEnded:
            outcomes.append("ended")
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        services.refresh(issued.refresh)
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    assert outcomes == ["ended"]
    assert LoginSession.objects.get().revoked_because == "reused"


def test_a_refresh_token_that_comes_twice_is_written_down_as_its_owners_who_is_told_once(user: User) -> None:
    issued = services.open_session(user)
    answers = [api().post(f"{API}/token/refresh/", {"refresh": issued.refresh}).status_code for _ in range(3)]
    assert answers == [200, 401, 401]
    rows = AuditLog.objects.filter(action="refresh", outcome="refused", user_id=user.pk, resource_id=str(user.pk))
    assert list(rows.order_by("timestamp").values_list("detail__reason", flat=True)) == ["reused", "ended"]
    assert list(LoginNotice.work.filter(user=user).values_list("kind", flat=True)) == ["reused"]
    assert api().post(f"{API}/token/refresh/", {"refresh": "x"}).status_code == 401


def beside(first: Any, second: Any) -> list[str]:
    """Do `first` in a transaction, and `second` beside it once `first` holds its rows; return what came of `second`."""
    outcomes: list[str] = []

    def run() -> None:
        try:
            second()
            outcomes.append("done")
        except (DomainError, ValidationError, DatabaseError) as refusal:
            outcomes.append(type(refusal).__name__)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        first()
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    return outcomes


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("end", "why"), [(ENDS[name][1], name) for name in ("everywhere", "closed", "password")])
def test_a_second_step_is_not_confirmed_in_a_sign_in_that_ends_at_that_moment(end: Any, why: str) -> None:
    user = make_user("nurse", password=PASSWORD)
    session = services.begin(user, stage=Stage.OPEN)
    code = pyotp.TOTP(second_step.enrol(session).secret).now()
    assert beside(lambda: end(user), lambda: second_step.confirm(session, code)) == ["CodeRefused"], why
    assert not second_step.is_set_up(user)


@pytest.mark.django_db(transaction=True)
def test_taking_a_second_step_off_waits_for_who_confirms_another_and_wins() -> None:
    user = make_user("nurse", password=PASSWORD)
    with_device(user)
    session, told = services.begin(user, stage=Stage.OPEN), list[str]()
    code = pyotp.TOTP(second_step.enrol(session).secret).now()

    def reset() -> None:
        try:
            services.reset_second_step(User.objects.get(pk=user.pk), by=None)
            told.append("done")
        finally:
            connection.close()

    thread = threading.Thread(target=reset)
    with transaction.atomic():
        second_step.locked(user.pk)  # as `confirm` begins
        thread.start()
        wait_until_waited_for()
        second_step.confirm(session, code)
    thread.join(30)
    assert told == ["done"]
    assert not user.authenticators.exists()
    assert not LoginSession.objects.usable().exists()


@pytest.mark.django_db(transaction=True)
def test_who_knows_the_old_password_only_does_not_change_the_one_set_at_that_moment() -> None:
    user = make_user("nurse", password=PASSWORD)
    theirs = User.objects.get(pk=user.pk)
    outcome = beside(
        lambda: services.set_password(user, new="another-fine-passphrase"),
        lambda: services.change_password(theirs, current=PASSWORD, new="the-thief-likes-this-one"),
    )
    assert outcome == ["ValidationError"]
    user.refresh_from_db()
    assert user.check_password("another-fine-passphrase")


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_that_began_by_the_old_password_loses_to_the_new_one() -> None:
    user = make_user("nurse", password=PASSWORD)
    proven = services.prove(user.email, PASSWORD)
    outcomes: list[str] = []

    def begin() -> None:
        try:
            services.begin(proven)
            outcomes.append("in")
        except services.SignInRefused:
            outcomes.append("refused")
        finally:
            connection.close()

    thread = threading.Thread(target=begin)
    with transaction.atomic():
        services.set_password(user, new="another-fine-passphrase")
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    assert outcomes == ["refused"]
    assert not LoginSession.objects.usable().exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_with_the_same_code_one_gets_in() -> None:
    user = make_user("nurse", password=PASSWORD)
    device, _ = with_device(user)
    code, refused = device.code(), []

    def second() -> None:
        try:
            second_step.check(user, code)
        except second_step.CodeRefused:
            refused.append(True)
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        second_step.check(user, code)
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    assert refused == [True]


def test_tokens_and_cookies_are_no_keys_to_each_others_doors(user: User) -> None:
    page = signed_in(user)
    cookie = LoginSession.objects.get()
    assert tokens_of(api(), user).status_code == 200
    made = tokens.issue(cookie)
    assert api(made.access).get(ME).status_code == 401
    token = LoginSession.objects.exclude(pk=cookie.pk).get()
    session = page.session
    session["login_session"] = str(token.pk)
    session.save()
    assert page.get("/admin/").status_code == 302
