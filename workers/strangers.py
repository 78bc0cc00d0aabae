"""Turns away messages that are no bells of ours; without it a worker would open them, or write them into its log.

Who reaches the broker, Flower too, may ask a worker for what it does, and neither for its settings nor to do less.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from celery.app.control import Control
from celery.worker.consumer import Consumer
from celery.worker.control import Panel
from kombu.transport import redis
from kombu.transport.virtual import Message
from kombu.utils import json

from backend.apps.core import dispatch, opaque

TELL, TELL_EVERY_S = "sweep.tell_stranger", 5.0
ASKED = frozenset(  # of a worker, by probes and by Flower
    {
        "active", "active_queues", "enable_events", "heartbeat", "ping", "registered", "reserved", "revoked",
        "scheduled", "stats",
    }
)  # fmt: skip
UNOPENED = "application/x-unopened"  # our own word for what was not even looked into
LONGEST, MOST = 16_000, 100_000  # characters of a body as it travels, and of a message with all around it
KNOWN = {  # by what a message calls itself; anything else may be free text
    opaque.CONTENT_TYPE: "a bell",
    opaque.EARLIER: "JSON",
    "application/x-python-serialize": "pickle",
    "application/x-yaml": "YAML",
    "application/x-msgpack": "msgpack",
    "application/data": "bytes",
    "text/plain": "text",
    UNOPENED: "packed, too long or broken",
}
log = logging.getLogger(__name__)


class Unopened(Message):
    """A message of which only what may be a bell is unpacked: some bytes of a stranger's may unpack to gigabytes."""

    def __init__(self, payload: Any, channel: Any = None, **how: Any) -> None:
        taken = payload if _may_be_opened(payload) else _emptied()
        try:
            super().__init__(taken, channel, **how)  # type: ignore[no-untyped-call]  # kombu has no types
        except (ValueError, TypeError, AttributeError):  # of a body that is not written as it says
            super().__init__(_emptied(), channel, **how)  # type: ignore[no-untyped-call]  # nor here


def read(text: str) -> Any:
    """Return what a text of the broker holds as JSON; nothing, where it is too long for a bell or no JSON."""
    try:
        return json.loads(text) if len(text) <= MOST else {}  # type: ignore[no-untyped-call]  # nor here
    except (ValueError, RecursionError):
        return {}


def open_little(**_: Any) -> None:
    """Let this process, a worker or beat, which read no long answers of others, unpack nothing that is no bell."""
    redis.Channel.Message = Unopened
    redis.loads = read  # type: ignore[assignment]  # by which messages are read, and with no other words


def _may_be_opened(payload: Any) -> bool:
    """Tell whether a message is short, not packed, and whole enough to be told from others."""
    if not isinstance(payload, Mapping) or not isinstance(payload.get("properties"), Mapping):
        return False
    headers, body, properties = payload.get("headers"), payload.get("body"), payload["properties"]
    where = properties.get("delivery_info")
    is_plain = isinstance(headers, Mapping) and "compression" not in headers
    is_short = isinstance(body, str) and len(body) <= LONGEST
    is_whole = isinstance(where, Mapping) and {"exchange", "routing_key"} <= where.keys()
    return is_plain and is_short and is_whole and isinstance(properties.get("delivery_tag"), str)


def _emptied() -> dict[str, Any]:
    """Return what stands for a message that is not opened; it is acknowledged as any other."""
    where = {"exchange": "", "routing_key": ""}
    return {
        "body": "",
        "content-type": UNOPENED,
        "headers": {},
        "properties": {"delivery_tag": str(uuid.uuid4()), "delivery_info": where},
    }


class Gatekeeper(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which looks at each message before anything of it is decoded, run or told.

    What is no bell is acknowledged, so that it does not come again, told of by its kind, and opens an alert. A bell of
    an earlier version says nothing either: it is let go, and the sweep rings again for its rows.
    """

    def __init__(self, *how: Any, **more: Any) -> None:
        open_little()
        Panel.data = Commands()
        self._told_at_s = float("-inf")
        super().__init__(*how, **more)

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
            return self.tell()

        return received

    def tell(self) -> None:
        """Ring for the alert, which is one however many there were; a flood of them is no flood of bells."""
        if time.monotonic() - self._told_at_s >= TELL_EVERY_S and dispatch.send(TELL):
            self._told_at_s = time.monotonic()

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


class Commands(dict[str, Callable[..., Any]]):
    """What a worker does at a word from outside its queues: it tells of what it is at, and nothing else.

    Celery's own would end it, let it leave its queues, or tell all settings, with the passwords among them.
    """

    def __init__(self) -> None:
        super().__init__({name: do for name, do in Panel.data.items() if name in ASKED})
        self["conf"] = lambda _state, **_: {}  # Flower asks for it

    def __missing__(self, name: str) -> Callable[..., Any]:
        return _turned_away


def _turned_away(state: Any, **_: Any) -> dict[str, str]:
    log.critical("a command that is none of ours was turned away")
    state.consumer.tell()
    return {"error": "not taken"}


class RemoteControl(Control):  # type: ignore[misc]  # Celery has no types
    """What `inspect` and Flower ask workers by: it holds no task's message, so it stays JSON."""

    def __init__(self, app: Any = None) -> None:
        super().__init__(app)
        self.mailbox.accept, self.mailbox.serializer = ["json"], "json"
