"""Every place that only listens to what is done with patients, and how all of it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from django.contrib.sessions.models import Session
from django.db import connection

from backend.apps.users.models import User
from tests.security.canary.stack import CanaryStack
from tests.support.planted import about_patients
from tests.support.stores import about_rows, everything_in, files_in, stored

LINK = re.compile(  # in a page, and in JSON
    r"""(?:href|action|src|srcset|hx-[a-z-]+|data-[a-z-]*(?:url|href|src))=["']([^"']*)["']|"(https?://[^"]*|/[^"\s]+)\""""
)
DIALS = ("tel:", "mailto:")  # no addresses of ours: nobody is asked for them
KEPT_IN = {"exports", "house", "media", "outbox"}  # what goes out and what is uploaded, as docs/phi.md says
FLOWER = ("/api/tasks?limit=10000", "/api/workers", "/api/task/types", "/api/queues/length", "/metrics", "/tasks", "/")


@dataclass
class Visitor:
    """Somebody who uses the stack over HTTP; keeps each refusal, each header, and each address that was shown."""

    stack: CanaryStack
    refusals: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, *, by: User | None = None, pages: bool = False, token: str = "", **more: Any
    ) -> requests.Response:
        """Send one request, as who is signed in to the API, or to the pages."""
        headers, cookies = dict(more.pop("headers", {})), {}
        if pages and by is not None:
            cookies = {"sessionid": self.stack.cookie(by), "csrftoken": "c" * 32}
            headers |= {"Referer": f"{self.stack.url}{path}", "X-CSRFToken": "c" * 32}
        elif by is not None or token:
            headers["Authorization"] = f"Bearer {token or self.stack.token(by)}"  # type: ignore[arg-type]  # one of both
        given = {"headers": headers, "cookies": cookies, "allow_redirects": False, **more}
        answer = requests.request(method, f"{self.stack.url}{path}", timeout=60, **given)
        self.headers += [f"{name}: {value}" for name, value in answer.headers.items()]
        links = map("".join, LINK.findall(answer.text))
        self.addresses += [link for link in links if not link.startswith(DIALS)]
        (self.refusals if answer.status_code >= 400 else self.shown).append(answer.text)
        return answer

    def done(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Send one request that has to be done; return what its JSON says."""
        answer = self.ask(method, path, **more)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:600])
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer


@dataclass
class Places:
    """The places around one stack; each is read anew each time."""

    stack: CanaryStack
    visitor: Visitor

    def read(self) -> dict[str, str]:
        """Return {place: all its text}."""
        return {name: read() for name, read in self.readers().items()}

    def readers(self) -> dict[str, Callable[[], str]]:
        stack = self.stack
        return {
            "logs of the parts": lambda: stack.logged_since({}),
            "log of PostgreSQL": stack.postgres_log,
            "keys and values of Redis": lambda: everything_in(stack.stage.redis.url),
            "what Redis writes to disk": self._redis_on_disk,
            "Flower": lambda: "\n".join(map(stack.flower_says, FLOWER)),
            "metrics": stack.numbers,
            "log of the admin": lambda: stored("django_admin_log", ["django_admin_log::text"]),
            "sessions": lambda: repr([(one.session_key, one.get_decoded()) for one in Session.objects.all()]),
            "refusals and errors": lambda: "\n".join(self.visitor.refusals),
            "headers": lambda: "\n".join(self.visitor.headers),
            "addresses": lambda: "\n".join([*self.visitor.addresses, *stack.asked_of_others()]),
            "traces": stack.spans,
            "temporary files": lambda: files_in(stack.temporary),
            "other files": lambda: files_in(stack.folder, but=KEPT_IN | {"logs", "tmp", "valkey"}),
            "names of files": lambda: "\n".join(str(path) for path in stack.folder.rglob("*")),
            "tables about rows": lambda: "\n".join(stored(*one) for one in (about_rows() | of_no_patient()).items()),
        }

    def _redis_on_disk(self) -> str:
        return files_in(self.stack.folder / "valkey")


def of_no_patient() -> dict[str, list[str]]:
    """Return {table: all of a row} of each table whose rows are about no patient, however many steps away."""
    about = {model._meta.db_table for model in about_patients()}
    return {name: [f"{name}::text"] for name in connection.introspection.table_names() if name not in about}


def messages(stack: CanaryStack) -> dict[str, list[dict[str, Any]]]:
    """Return {kind: messages that left}, by recipient and text: mails of the outbox, texts that the provider took."""
    mails = [json.loads(path.read_text()) for path in sorted((stack.folder / "outbox").glob("*.json"))]
    told = [{"to": one.pop("to"), "text": " ".join(map(str, one.values())), "plain": one["text"]} for one in mails]
    texts = [{"to": one.to, "text": one.body, "plain": one.body} for one in stack.twilio.sent]
    return {"email": told, "sms": texts}
