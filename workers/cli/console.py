"""Everything the command line prints; without it each command would format its own progress."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_WIDTH = 140  # a pipe has no width; URLs must not be cut
COLOURS = {"web": 36, "worker": 32, "beat": 35, "mllp": 33, "flower": 34, "postgres": 31, "redis": 31}


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def say(text: str) -> None:
    print(text, flush=True)


def prefixed(part: str, line: str) -> None:
    """Print one log line of a part behind the part's name, coloured on a terminal."""
    name = f"{part:>8} |"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        name = f"\033[{COLOURS.get(part, 37)}m{name}\033[0m"
    print(f"{name} {line}", flush=True)


def nothing(_part: str, _line: str) -> None:
    """Keep a line off the terminal; it is in the part's log."""


def table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    view = Table(*columns, title=title, title_justify="left")
    for row in rows:
        view.add_row(*row)
    console().print(view)


class Steps:
    """The progress of a start: a bar on a terminal, a line with its seconds for each finished step everywhere.

    The bar is redrawn only when asked, never by a thread: the process forks its parts while this is shown.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console(),
            auto_refresh=False,
            transient=True,
            disable=quiet or not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("starting", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def close(self) -> None:
        """Take the bar away; from here on others write to the terminal."""
        self._bar.stop()

    def tick(self) -> None:
        self._bar.refresh()

    @contextmanager
    def step(self, doing: str) -> Iterator[list[str]]:
        """Time one step. The caller may append what came out of it to the yielded list."""
        began = time.monotonic()
        outcome: list[str] = []
        self._bar.update(self._task, description=doing, refresh=True)
        yield outcome  # a step that fails leaves here and is not reported as finished
        self.finished(": ".join([doing, *outcome]), time.monotonic() - began)

    def finished(self, what: str, seconds: float) -> None:
        self._done += 1
        if not self._quiet:
            self._bar.console.print(f"[{self._done}/{self._total}] {what} ({seconds:.1f} s)", markup=False)
        self._bar.update(self._task, completed=self._done, refresh=True)
