"""Keeps what a task raises out of the broker, for Celery tells it to all, and lets a task begin with a database."""

from __future__ import annotations

from typing import Any

from backend.apps.core.connections import let_go
from workers.following import TracedTask
from workers.runner import HandlerBug, attempt, told_where


class QuietTask(TracedTask):
    """The base of all tasks: of what is raised Redis, Flower and Celery's log learn the kind, our log the place too.

    The text of an exception may be a row's. A connection that broke under an earlier task is not this one's: Django
    looks at it at the beginning of a request, and Celery, which keeps it between tasks, does not.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task.

        Raises:
            HandlerBug: whatever else was raised, which is not its cause or context: a traceback would tell that too.
        """
        run = super().__call__

        def begin() -> Any:
            let_go()
            return run(*args, **kwargs)

        done, error = attempt(begin)
        if error is None:
            return done
        if isinstance(error, HandlerBug):
            raise error
        raise HandlerBug(f"{told_where(error, self.name)} in {self.name}")
