"""A clearinghouse's web API behind a real socket; without it no test could see a key repeated."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote

from integrations.doubles.server import Answer, HttpDouble, Request

KEY = "Key test-key"


class ApiDouble(HttpDouble):
    """Takes interchanges once per key, and hands out `answers`, each a name with its content."""

    def __init__(self, **options: Any) -> None:
        self.taken: dict[str, bytes] = {}  # by key
        self.names: list[str] = []
        self.answers: dict[str, bytes] = {}
        self.withheld: set[str] = set()  # answers that are listed and not given
        self.kept: set[str] = set()  # answers that are given and not taken off the list
        super().__init__(**options)

    def take(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != KEY:
            return Answer(401, {"detail": "who are you"})
        path = request.path.removeprefix("/v1")
        if (request.method, path) == ("POST", "/interchanges"):
            return self._interchange(request)
        if (request.method, path) == ("GET", "/answers"):
            return Answer(200, {"files": [_entry(name, content) for name, content in self.answers.items()]})
        name = unquote(path.removeprefix("/answers/").removesuffix("/acknowledge"))
        if name not in self.answers:
            return Answer(404)
        if name in self.withheld:
            return Answer(403)
        if path.endswith("/acknowledge"):
            if name in self.kept:
                return Answer(403)
            del self.answers[name]
            return Answer(204)
        return Answer(200, self.answers[name], {"Content-Type": "application/edi-x12"})

    def _interchange(self, request: Request) -> Answer:
        key = request.headers["Idempotency-Key"]
        if self.taken.setdefault(key, request.body) != request.body:
            return Answer(422, {"detail": "another body"})
        is_first = request.headers["X-File-Name"] not in self.names
        self.names.append(request.headers["X-File-Name"])
        return Answer(202, {"id": f"T{len(self.taken)}"}, {} if is_first else {"Idempotent-Replayed": "true"})


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "size": len(content), "modified_at": "2026-11-05T12:00:00Z"}


def key_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
