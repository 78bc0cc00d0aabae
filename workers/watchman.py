"""Lets each worker ring for `sweep.catch_up` by itself; without it nobody at work would notice a beat that died."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from backend.apps.core import dispatch

TASK, EVERY_S = "sweep.catch_up", 60.0


class Watchman(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """At the start of a worker and then every minute, beat or not. The task is harmless however often it runs."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        self.entry: Any = None
        super().__init__(parent, **options)

    def start(self, parent: Any) -> None:
        dispatch.send(TASK)
        self.entry = parent.timer.call_repeatedly(EVERY_S, dispatch.send, (TASK,))

    def stop(self, parent: Any) -> None:
        """The connection to the broker is gone, or the worker ends; with the next connection it starts again."""
        if self.entry is not None:
            self.entry.cancel()
            self.entry = None
