"""A provider in memory under the same contract tests as the real ones; without it unit tests would need sockets."""

from __future__ import annotations

from collections import deque

from integrations.errors import IntegrationError, Permanent, Unknown
from integrations.sms import Found, LostSms, MessageStatus, Sms


class FakeSms:
    """Takes every message; `sent` holds them in order. An Unknown failure takes the message and loses the answer."""

    can_find = True

    def __init__(self) -> None:
        self.sent: list[Sms] = []
        self.statuses: dict[str, MessageStatus] = {}  # what a test lets happen, by message id
        self._failures: deque[IntegrationError] = deque()

    def fail_next(self, *errors: IntegrationError) -> None:
        """Raise `errors` one by one instead of the next answers."""
        self._failures.extend(errors)

    def send(self, sms: Sms) -> str:
        error = self._failures.popleft() if self._failures else None
        if error is None or isinstance(error, Unknown):
            self.sent.append(sms)
        if error is not None:
            raise error
        return f"fake-{sms.attempt_id}"

    def find(self, lost: LostSms) -> Found | None:
        message_id = f"fake-{lost.attempt_id}"
        if message_id in lost.taken or lost.attempt_id not in {sms.attempt_id for sms in self.sent}:
            return None
        return Found(message_id, self.status(message_id))

    def status(self, message_id: str) -> MessageStatus:
        if message_id not in {f"fake-{sms.attempt_id}" for sms in self.sent}:
            raise Permanent("no such message", code="fake:404")
        return self.statuses.get(message_id, MessageStatus("sent", status="sent"))
