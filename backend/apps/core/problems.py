"""Every refusal as RFC 9457 problem details, without stack, SQL or a patient's data."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError, IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.http import Http404
from psycopg import errors as postgres
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from backend.apps.core import closed_values
from backend.apps.core.exceptions import DomainError
from backend.apps.core.keyring import CannotOpen

MEDIA_TYPE = "application/problem+json"
CONSTANT: tuple[tuple[type[Exception], int, str, str], ...] = (
    (ProtectedError, 409, "Other rows still need this one.", "conflict"),  # a kind of IntegrityError, so it comes first
    (IntegrityError, 409, "This contradicts what is already stored.", "conflict"),
    (RequestDataTooBig, 413, "The body is too large.", "too_large"),
    (DataError, 400, "A value cannot be stored.", "invalid"),
)
CROSSED = (postgres.DeadlockDetected, postgres.SerializationFailure, postgres.LockNotAvailable)
TOO_LONG = "This took too long and was ended; ask for less at once."
AT_ONCE = "Somebody changed the same rows at the same moment; try again."

NAMED = re.compile(r"Constraint .+ is violated\.")  # Django's words for a constraint without words of its own


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into a problem; None (a bug) leaves it to Django's plain 500."""
    if isinstance(error, DomainError | CannotOpen):
        return _told(error)
    if isinstance(error, ModelValidationError):
        return problem(400, "Some fields are not right.", code="invalid", errors=model_errors(error))
    if isinstance(error, ValidationError):
        return problem(400, "Some fields are not right.", code="invalid", errors=flatten(error.detail))
    for kind, status, detail, code in CONSTANT:
        if isinstance(error, kind):
            return problem(status, detail, code=code)
    if isinstance(error, OperationalError) and isinstance(error.__cause__, CROSSED):
        return problem(409, AT_ONCE, code="conflict")
    if isinstance(error, OperationalError) and isinstance(error.__cause__, postgres.QueryCanceled):
        return problem(503, TOO_LONG, code="too_costly")
    response = exception_handler(error, context)
    if response is None:
        return None
    return _plain(error, response)


def _told(error: DomainError | CannotOpen) -> Response:
    if isinstance(error, DomainError):
        answer = problem(error.status, str(error), code=error.code)
        answer.data |= error.details()
        return answer
    closed_values.tell(error)
    answer = problem(500, closed_values.refusal(error), code="unreadable")
    answer.data |= {"field": error.field, "key_id": error.key_id}
    return answer


def problem(status: int, detail: str, *, code: str, errors: list[dict[str, str]] | None = None) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:carerelay:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status, content_type=MEDIA_TYPE)


def model_errors(error: ModelValidationError) -> list[dict[str, str]]:
    if hasattr(error, "error_dict"):
        return flatten(error.message_dict)
    return flatten({"non_field_errors": error.messages})


def flatten(detail: Any, path: str = "") -> list[dict[str, str]]:
    """Return nested DRF or model errors as a flat list of {field, message}."""
    if isinstance(detail, dict):
        found = [flatten(item, f"{path}.{key}".lstrip(".")) for key, item in detail.items()]
    elif isinstance(detail, list):
        found = [flatten(item, path) for item in detail]
    else:
        return [
            {
                "field": "non_field_errors" if path in {"", "__all__"} else path,
                "message": NAMED.sub("This contradicts another value or another row.", str(detail)),
            }
        ]
    return [entry for entries in found for entry in entries]


def _plain(error: Exception, response: Response) -> Response:
    if isinstance(error, Http404):
        detail, code = "There is no such row, or it is not yours to see.", "not_found"
    elif isinstance(error, PermissionDenied):
        detail, code = "Your role may not do this.", "permission_denied"
    else:
        assert isinstance(error, APIException)
        detail, code = (
            str(error.detail),
            str(getattr(error.detail, "code", error.default_code)),
        )
        if isinstance(error.detail, dict):
            detail, code = (
                str(error.detail.get("detail", "")),
                str(error.detail.get("code", error.default_code)),
            )
    answer = problem(response.status_code, detail, code=code)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response:
            answer[name] = response[name]
    return answer
