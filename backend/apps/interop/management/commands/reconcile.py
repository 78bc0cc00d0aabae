"""Proves conservation to the row: what came in or was planned is in exactly one outcome, and nothing is there twice."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.apps.core.ledger import SHOWN, Account, Books, as_told
from backend.apps.interop.moments import moment
from backend.apps.interop.reconciling import PARTS


class Command(BaseCommand):
    help = "Prove that every message taken in or planned ended in exactly one outcome; exit code 1 when it does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", metavar="WHEN", help="a date or moment, in the clinic's zone; whole hours count")
        parser.add_argument("--until", metavar="WHEN", help="likewise (default: now)")
        parser.add_argument(
            "--settle-seconds", type=float, default=300.0, metavar="N",
            help="how long a message may be in line before that is a fault (default 300)",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print the books as one JSON document")
        parser.add_argument("--part", choices=PARTS, action="append", help="only this part; may be given again")

    def handle(self, *args: Any, settle_seconds: float, json: bool, **options: Any) -> None:
        since, until = moment(options["since"], "--since"), moment(options["until"], "--until")
        found = list[Books]()
        for name in options["part"] or PARTS:
            with bar(name, shown=not json and sys.stdout.isatty()) as progress:
                found.append(PARTS[name](since, until, settle=timedelta(seconds=settle_seconds), progress=progress))
        if json:
            self.stdout.write(as_json(found))
        else:
            for books in found:
                self.tell(books)
        if not all(books.agree for books in found):
            raise CommandError("The books do not agree.")

    def tell(self, books: Books) -> None:
        span = f"from {shown(books.since, 'the beginning')} until {shown(books.until, 'now')}"
        self.stdout.write(f"{books.part.capitalize()} {span}")
        names = list(dict.fromkeys(name for account in books.accounts for name in account.outcomes))
        self.stdout.write(f"{'':30}{'in':>10}" + "".join(f"{name:>11}" for name in [*names, "in line"]))
        for account in books.accounts:
            self.stdout.write(line_of(account, names))
        if books.waiting_since:
            self.stdout.write(f"Still in line since {books.waiting_since:%Y-%m-%d %H:%M:%S} UTC.")
        for fault in books.faults:
            examples = f": {', '.join(fault.examples[:SHOWN])}" if fault.examples else ""
            self.stdout.write(f"WRONG {fault.check}: {fault.sentence} ({fault.count}{examples})")
        self.stdout.write("Everything agrees, to the row." if books.agree else "This does not agree.")


def line_of(account: Account, names: list[str]) -> str:
    counts = [account.taken_in, *(account.outcomes.get(name, 0) for name in names), account.in_line]
    verdict = f"  {abs(account.unexplained)} {'missing' if account.unexplained > 0 else 'from nowhere'}"
    cells = "".join(f"{count:>{width},}" for count, width in zip(counts, (10, *(11,) * len(counts)), strict=False))
    return f"{account.name[:29]:30}{cells}{verdict if account.unexplained else ''}"


def shown(at: datetime | None, otherwise: str) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else otherwise


def as_json(found: list[Books]) -> str:
    return json.dumps([as_told(each) for each in found], indent=1)


@contextmanager
def bar(name: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that draws steps done on a terminal and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    with Progress(*columns, TimeRemainingColumn(), disable=not shown, transient=True) as drawn:
        task = drawn.add_task(name, total=None)
        yield lambda done, of: drawn.update(task, completed=done, total=of)
