"""Handles laboratory messages that are not results: demographics by policy, answers to our orders."""

from __future__ import annotations

from typing import Any

from backend.apps.laboratory.models import InboundMessage

Status = InboundMessage.Status


def handle(message: InboundMessage) -> dict[str, Any]:
    """Return the outcome fields of a stored message that is no result. Safe to run twice."""
    return {"status": Status.REJECTED, "status_reason": "This type of message is not used here."}
