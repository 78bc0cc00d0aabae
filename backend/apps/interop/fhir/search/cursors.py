"""Where a list goes on, sealed: a link shows neither names nor dates of birth, nor can it be forged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from backend.apps.core.keyring import CannotOpen
from backend.apps.core.seals import seal, unseal
from backend.apps.interop.fhir.outcomes import Refusal
from backend.apps.interop.fhir.smart.authentication import client_of

T = TypeVar("T")


def sealed(user: Any, kind: str, **told: Any) -> str:
    """Return a cursor that holds `told` (JSON) and opens for this caller and this kind of list only."""
    return seal(orjson.dumps({"for": _caller(user), "kind": kind, **told}).decode())


def opened(text: str, user: Any, kind: str, read: Callable[[dict[str, Any]], T]) -> T:
    """Return what `read` makes of what `sealed` was told.

    Raises:
        Refusal: forged, somebody else's, of another list, or of a form that is no longer ours.
    """
    try:
        told = orjson.loads(unseal(text) or "{}")
        if (told.get("for"), told.get("kind")) == (_caller(user), kind):
            return read(told)
    except (CannotOpen, AttributeError, KeyError, TypeError, ValueError):
        pass
    raise Refusal("This link is not one of ours, or not yours: search again.", code="value")


def _caller(user: Any) -> str:
    client = client_of(user)
    return f"client {client.pk}" if client is not None else str(user.pk)
