"""Keeps what a task raises out of the broker: Celery's events carry the text of an exception, and it may be a row's."""

from __future__ import annotations

from functools import partial
from typing import Any

from workers.following import TracedTask
from workers.runner import HandlerBug, attempt, told_where


class QuietTask(TracedTask):
    """The base of all tasks: of what is raised Redis, Flower and Celery's log learn the kind, our log the place too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task.

        Raises:
            HandlerBug: whatever else was raised, which is not its cause or context: a traceback would tell that too.
        """
        done, error = attempt(partial(super().__call__, *args, **kwargs))
        if error is None:
            return done
        if isinstance(error, HandlerBug):
            raise error
        raise HandlerBug(f"{told_where(error, self.name)} in {self.name}")
