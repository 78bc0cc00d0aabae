"""How much the door bears; without these one peer could hold all memory, all connections or all time."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """All sizes in bytes, all times in seconds."""

    connections: int = 1000
    per_address: int = 200  # an interface engine or a NAT speaks for many labs
    message: int = 20 * MB  # an embedded PDF is a few MB
    in_flight: int = 64 * MB  # begun and unanswered messages of all connections together
    unanswered: int = 64  # messages of one connection
    idle_s: float = 3600.0  # labs keep connections open for hours
    frame_s: float = 60.0  # a message that has begun must end within this
    blocked_s: float = 60.0  # a peer must take its answers within this
    filing_s: float = 20.0  # how long an answer waits for the filing before it is AE
    refresh_s: float = 3.0  # how soon a changed feed counts
    drain_s: float = 10.0
