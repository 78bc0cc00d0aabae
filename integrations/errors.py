"""The three ways a partner can fail; without them callers would have to know each library's exceptions."""

from __future__ import annotations


class IntegrationError(Exception):
    """A partner did not do what we asked. `code` is short and for machines, as "twilio:21610".

    The message tells shapes and codes, never what was sent or to whom.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Transient(IntegrationError):
    """Nothing happened there; trying again may help.

    retry_after_s: how long the partner asked us to wait, in seconds, if it did.
    """

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Permanent(IntegrationError):
    """Nothing happened there, and the same request will never succeed."""


class Unknown(IntegrationError):
    """It may have happened: never repeat blindly, ask the partner first."""
