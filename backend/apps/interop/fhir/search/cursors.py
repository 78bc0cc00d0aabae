"""Where a list goes on, sealed: a link shows neither names nor dates of birth, nor can it be forged."""

from __future__ import annotations

from typing import Any

import orjson

from backend.apps.core.sealed import CannotOpen, seal, unseal
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.smart.authentication import client_of


def sealed(user: Any, **told: Any) -> str:
    """Return a cursor that holds `told` (JSON) and opens for this caller only."""
    return seal(orjson.dumps({"for": _caller(user), **told}).decode())


def opened(text: str, user: Any) -> dict[str, Any]:
    """Return what `sealed` was told.

    Raises:
        Refusal: forged, or somebody else's.
    """
    try:
        told: dict[str, Any] = orjson.loads(unseal(text) or "{}")
    except CannotOpen:
        told = {}
    if told.get("for") != _caller(user):
        raise Refusal("This link is not one of ours, or not yours: search again.", code="value")
    return told


def _caller(user: Any) -> str:
    client = client_of(user)
    return f"client {client.pk}" if client is not None else str(user.pk)
