"""A signed-in member of the demo clinic; without it each scene of the demo would speak HTTP in its own way."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from workers.cli.errors import Refused
from workers.cli.state import Running

PASSWORD = "demo-clinic-2026"  # printed in the README
PATIENCE_S = 90.0

Line = tuple[str, str, str]  # what, id, state


@dataclass(frozen=True)
class Desk:
    """A signed-in member of the demo clinic."""

    base: str
    token: str

    @classmethod
    def of(cls, stack: Running, role: str) -> Desk:
        base = f"{stack.web_url}/api/v1"
        login = {"email": f"{role}@demo.clinic", "password": PASSWORD}
        answer = requests.post(f"{base}/auth/token/", json=login, timeout=30)
        if answer.status_code != 200:
            raise Refused(f"The demo login of the {role} is refused ({answer.status_code}); is this the demo clinic?")
        return cls(base, answer.json()["access"])

    def get(self, path: str, **params: Any) -> Any:
        return self._checked(requests.get(f"{self.base}/{path}", params=params, headers=self._headers(), timeout=30))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {**self._headers(), "Idempotency-Key": uuid.uuid4().hex}
        return self._checked(requests.post(f"{self.base}/{path}", json=body, headers=headers, timeout=30))

    def refusal(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post what has to be refused; return what the answer says, or only its status where it was done."""
        headers = {**self._headers(), "Idempotency-Key": uuid.uuid4().hex}
        answer = requests.post(f"{self.base}/{path}", json=body, headers=headers, timeout=30)
        said: dict[str, Any] = answer.json() if not answer.ok else {}
        return {"detail": "it was done", **said, "status": answer.status_code}

    def ring(self, path: str) -> None:
        """Post what starts something and answers nothing."""
        self._ok(requests.post(f"{self.base}/{path}", json={}, headers=self._headers(), timeout=30))

    def delete(self, path: str) -> None:
        self._ok(requests.delete(f"{self.base}/{path}", headers=self._headers(), timeout=30))

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._checked(requests.patch(f"{self.base}/{path}", json=body, headers=self._headers(), timeout=30))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _checked(self, answer: requests.Response) -> Any:
        self._ok(answer)
        return answer.json()

    def _ok(self, answer: requests.Response) -> None:
        if not answer.ok:
            detail = answer.json().get("detail", "") if "json" in answer.headers.get("Content-Type", "") else ""
            raise Refused(f"{answer.request.method} {answer.request.path_url} answered {answer.status_code}. {detail}")


def until(look: Callable[[], list[Any]]) -> list[Any]:
    """Return what `look` finds as soon as it finds something; refuse after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise Refused(f"Nothing came within {PATIENCE_S:.0f} s; see the logs of the stack.")
