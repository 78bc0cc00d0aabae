"""Says under which keys sealed columns are, and seals them under the newest; without it no key could be given up."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import models
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.apps.core import resealing, sealed
from backend.apps.core.resealing import Resealed, Tell

SHOWN = 5  # ids of rows that do not open


class Command(BaseCommand):
    help = "Sealed columns: which keys they are under (status), and sealing all under the first key (rotate)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["status", "rotate"])
        parser.add_argument(
            "--indexes", action="store_true", help="also write all blind indexes anew, under the first key for them"
        )

    def handle(self, *args: Any, what: str, indexes: bool, **options: Any) -> None:
        if what == "rotate":
            self.rotate(indexes=indexes)
        self.tell()

    def tell(self) -> None:
        """Print how many values of each column are under which key; fail where a key is not in the settings."""
        known = [name for name, _ in settings.FIELD_KEYS]
        self.stdout.write(f"CARERELAY_FIELD_KEYS: {', '.join(known)}; {known[0]} writes.")
        unknown = set[str]()
        for seal in resealing.status():
            key = seal.key_id or "NOT SEALED"
            if seal.key_id not in known:
                unknown.add(key)
            where, note = f"{seal.model._meta.label}.{seal.column}", "" if seal.key_id in known else "  cannot be read"
            self.stdout.write(f"{where:50} {key:10} {seal.values:>12,}{note}")
        if unknown:
            names = ", ".join(sorted(unknown))
            raise CommandError(f"Some values cannot be read: {names}. Add the keys that are missing.")

    def rotate(self, *, indexes: bool) -> None:
        closed = list[str]()
        for model in resealing.sealed_models():
            with bar(model, resealing.stale(model)) as tell:
                found = resealing.rotate(model, tell)
            if indexes and sealed.indexes(model):
                again = resealing.reindex(model)
                found = found._replace(rows=found.rows + again.rows, closed=found.closed or again.closed)
            closed += self.told(model, found)
        if closed:
            raise CommandError(" ".join(closed))

    def told(self, model: type[models.Model], found: Resealed) -> Iterator[str]:
        """Print what became of a table; yield what a person has to do about it."""
        if found.rows:
            self.stdout.write(f"{model._meta.label}: {found.rows:,} rows sealed anew.")
        if found.closed:
            ids = ", ".join(map(str, found.closed[:SHOWN]))
            rows = f"{len(found.closed)} rows do not open ({ids})"
            yield f"{model._meta.label}: {rows}: was a key taken out, or a row changed?"
        if found.held:
            yield f"{model._meta.label}: {found.held} rows were held by others all the time; run this again."


@contextmanager
def bar(model: type[models.Model], rows: int) -> Iterator[Tell]:
    """Yield a callback that draws rows done on a terminal and nothing elsewhere."""
    shown = rows > 0 and sys.stdout.isatty()
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, disable=not shown) as progress:
        task = progress.add_task(model._meta.label, total=rows)
        yield lambda done: progress.advance(task, done)
