"""Stands where nobody of ours may call; without it a call that was made would look like one that was not."""

from __future__ import annotations

from integrations.doubles.server import Answer, HttpDouble, Request


class Trap(HttpDouble):
    """Stands at an address nobody of ours may call, and counts who does."""

    def take(self, request: Request) -> Answer:
        return Answer(200, {"keys": []})
