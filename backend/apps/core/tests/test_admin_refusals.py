"""Holds that the admin tells a person why it refused, and never in the database's words."""

from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError
from django.test import RequestFactory
from psycopg.errors import DeadlockDetected

from backend.apps.core.admin import ClinicAdmin, sentence
from backend.apps.core.exceptions import Conflict
from backend.apps.core.models import Clinic


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (Conflict("Someone else has just changed this."), "Someone else has just changed this."),
        (ValidationError({"end": ["The end is not after the start."]}), "The end is not after the start."),
        (IntegrityError("duplicate key (email)=(ada@example.org)"), "This contradicts what is already stored."),
    ],
)
def test_a_refusal_is_a_sentence_without_values(refusal: Exception, told: str) -> None:
    assert sentence(refusal) == told


@pytest.mark.django_db
def test_two_who_change_the_same_rows_at_once_are_told_to_try_again() -> None:
    crossed = OperationalError("deadlock detected: process 7 waits for ShareLock on (ada@example.org)")
    crossed.__cause__ = DeadlockDetected()
    assert sentence(crossed) == "Somebody changed the same rows at the same moment; try again."
    page = ClinicAdmin(Clinic, admin.site)
    request = RequestFactory().post("/admin/core/clinic/")
    request.user, request._messages = AnonymousUser(), CookieStorage(request)
    assert page._refused(request, "admin.save", "", partial(_raise, crossed)).status_code == HTTPStatus.FOUND
    assert [str(told) for told in request._messages] == [sentence(crossed)]
    with pytest.raises(OperationalError):
        page._refused(request, "admin.save", "", partial(_raise, OperationalError("no connection")))


def _raise(error: Exception) -> Any:
    raise error
