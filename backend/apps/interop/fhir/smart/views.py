"""The two addresses of SMART: what a system must know, and where it trades an assertion for a token."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog
from backend.apps.interop.fhir.smart import assertions, configuration, scopes, tokens
from backend.apps.interop.fhir.smart.assertions import Assertion, Refused
from backend.apps.interop.models import SmartClient
from backend.apps.users import throttle
from backend.apps.users.throttle import Limit

FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MOST_BYTES, MOST_FIELDS = 64 * 1024, 20
BY_ADDRESS = Limit("token", most=60, window_s=60)  # apart from people's: a program must not keep staff from signing in
UNKEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
STATUS = {"invalid_client": 401, "temporarily_unavailable": 503}  # every other error is 400; RFC 6749, section 5.2


@require_safe
def smart_configuration(request: HttpRequest) -> JsonResponse:
    told = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
    return JsonResponse(configuration.described(), headers=told)


@csrf_exempt  # no cookie is read
def token(request: HttpRequest) -> JsonResponse:
    """Trade an assertion for a token of five minutes (RFC 6749, section 4.4); each answer leaves an audit row.

    What fails counts against an address, a good proof does not. Nothing counts against a client: keys are not guessed,
    and whoever knows its id could lock it out.
    """
    address = client_of(request)
    wait_s = throttle.attempt(address, by=BY_ADDRESS)
    if wait_s:
        return _slowed(request, wait_s, is_noted=throttle.first_over(address, by=BY_ADDRESS))
    assertion = None
    try:
        asked = _form(request)
        assertion = _assertion(asked)
        client = assertions.proven(assertion, audience=configuration.token_url())
        throttle.forgive(address, by=BY_ADDRESS)
        return _granted(request, client, asked["scope"])
    except Refused as refusal:
        return _refused(request, refusal, assertion)


def _slowed(request: HttpRequest, wait_s: int, *, is_noted: bool) -> JsonResponse:
    """Answer 429; noted once in a window, or strangers could fill the audit log."""
    slow = Refused("invalid_request", "Too many failures; wait a little.", reason="throttled")
    headers = {"Retry-After": str(wait_s)}
    if is_noted:
        return _refused(request, slow, None, status=429, headers=headers)
    return _error(slow, status=429, headers=headers)


def _form(request: HttpRequest) -> dict[str, str]:
    """Return the parameters, each of which was sent once."""
    if request.method != "POST" or request.content_type != FORM:
        raise Refused("invalid_request", f"Send a POST of {FORM}.", reason="no_form")
    sent = _pairs(request)
    if len({name for name, _ in sent}) < len(sent):
        raise Refused("invalid_request", "Send each parameter once.", reason="repeated")
    asked = {**dict.fromkeys(("grant_type", "client_assertion_type", "client_assertion", "scope"), ""), **dict(sent)}
    if asked["grant_type"] != "client_credentials":
        error = "unsupported_grant_type" if asked["grant_type"] else "invalid_request"
        raise Refused(error, "grant_type is client_credentials.", reason="grant_type")
    if asked["client_assertion_type"] != ASSERTION_TYPE or not asked["client_assertion"]:
        raise Refused("invalid_request", f"Send a client_assertion of type {ASSERTION_TYPE}.", reason="no_assertion")
    if "client_secret" in asked or request.headers.get("Authorization"):
        raise Refused("invalid_request", "Prove the client in one way only: by its assertion.", reason="two_proofs")
    return asked


def _assertion(asked: dict[str, str]) -> Assertion:
    """Return the assertion; a client_id beside it must be the same. Source: RFC 7521, section 4.2."""
    found = assertions.read(asked["client_assertion"])
    if asked.get("client_id", found.claims.get("iss")) != found.claims.get("iss"):
        raise Refused("invalid_client", assertions.UNPROVEN, reason="other_client_id")
    return found


def _pairs(request: HttpRequest) -> list[tuple[str, str]]:
    try:
        if len(request.body) <= MOST_BYTES:
            return parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (ValueError, RequestDataTooBig):
        pass
    raise Refused("invalid_request", "The form is too large, or not in UTF-8.", reason="too_large")


def _narrowed(asked: str, client: SmartClient) -> list[str]:
    try:
        granted = scopes.narrowed(asked.split(), scopes.read(client.scopes.split()))
    except scopes.BadScope:
        sentence = "Ask for system/<type>.read or system/<type>.rs, with types of R4; nobody writes by a token."
        raise Refused("invalid_scope", sentence, reason="no_scope") from None
    if not granted:
        raise Refused("invalid_scope", "None of these scopes may be granted to this client.", reason="nothing_left")
    return granted


@transaction.atomic
def _granted(request: HttpRequest, client: SmartClient, asked: str) -> JsonResponse:
    granted = _narrowed(asked, assertions.still_proven(client))
    own = SmartClient.objects.filter(pk=client.pk)
    own.update(last_token_at=Now())
    text = tokens.issue(client.pk, granted, now=own.annotate(now=Now()).values_list("now", flat=True).get())
    _note(request, str(client.pk), AuditLog.Outcome.ALLOWED, {"scopes": len(granted)})
    body = {
        "access_token": text,
        "token_type": "bearer",
        "expires_in": tokens.LIFETIME_S,
        "scope": " ".join(granted),
    }
    return JsonResponse(body, headers=UNKEPT)


def _refused(
    request: HttpRequest,
    refusal: Refused,
    assertion: Assertion | None,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
) -> JsonResponse:
    claimed = assertion.client_id if assertion else None
    _note(request, str(claimed or ""), AuditLog.Outcome.REFUSED, {"reason": refusal.reason})
    return _error(refusal, status=status or STATUS.get(refusal.error, 400), headers=headers or {})


def _error(refusal: Refused, *, status: int, headers: dict[str, str]) -> JsonResponse:
    body = {"error": refusal.error, "error_description": str(refusal)}
    return JsonResponse(body, status=status, headers={**UNKEPT, **headers})


def _note(request: HttpRequest, client_id: str, outcome: str, detail: dict[str, Any]) -> None:
    told = {**detail, **({"client": client_id} if client_id else {})}
    nobody = AnonymousUser()  # a cookie that came along proves nothing here
    audit.record(request, "token", "smartclient", client_id, outcome=outcome, detail=told, user=nobody)
