"""Turns away messages that are no bells of ours; without it a worker would open them, or write them into its log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.app.control import Control
from celery.worker.consumer import Consumer

from backend.apps.core import dispatch, opaque

TELL = "sweep.tell_stranger"
KNOWN = {  # by what a message calls itself; anything else may be free text
    opaque.CONTENT_TYPE: "a bell",
    opaque.EARLIER: "JSON",
    "application/x-python-serialize": "pickle",
    "application/x-yaml": "YAML",
    "application/x-msgpack": "msgpack",
    "application/data": "bytes",
    "text/plain": "text",
}
log = logging.getLogger(__name__)


class Gatekeeper(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which looks at each message before anything of it is decoded, run or told.

    What is no bell is acknowledged, so that it does not come again, told of by its kind, and opens an alert. A bell of
    an earlier version says nothing either: it is let go, and the sweep rings again for its rows.
    """

    def create_task_handler(self, *how: Any, **more: Any) -> Callable[[Any], Any]:
        """Return what takes a message."""
        take = super().create_task_handler(*how, **more)

        def received(message: Any) -> Any:
            wrong = opaque.fault(message.headers, message.body)
            if message.content_type == opaque.CONTENT_TYPE and not wrong:
                return take(message)
            message.ack()
            if message.content_type == opaque.EARLIER and not wrong:
                return log.info("a bell of an earlier version was let go; its rows wait for the sweep")
            kind = KNOWN.get(message.content_type, "another kind")
            log.critical("a message that is no bell was turned away: %s; %s", kind, wrong or "of another type")
            return dispatch.send(TELL)

        return received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._unfit(message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._unfit(message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self._unfit(message, None)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._unfit(message, exc)

    def _unfit(self, message: Any, exc: Exception | None) -> None:
        """Let go of a bell that no task of this worker takes: Celery's own words would quote it."""
        log.error("a bell that nobody here takes was let go: %s", type(exc).__name__)
        message.ack()


class RemoteControl(Control):  # type: ignore[misc]  # Celery has no types
    """What `inspect` and Flower ask workers by: it holds no task's message, so it stays JSON."""

    def __init__(self, app: Any = None) -> None:
        super().__init__(app)
        self.mailbox.accept, self.mailbox.serializer = ["json"], "json"
