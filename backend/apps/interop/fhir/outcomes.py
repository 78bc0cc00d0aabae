"""Every refusal of the FHIR API as an OperationOutcome; without it half of them would be problem details or HTML."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.response import Response
from rest_framework.views import set_rollback

from backend.apps.core import problems
from integrations.fhir.outcomes import Issue, issue, outcome

MEDIA_TYPE = "application/fhir+json"
CODES = {
    400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported",
    409: "conflict", 410: "deleted", 412: "conflict", 413: "too-long", 415: "not-supported", 422: "business-rule",
    428: "required", 429: "throttled", 503: "transient",
}  # fmt: skip
SAID_SO = {"duplicate": "duplicate", "too_costly": "too-costly"}  # problems that say more than their status
log = logging.getLogger(__name__)


class Refusal(Exception):
    """What a FHIR view refuses: a status, a code of issue-type and a sentence that quotes no value.

    at: FHIRPaths it is about. issues: instead of the one issue that code, sentence and paths make.
    """

    status = 400

    def __init__(
        self,
        sentence: str,
        *,
        status: int | None = None,
        code: str = "",
        at: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        issues: Sequence[Issue] = (),
    ) -> None:
        super().__init__(sentence)
        self.status = status or self.status
        self.headers = dict(headers or {})
        self.issues = list(issues) or [issue(code or CODES.get(self.status, "processing"), sentence, at=at)]


class BadSearch(Refusal):
    """A search parameter or its value is none we can search by."""


class NotFound(Refusal):
    """There is no such resource, or it is not the caller's to see."""

    status = 404

    def __init__(self, sentence: str = "There is no such resource, or it is not yours to see.", **more: Any) -> None:
        super().__init__(sentence, **more)


class Forbidden(Refusal):
    status = 403

    def __init__(self, sentence: str = "Your role may not do this.", **more: Any) -> None:
        super().__init__(sentence, **more)


def answer(issues: Sequence[Issue], status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(
        orjson.dumps(outcome(issues)), status=status, content_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Turn an exception into an OperationOutcome; what `core.problems` knows is told as it tells it."""
    if isinstance(error, Refusal):
        set_rollback()
        return answer(error.issues, error.status, error.headers)
    told = problems.handle(error, context)
    if told is None:
        where = "".join(traceback.format_tb(error.__traceback__))  # and not its text, which may quote a patient's data
        log.error("a FHIR request failed: %s\n%s", type(error).__name__, where)
        return answer([issue("exception", "Something went wrong here; it has been noted.")], 500)
    return from_problem(told)


def from_problem(told: Response) -> HttpResponse:
    """Return problem details as an OperationOutcome: an issue for each field, or one."""
    code = CODES.get(told.status_code, "processing")
    kinds = {told.data.get("code"), str(told.data.get("type", "")).rpartition(":")[2]}
    code = next((theirs for ours, theirs in SAID_SO.items() if ours in kinds), code)
    issues = [issue(code, one["message"], at=[one["field"]]) for one in told.data.get("errors", [])]
    kept = {name: told[name] for name in ("WWW-Authenticate", "Retry-After") if name in told}
    return answer(issues or [issue(code, str(told.data.get("detail", "")))], told.status_code, kept)
