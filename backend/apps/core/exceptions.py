"""What the domain says when it refuses; `core.problems` turns these into HTTP."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """The request is well formed but the rules of the clinic forbid it.

    The message is a sentence a receptionist understands, without a patient's data.
    """

    status = 422
    code = "refused"

    def details(self) -> dict[str, Any]:
        """Return what stands beside the sentence in the answer, without a patient's data."""
        return {}


class IllegalTransition(DomainError):
    """The state table has no such arrow."""

    code = "illegal_transition"


class Conflict(DomainError):
    """Someone else changed or took it first."""

    status = 409
    code = "conflict"


class Stale(DomainError):
    """The caller's If-Match names a version that is no longer current."""

    status = 412
    code = "stale"
