"""Ties log lines and spans to the row a worker is at; without it a line could not be told from those of other rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Task

from backend.apps.core.work import WorkItem
from backend.config import logs, tracing

log = logging.getLogger("workers.rows")


@contextmanager
def about(item: WorkItem) -> Iterator[None]:
    """Let all that is written in the block name this row."""
    work, key = type(item).__name__, str(item.pk)
    with logs.bound(work=work, work_id=key), tracing.span(f"{item.task_name} row", work=work, work_id=key):
        yield


def answered(changes: Mapping[str, Any]) -> None:
    """Note by what id the partner knows what was sent, where it told one."""
    if known := changes.get("external_id"):
        logs.note(provider_id=str(known))


def tell(outcome: str) -> None:
    """Write the line that says how the row of this block ended."""
    log.info("ended", extra={"outcome": outcome})


def tell_of(item: WorkItem, result: Mapping[str, Any] | Exception) -> None:
    """Write the same of a row that was one of many, which had no block of its own."""
    if isinstance(result, Mapping):
        ended = {"outcome": "done", "provider_id": result.get("external_id")}
    else:
        ended = {"outcome": type(result).__name__}
    log.info("ended", extra={"work": type(item).__name__, "work_id": item.pk, **ended})


class TracedTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task whose run is one span, named as the task; the engines note on it how its rows ended."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with tracing.span(self.name):
            return super().__call__(*args, **kwargs)
