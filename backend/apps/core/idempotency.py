"""Makes a POST that is sent twice act once, by the key its sender gives it (IETF draft idempotency-key-header)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.http import Http404
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import IdempotentRequest

KEY = re.compile(r"[\x21-\x7e]{8,128}")
Replay = Callable[[str], Response]  # from the id of the resource


class KeyReused(DomainError):
    """The key stands for another request."""

    code = "idempotency_key_reused"


def once(
    request: Request, act: Callable[[], Response], replay: Replay, *, replay_found: Replay | None = None
) -> Response:
    """Run `act` once per (user, Idempotency-Key); a repetition gets `replay(resource id)` with the first status.

    replay_found: instead, where `act` made nothing and answered 200 with what was there, which may be another's.

    Key, act and outcome share one transaction: a simultaneous second request waits for the first, a refused first
    leaves no key behind. Without the header `act` just runs, in a transaction too.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        with transaction.atomic():
            return act()
    if not KEY.fullmatch(key):
        raise ValidationError({"Idempotency-Key": ["8 to 128 visible ASCII characters."]})
    caller: Any = request.user  # somebody: no permission table lets a stranger write
    with transaction.atomic():
        slot, created = IdempotentRequest.objects.get_or_create(
            user=caller, key=key, defaults={"fingerprint": fingerprint(request)}
        )
        if not created:
            found = slot.status_code == HTTPStatus.OK and replay_found
            return _again(request, slot, found or replay)
        response = act()
        slot.status_code, slot.resource_id = (
            response.status_code,
            str(_id_of(response.data)),
        )
        slot.save(update_fields=["status_code", "resource_id"])
        return response


def fingerprint(request: Request) -> str:
    """Return a keyed digest of method, path and body; without the key it cannot be guessed back (a password, say).

    A form's body is gone once read, so its fields are taken.
    """
    data = request.data
    body = repr(sorted((name, str(value)) for name, value in data.items())) if isinstance(data, Mapping) else repr(data)
    text = "\0".join([request.method or "", request.path, body])
    return salted_hmac("core.idempotency", text, algorithm="sha256").hexdigest()


def _again(request: Request, slot: IdempotentRequest, replay: Replay) -> Response:
    if slot.fingerprint != fingerprint(request):
        raise KeyReused("This Idempotency-Key was already used for another request.")
    try:
        response = replay(slot.resource_id)
    except ObjectDoesNotExist as gone:
        raise Http404 from gone
    response.status_code = slot.status_code
    response["Idempotency-Replayed"] = "true"
    return response


def _id_of(data: Any) -> Any:
    return data.get("id", "") if isinstance(data, dict) else ""
