"""The key under which a message is stored once; without it the door and its workers would each have their own."""

from __future__ import annotations

import hashlib


def key_of(sending_application: str, sending_facility: str, control_id: str, sha256: str) -> str:
    """Return the `dedupe_key` of a message: one per sender, control id and content."""
    parts = "\x1f".join((sending_application, sending_facility, control_id, sha256))
    return f"in:{hashlib.sha256(parts.encode()).hexdigest()}"
