"""Shows what is kept how long, counts what is too old, and removes what a rule lets; else only the beat could."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Drawn

from backend.apps.core import retention
from backend.apps.core.exceptions import DomainError
from backend.apps.core.retention import Progress
from backend.apps.interop import retention_rules
from backend.apps.interop.retention_classes import BY_RULE, named
from backend.apps.interop.retention_rules import Line

ALL = ""  # --dry-run without a class


class Command(BaseCommand):
    help = "Show how long each class of data is kept; --dry-run counts what is too old, --apply removes it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        one = parser.add_mutually_exclusive_group()
        one.add_argument(
            "--dry-run", nargs="?", const=ALL, metavar="CLASS",
            help="count what is too old, of one class or of all that have a rule; removes nothing",
        )  # fmt: skip
        one.add_argument("--apply", metavar="CLASS", help="remove what is too old of one class, whose rule is active")

    def handle(self, *args: Any, dry_run: str | None, apply: str | None, **options: Any) -> None:
        try:
            if dry_run is not None:
                self.look([of.name for of in BY_RULE] if dry_run == ALL else [dry_run])
            elif apply is not None:
                self.remove(apply)
            else:
                self.tell()
        except DomainError as refusal:
            raise CommandError(str(refusal)) from refusal

    def tell(self) -> None:
        self.stdout.write(f"{'class':20}{'keep':>7}{'floor':>7}  {'rule':14}{'last run':42}law")
        for line in retention_rules.table():
            law = line.of.law if line.rule is None else line.rule.legal_source
            self.stdout.write(f"{line.of.name:20}{_days(line)}  {_state(line):14}{_last(line):42}{law}".rstrip())

    def look(self, names: list[str]) -> None:
        for name in names:
            run = retention.look(named(name), retention_rules.of_class(name), by=None)
            tables = retention_rules.tables_of(run)
            self.stdout.write(f"{name:20}{run.found:12,} too old{tables}, before {run.cutoff:%Y-%m-%d %H:%M} UTC")
        self.stdout.write("Nothing was removed.")

    def remove(self, name: str) -> None:
        with bar(name, shown=sys.stdout.isatty()) as progress:
            run = retention_rules.purge(name, by=None, budget_s=float("inf"), progress=progress)
        self.stdout.write(f"{run.removed:,} of {run.found:,} removed (before {run.cutoff:%Y-%m-%d %H:%M} UTC)")


def _days(line: Line) -> str:
    if line.rule is None:
        return f"{'':7}{line.of.floor_days or '':>7}"
    return f"{line.rule.keep_days:>7}{line.of.floor_of(line.rule) or '':>7}"


def _state(line: Line) -> str:
    if line.rule is None:
        return "never removed" if line.of.kept else "expires"
    if line.rule.is_active:
        return "active"
    return "held" if line.rule.is_held else "not active"


def _last(line: Line) -> str:
    run = line.last
    if run is None:
        return ""
    what = f"{run.found:,} found" if run.is_dry else f"{run.removed:,} of {run.found:,} removed"
    return f"{run.created_at:%Y-%m-%d %H:%M} {what}"


@contextmanager
def bar(name: str, *, shown: bool) -> Iterator[Progress]:
    """Yield a callback that draws rows removed on a terminal and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rows"))
    with Drawn(*columns, TimeRemainingColumn(), disable=not shown, transient=True) as drawn:
        task = drawn.add_task(name, total=None)
        yield lambda done, of: drawn.update(task, completed=done, total=of)
