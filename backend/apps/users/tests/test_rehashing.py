"""Holds that a hash by older parameters is written anew at the sign-in, which ends nothing and undoes nothing."""

from __future__ import annotations

import threading
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction

from backend.apps.users import services
from backend.apps.users.hashers import Argon2id
from backend.apps.users.models import User
from backend.apps.users.tests.doors import PASSWORD, api, tokens_of
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in
from tests.support.races import wait_until_waited_for

pytestmark = pytest.mark.django_db
LEAST = {"time_cost": 1, "memory_cost": 64, "parallelism": 1}


@pytest.fixture
def user() -> User:
    return make_user("doctor", password=PASSWORD)


def test_passwords_hashed_by_older_parameters_are_hashed_anew_at_the_sign_in(user: User) -> None:
    assert f"m={Argon2id.memory_cost},t={Argon2id.time_cost},p={Argon2id.parallelism}" in user.password
    with mock.patch.multiple(Argon2id, **LEAST):
        user.set_password(PASSWORD)
    User.objects.filter(pk=user.pk).update(password=user.password)
    assert tokens_of(api(), user).status_code == 200
    user.refresh_from_db()
    assert f"argon2$argon2id$v=19$m={Argon2id.memory_cost}" in user.password


def test_a_hash_that_is_written_anew_signs_nobody_out_and_another_password_does(user: User) -> None:
    def hashed_as_before() -> None:
        with mock.patch.multiple(Argon2id, **LEAST):
            user.set_password(PASSWORD)
        User.objects.filter(pk=user.pk).update(password=user.password)

    hashed_as_before()
    page, own = signed_in(user), signed_in(user)
    assert own.post("/account/device/", {"act": "begin", "password": PASSWORD}).status_code == 200
    user.refresh_from_db()
    assert f"m={Argon2id.memory_cost}" in user.password
    assert [each.get("/admin/").status_code for each in (page, own)] == [200, 200]
    hashed_as_before()
    assert tokens_of(api(), user).status_code == 200
    assert page.get("/admin/").status_code == 302, "one that is older than two hashes"
    page = signed_in(User.objects.get(pk=user.pk))
    assert page.get("/admin/").status_code == 200
    User.objects.filter(pk=user.pk).update(password=make_password("another-fine-passphrase"))
    assert page.get("/admin/").status_code == 302, "as by a command of Django, which ends no sign-in"


@pytest.mark.django_db(transaction=True)
def test_a_hash_that_is_written_anew_never_undoes_another_password() -> None:
    user, proven = make_user(password=PASSWORD), list[User]()
    with mock.patch.multiple(Argon2id, **LEAST):
        user.set_password(PASSWORD)
    User.objects.filter(pk=user.pk).update(password=user.password)

    def second() -> None:
        try:
            proven.append(services.prove(user.email, PASSWORD))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        services.set_password(user, new="another-fine-passphrase")
        thread.start()
        wait_until_waited_for()
    thread.join(30)
    user.refresh_from_db()
    assert user.check_password("another-fine-passphrase")
    with pytest.raises(services.SignInRefused):
        services.begin(proven[0])
