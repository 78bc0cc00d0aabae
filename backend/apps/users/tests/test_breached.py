"""Holds that leaked passwords are refused by a list in a file as by the short one, and that a wrong file is told of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ValidationError
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from backend.apps.users import breached, services
from backend.apps.users.models import User
from backend.apps.users.password_rules import LONGEST
from backend.apps.users.tests.doors import API, PASSWORD, api, browser, enter, tokens_of
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

LEAKED = [f"a long leaked passphrase {number}" for number in range(500)]
File = Callable[[bytes], str]


def lines(passwords: list[str], end: str = "\r\n") -> bytes:
    hashes = sorted(hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest().upper() for word in passwords)
    return "".join(f"{digest}:{number + 1}{end}" for number, digest in enumerate(hashes)).encode()


@pytest.fixture
def file(tmp_path: Path) -> File:
    def write(content: bytes) -> str:
        path = tmp_path / "leaked.txt"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("count", [1, 2, 3, 500])
def test_each_line_of_a_file_is_found_and_nothing_else(file: File, end: str, count: int) -> None:
    path = file(lines(LEAKED[:count], end).rstrip() if count == 3 else lines(LEAKED[:count], end))
    breached.check(path)
    with override_settings(BREACHED_PASSWORDS=path):
        assert all(breached.is_known(word) for word in LEAKED[:count])
        assert not any(breached.is_known(f"{word}!x") for word in LEAKED)


@given(st.sets(st.integers(0, 400)), st.integers(0, 400))
def test_a_search_agrees_with_reading_all(tmp_path_factory: pytest.TempPathFactory, kept: set[int], asked: int) -> None:
    path = tmp_path_factory.getbasetemp() / "searched.txt"
    path.write_bytes(lines([LEAKED[number] for number in kept]))
    digest = hashlib.sha1(LEAKED[asked].encode(), usedforsecurity=False).hexdigest().upper().encode()
    with path.open("rb") as opened:
        assert breached.holds(opened, digest) is (asked in kept)


def test_a_search_reads_little_of_a_large_file(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    real = breached._line_at
    monkeypatch.setattr(breached, "_line_at", lambda opened, at: (reads.append(at), real(opened, at))[1])
    with override_settings(BREACHED_PASSWORDS=file(lines(LEAKED))):
        breached.is_known("not one of them at all")
    assert 0 < len(reads) < 25


@pytest.mark.parametrize(
    "password",
    [
        "PASSWORD1234",
        "Qwertyuiop123!",
        "iloveyou2026!!",
        "  football99999 ",
        "!!!superman!!!",
        "Passw0rd1234",
    ],
)
def test_common_words_with_something_at_their_end_are_refused(password: str) -> None:
    with pytest.raises(ValidationError, match="known from a leak"):
        breached.BreachedPasswordValidator().validate(password)


@pytest.mark.parametrize("password", ["correct-horse-battery-staple", "another-fine-passphrase", "demo-clinic-2026"])
def test_a_passphrase_is_taken(password: str) -> None:
    breached.BreachedPasswordValidator().validate(password)


@pytest.mark.parametrize(("content", "told"), [
    (b"", "empty"),
    (b"password\n123456\n", "not a SHA-1"),
    (lines(LEAKED[:50])[::-1], "not a SHA-1"),
    (b"\r\n".join(reversed(lines(LEAKED[:50]).split())), "not sorted"),
    (b"0123456789ABCDEF0123456789ABCDEF:5\r\n" * 9, "not a SHA-1"),  # the list of NTLM hashes
    (b"\x1f\x8b" + b"x" * 900, "not a SHA-1"),
])  # fmt: skip
def test_a_wrong_file_is_refused_before_anybody_is_asked(file: File, content: bytes, told: str) -> None:
    with override_settings(BREACHED_PASSWORDS=file(content)):
        found = [error.msg for error in run_checks(tags=["security"]) if error.id == "users.E001"]
    assert len(found) == 1
    assert told in found[0]


def test_a_file_that_is_not_there_is_told_of_and_a_good_one_is_not(tmp_path: Path, file: File) -> None:
    def errors(path: Any) -> list[str]:
        with override_settings(BREACHED_PASSWORDS=str(path)):
            return [str(error.id) for error in run_checks(tags=["security"]) if error.id == "users.E001"]

    assert errors(tmp_path / "none.txt") == errors(tmp_path) == ["users.E001"]
    assert errors(file(lines(LEAKED))) == []


@pytest.mark.django_db
def test_a_list_that_goes_away_refuses_new_passwords_in_a_sentence_and_lets_people_in(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_user("nurse", password=PASSWORD)
    body = {"current_password": PASSWORD, "new_password": "another-fine-passphrase"}
    form = {"current": PASSWORD, "new": body["new_password"], "again": body["new_password"]}
    with override_settings(BREACHED_PASSWORDS=f"{file(b'')}.gone"):
        web, page = api(tokens_of(api(), user).data["access"]), browser()
        enter(page, user)
        for answer in (web.post(f"{API}/password/", body), page.post("/admin/password_change/", form)):
            assert (answer.status_code, "cannot be read" in answer.content.decode()) == (400, True)
    assert caplog.text.count("leaked passwords cannot be looked up: No such file") == 2
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.django_db
def test_no_door_sets_or_takes_or_cuts_a_password_that_is_too_long() -> None:
    longest = "x" * 200 + "-fine-passphrase-" + "y" * 39
    user = make_user("nurse", password=longest)
    assert len(longest) == LONGEST
    page, admin = browser(), signed_in("admin")
    assert enter(browser(), user, longest + "!").status_code == 400
    assert tokens_of(api(), user, longest + "!").status_code == 400
    web = api(tokens_of(api(), user, longest).data["access"])
    enter(page, user, longest)
    new = {"password1": longest + "!", "password2": longest + "!", "usable_password": "true"}
    for answer in (
        page.post("/admin/password_change/", {"current": longest + "!", "new": PASSWORD, "again": PASSWORD}),
        page.post("/admin/password_change/", {"current": longest, "new": longest + "!", "again": longest + "!"}),
        page.post("/account/device/", {"act": "begin", "password": longest + "!"}),
        web.post(f"{API}/password/", {"current_password": longest, "new_password": longest + "!"}),
        admin.post(f"/admin/users/user/{user.pk}/password/", new),
        admin.post("/admin/users/user/add/", {"email": "new@example.org", "role": "nurse", **new}),
    ):
        assert "A password has at most 256 characters." in answer.content.decode(), answer.status_code
    with pytest.raises(ValidationError):
        services.set_password(user, new=longest + "!")
    assert tokens_of(api(), user, longest).status_code == 200
    assert not User.objects.filter(email="new@example.org").exists()
