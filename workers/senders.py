"""Says what a failed send means for all its sender has yet to send; without it each row would find out alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from django.utils import timezone

from backend.apps.messaging import senders
from backend.apps.messaging.senders import Bucket
from integrations.errors import Misconfigured, Permanent, Transient, Unknown
from workers.runner import Again

ASKED_TO_WAIT_S = 10.0  # after 429 without a Retry-After
MISCONFIGURED_S = 300.0
TOO_MANY = ("http-429", "20429")


def is_ours(error: object) -> bool:
    """Whether the row has no part in it: it goes back in line as if it had not been tried."""
    return isinstance(error, Misconfigured) or asked_to_wait_s(error) is not None


def asked_to_wait_s(error: object) -> float | None:
    """Return for how long the provider wants to hear nothing from this sender, None where it does not say so."""
    if not isinstance(error, Transient) or isinstance(error, Misconfigured):
        return None
    if error.retry_after_s:
        return error.retry_after_s
    return ASKED_TO_WAIT_S if error.code.endswith(TOO_MANY) else None


class Wire:
    """What the threads of one run find out about one sender: closed, those that have not begun to speak do not.

    The database learns it soon after (`learn`); until then this keeps a run from burning what it has begun.
    """

    def __init__(self) -> None:
        self.is_closed, self._down = False, 0

    def speak(self, send: Callable[[], str], *, until: datetime | None = None) -> dict[str, Any]:
        """Send one message; runs in many threads at once, and a count that is off by one does no harm.

        until: when it is of no more use.

        Raises:
            Again: the sender was stopped first, or it is too late: whoever reads the row next decides.
        """
        if self.is_closed or (until is not None and timezone.now() >= until):
            raise Again
        try:
            sent = {"external_id": send()}
        except (Transient, Unknown) as error:
            self._down += 1
            self.is_closed = self.is_closed or is_ours(error) or self._down >= senders.UNREACHED
            raise
        except Permanent:
            self._down = 0
            raise
        self._down = 0
        return sent


def learn(bucket: Bucket, results: Sequence[object], *, is_probe: bool) -> bool:
    """Take in how messages of one sender ended, in order; return whether it is stopped now.

    A provider that refuses for good shows that it works. One that cannot be reached, or never answers, does not: after
    some in a row nothing more is put at risk.
    """
    for result in results:
        if isinstance(result, Misconfigured):
            senders.pause(bucket, result.code, MISCONFIGURED_S, alert=True)
            return True
        if (seconds := asked_to_wait_s(result)) is not None:
            senders.pause(bucket, getattr(result, "code", ""), seconds)
            return True
    down = list(takewhile(is_down, reversed(results)))
    if len(down) < len(results):
        senders.works(bucket, is_probe=is_probe)
    return bool(down) and senders.fail(bucket, getattr(down[0], "code", ""), len(down))


def is_down(result: object) -> bool:
    return isinstance(result, Transient | Unknown)
