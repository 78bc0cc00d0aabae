"""Stand where nobody of ours may call, and where we may; without the first a call made would look like one not made."""

from __future__ import annotations

from typing import Any

from integrations.doubles.server import Answer, HttpDouble, Request


class Trap(HttpDouble):
    """Stands at an address nobody of ours may call, and counts who does."""

    def take(self, request: Request) -> Answer:
        return Answer(200, {"keys": []})


class Outside(HttpDouble):
    """Stands at an address we may call: publishes keys at /jwks.json and sends everybody else to `leads_to`."""

    jwks: Any = None
    leads_to = ""

    def take(self, request: Request) -> Answer:
        if request.path == "/jwks.json":
            return Answer(200, self.jwks)
        return Answer(302, None, {"Location": f"{self.leads_to}{request.path}"})
