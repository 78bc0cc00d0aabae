"""Keeps a worker alive when Redis dies under a running task: Celery 5.7.0 with late acknowledgement exits otherwise.

`Channel.close()` raises out of a pending BRPOP before it marks itself closed; Celery closes the connection a second
time, tries to restore unacknowledged messages without a transport client, and exits with AttributeError. Closing again
at once lets the first close finish. The fault test `test_redis_dies_with_a_task_running` fails without this.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport import redis


def install() -> None:
    """Wrap `Channel.close` once; a second call changes nothing."""
    if getattr(redis.Channel.close, "closes_again", False):
        return
    original: Callable[[Any], None] = redis.Channel.close

    def close(self: Any) -> None:
        try:
            original(self)
        except self.connection_errors:
            original(self)

    close.closes_again = True  # type: ignore[attr-defined]  # our own mark
    redis.Channel.close = close  # type: ignore[method-assign]  # this is the guard
