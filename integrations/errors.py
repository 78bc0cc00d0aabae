"""The three ways a partner can fail; without them callers would have to know each library's exceptions."""

from __future__ import annotations

from typing import ClassVar


class IntegrationError(Exception):
    """A partner did not do what we asked. `code` is short and for machines, as "twilio:21610".

    The message tells shapes and codes, never what was sent or to whom. `sort` names the class where only text is kept.
    """

    sort: ClassVar[str] = ""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Transient(IntegrationError):
    """Nothing happened there; trying again may help.

    retry_after_s: how long the partner asked us to wait, in seconds, if it did.
    """

    sort = "transient"

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Misconfigured(Transient):
    """Our account, sender or permission is wrong: nothing was sent, and nothing will be until a person acts."""

    sort = "misconfigured"
    WAIT_S: ClassVar[float] = 300.0

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = WAIT_S) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)


class Permanent(IntegrationError):
    """Nothing happened there, and the same request will never succeed."""

    sort = "permanent"


class BadAddress(Permanent):
    """The number or address cannot take such a message, now or later: mark it, and use another."""

    sort = "bad_address"


class OptedOut(Permanent):
    """Its owner does not want to hear from us this way."""

    sort = "opted_out"


class Blocked(Permanent):
    """Somebody on the way filters us, or our registration there is missing: a repeat makes it worse."""

    sort = "blocked"


class Expired(Permanent):
    """It was not delivered while it was valid, and must not come late."""

    sort = "expired"


class Unknown(IntegrationError):
    """It may have happened: never repeat blindly, ask the partner first."""

    sort = "unknown"
