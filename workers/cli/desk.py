"""A signed-in member of the demo clinic; without it each scene of the demo would speak HTTP in its own way."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from workers.cli import stopping
from workers.cli.errors import Refused
from workers.cli.state import Running

PASSWORD = "demo-clinic-2026"  # nosemgrep: secret-in-code  # printed in the README
ANSWER_S, PATIENCE_S = 30.0, 90.0

Line = tuple[str, str, str]  # what, id, state


@dataclass(frozen=True)
class Desk:
    """A signed-in member of the demo clinic."""

    base: str
    token: str

    @classmethod
    def of(cls, stack: Running, role: str) -> Desk:
        """Sign in; refuse a stack that does not know this member of the demo clinic."""
        desk = cls(f"{stack.web_url}/api/v1", "")
        answer = desk._ask("POST", "auth/token/", json={"email": f"{role}@demo.clinic", "password": PASSWORD})
        token = _content(answer).get("access") if answer.ok else None
        if not token:
            raise Refused(f"The demo login of the {role} is refused ({answer.status_code}); is this the demo clinic?")
        return cls(desk.base, token)

    def get(self, path: str, **params: Any) -> Any:
        return _content(_taken(self._ask("GET", path, params=params)))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return _content(_taken(self._ask("POST", path, json=body)))

    def refusal(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post what has to be refused; return what the answer says, or only its status where it was done."""
        answer = self._ask("POST", path, json=body)
        said: dict[str, Any] = _content(answer) if not answer.ok else {}
        return {"detail": "it was done", **said, "status": answer.status_code}

    def ring(self, path: str) -> None:
        """Post what starts something and answers nothing."""
        _taken(self._ask("POST", path, json={}))

    def delete(self, path: str) -> None:
        _taken(self._ask("DELETE", path))

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return _content(_taken(self._ask("PATCH", path, json=body)))

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        try:
            return requests.request(method, f"{self.base}/{path}", headers=headers, timeout=ANSWER_S, **more)
        except requests.RequestException as error:
            raise Refused(f"{method} {path} was not answered ({type(error).__name__}).") from error


def _taken(answer: requests.Response) -> requests.Response:
    """Return the answer if it is no refusal."""
    if not answer.ok:
        detail = _content(answer).get("detail", "") if "json" in answer.headers.get("Content-Type", "") else ""
        raise Refused(f"{answer.request.method} {answer.request.path_url} answered {answer.status_code}. {detail}")
    return answer


def _content(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except requests.JSONDecodeError:
        where = f"{answer.request.method} {answer.request.path_url}"
        raise Refused(f"{where} answered {answer.status_code} with what is no JSON.") from None


def until(look: Callable[[], list[Any]]) -> list[Any]:
    """Return what `look` finds as soon as it finds something; refuse after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        stopping.pause(0.5)
    raise Refused(f"Nothing came within {PATIENCE_S:.0f} s; see the logs of the stack.")
