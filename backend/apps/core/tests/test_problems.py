"""Holds how each refusal looks outside, and that none tells what it should keep."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.exceptions import ValidationError as ModelError
from django.db import DataError, IntegrityError, OperationalError, connection
from django.db.models import ProtectedError
from django.http import Http404
from psycopg import errors as postgres
from rest_framework import exceptions as drf

from backend.apps.core import problems
from backend.apps.core.exceptions import Conflict, DomainError, IllegalTransition, Stale
from backend.config.environment import bounded

SECRET = "Key (email)=(ada@example.org) already exists"
CASES = {
    "a rule of the clinic": (DomainError("Not today."), 422, "refused"),
    "an arrow that is not there": (IllegalTransition("No."), 422, "illegal_transition"),
    "someone was first": (Conflict("Load it again."), 409, "conflict"),
    "an old version": (Stale("Load it again."), 412, "stale"),
    "a model's own rule": (ModelError({"name": ["Too short."]}), 400, "invalid"),
    "a constraint": (IntegrityError(SECRET), 409, "conflict"),
    "a row others need": (ProtectedError(SECRET, set()), 409, "conflict"),
    "a value the database cannot hold": (DataError(SECRET), 400, "invalid"),
    "a serializer": (drf.ValidationError({"name": ["Too short."]}), 400, "invalid"),
    "not there": (Http404(SECRET), 404, "not_found"),
    "not allowed": (PermissionDenied(SECRET), 403, "permission_denied"),
    "nobody signed in": (drf.NotAuthenticated(), 401, "not_authenticated"),
    "a bad token": (drf.AuthenticationFailed("Sign in again."), 401, "authentication_failed"),
    "a bad method": (drf.MethodNotAllowed("BREW"), 405, "method_not_allowed"),
    "a bad body": (drf.ParseError("No JSON."), 400, "parse_error"),
    "a bad media type": (drf.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
    "too often": (drf.Throttled(30), 429, "throttled"),
}


@pytest.mark.parametrize(("error", "status", "code"), CASES.values(), ids=CASES)
def test_each_refusal_has_its_status_its_type_and_no_secret(error: Exception, status: int, code: str) -> None:
    answer = problems.handle(error, {})
    assert answer is not None
    assert (answer.status_code, answer.data["status"]) == (status, status)
    assert answer.data["type"] == f"urn:carerelay:problem:{code}"
    assert answer.data["title"]
    assert answer.data["detail"]
    assert answer.content_type == "application/problem+json"
    assert SECRET not in str(answer.data)


@pytest.mark.parametrize("wrong", ["30s", "-1", "0.0004", "nan", "inf", ""])
def test_a_time_limit_that_is_none_is_said_by_its_name(wrong: str) -> None:
    assert bounded({"connect_timeout": 5}, "0") == {"connect_timeout": 5}
    with pytest.raises(ImproperlyConfigured, match="CARERELAY_WEB_STATEMENT_TIMEOUT_S"):
        bounded({}, wrong)


@pytest.mark.django_db
def test_a_statement_that_takes_too_long_for_a_request_is_ended_and_refused() -> None:
    parameters = {**connection.get_connection_params(), **bounded({"options": "-c work_mem=1MB"}, "0.02")}
    with psycopg.connect(**parameters) as other:
        assert other.execute("SHOW work_mem").fetchone() == ("1MB",)
        with pytest.raises(postgres.QueryCanceled) as ended:
            other.execute("SELECT pg_sleep(5)")
    error = OperationalError(SECRET)
    error.__cause__ = ended.value
    answer = problems.handle(error, {})
    assert answer is not None
    assert (answer.status_code, answer.data["type"]) == (503, "urn:carerelay:problem:too_costly")
    assert SECRET not in str(answer.data)


@pytest.mark.parametrize("crossed", [postgres.DeadlockDetected, postgres.SerializationFailure])
def test_two_in_each_others_way_are_told_to_try_again(crossed: type[Exception]) -> None:
    error = OperationalError(SECRET)
    error.__cause__ = crossed(SECRET)
    answer = problems.handle(error, {})
    assert answer is not None
    assert (answer.status_code, answer.data["type"]) == (409, "urn:carerelay:problem:conflict")
    assert SECRET not in str(answer.data)


def test_a_bug_is_left_to_django() -> None:
    assert problems.handle(RuntimeError(SECRET), {}) is None
    assert problems.handle(OperationalError(SECRET), {}) is None


def test_too_often_says_when_to_come_back() -> None:
    answer = problems.handle(drf.Throttled(30), {})
    assert answer is not None
    assert answer["Retry-After"] == "30"


@pytest.mark.parametrize(
    ("detail", "flat"),
    [
        ({"a": ["x", "y"]}, [("a", "x"), ("a", "y")]),
        ({"a": {"b": ["x"]}}, [("a.b", "x")]),
        ({"a": [{"b": ["x"]}, {}]}, [("a.b", "x")]),
        ({"__all__": ["x"]}, [("non_field_errors", "x")]),
        (["x"], [("non_field_errors", "x")]),
        ({}, []),
    ],
)
def test_nested_errors_become_a_flat_list(detail: Any, flat: list[tuple[str, str]]) -> None:
    assert [(entry["field"], entry["message"]) for entry in problems.flatten(detail)] == flat


def test_a_models_errors_keep_their_fields() -> None:
    assert problems.model_errors(ModelError({"name": ["Bad."]})) == [{"field": "name", "message": "Bad."}]
    assert problems.model_errors(ModelError("Bad.")) == [{"field": "non_field_errors", "message": "Bad."}]


def test_a_row_others_need_is_told_from_a_contradiction() -> None:
    answer = problems.handle(ProtectedError(SECRET, set()), {})
    assert answer is not None
    assert answer.data["detail"] == "Other rows still need this one."
