"""A provider in memory under the same contract tests as the real ones; without it unit tests would need sockets."""

from __future__ import annotations

from collections import deque

from integrations.email import Email, Found, LostEmail
from integrations.errors import IntegrationError, Unknown


class FakeEmail:
    """Takes every message; `sent` holds them in order. An Unknown failure takes the message and loses the answer."""

    can_find = True

    def __init__(self) -> None:
        self.sent: list[Email] = []
        self._failures: deque[IntegrationError] = deque()

    def fail_next(self, *errors: IntegrationError) -> None:
        """Raise `errors` one by one instead of the next answers."""
        self._failures.extend(errors)

    def send(self, email: Email) -> str:
        error = self._failures.popleft() if self._failures else None
        if error is None or isinstance(error, Unknown):
            self.sent.append(email)
        if error is not None:
            raise error
        return f"fake-{email.attempt_id}"

    def find(self, lost: LostEmail) -> Found | None:
        return Found(f"fake-{lost.attempt_id}") if lost.attempt_id in {mail.attempt_id for mail in self.sent} else None
