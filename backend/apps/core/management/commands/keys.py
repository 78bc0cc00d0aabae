"""Says under which keys sealed columns are, seals them under the newest, and what stayed plain; for who runs it all."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import models
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.apps.core import closed_values, indexing, resealing, sealed
from backend.apps.core.resealing import Resealed, Tell

SHOWN = 5  # ids of rows
HELP = "Add the keys that are missing; `keys seal` seals what is not."


class Command(BaseCommand):
    help = (
        "Sealed columns: which keys they are under (status); whether all of them open (check); sealing all under the "
        "first key (rotate); sealing what stayed plain (seal)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["status", "check", "rotate", "seal"])
        parser.add_argument(
            "--indexes", action="store_true", help="with rotate: also write blind indexes under the first key for them"
        )

    def handle(self, *args: Any, what: str, indexes: bool, **options: Any) -> None:
        told = list[str]()
        if what in {"rotate", "seal"}:
            self.insist()
            work = resealing.rotate if what == "rotate" else resealing.mend
            count = resealing.stale if what == "rotate" else resealing.plain
            told = [line for model in resealing.sealed_models() for line in self.sealed(model, work, count(model))]
        if what == "rotate" and indexes:
            told += [line for model in resealing.sealed_models() for line in self.indexed(model)]
        if what == "check":
            told = [line for model in resealing.sealed_models() for line in self.checked(model)]
        if told:
            raise CommandError(" ".join(told))
        self.tell()

    def insist(self) -> None:
        """Refuse before anything is done where triggers would stop the work half way."""
        foreign = [model._meta.db_table for model in resealing.sealed_models() if not resealing.may_seal(model)]
        if foreign:
            raise CommandError(
                f"This is for who owns the tables ({foreign[0]}, ...). With Compose: "
                "docker compose run --rm migrate python backend/manage.py keys ...; elsewhere set DATABASE_OWNER_URL."
            )

    def tell(self) -> None:
        """Print how many values of each column are under which key; fail where a key is not in the settings.

        Of blind indexes it looks at some rows.
        """
        known = [name for name, _ in settings.FIELD_KEYS]
        self.stdout.write(f"CARERELAY_FIELD_KEYS: {', '.join(known)}; {known[0]} writes.")
        unknown = set[str]()
        for seal in resealing.status():
            key = seal.key_id or "NOT SEALED"
            if seal.key_id not in known:
                unknown.add(key)
            where, note = f"{seal.model._meta.label}.{seal.column}", "" if seal.key_id in known else "  cannot be read"
            self.stdout.write(f"{where:50} {key:10} {seal.values:>12,}{note}")
        told = [str(lost) for lost in indexing.lost()]
        if unknown:
            told.insert(0, f"Some values cannot be read: {', '.join(sorted(unknown))}. {HELP}")
        if told:
            raise CommandError("\n".join(told))

    def sealed(self, model: type[models.Model], work: Callable[..., Resealed], rows: int) -> Iterator[str]:
        """Seal a table; print what became of it and yield what a person has to do about it."""
        label = model._meta.label
        with bar(model, rows) as tell:
            found = work(model, tell)
        if found.rows:
            self.stdout.write(f"{label}: {found.rows:,} rows sealed anew.")
        if found.closed:
            yield closed(label, found.closed)
        if found.held:
            yield f"{label}: {found.held} rows were held by others all the time; run this again."
        if found.clashing:
            yield clash(label, found.clashing)

    def indexed(self, model: type[models.Model]) -> Iterator[str]:
        label = model._meta.label
        if not sealed.indexes(model):
            return
        with bar(model, model._base_manager.count()) as tell:
            found = indexing.reindex(model, tell)
        self.stdout.write(f"{label}: blind indexes of {found.rows:,} rows written anew.")
        if found.clashing:
            yield clash(label, found.clashing)
        if found.held:
            yield f"{label}: {len(found.held)} rows were held by others all the time; run this again."
        if found.closed:
            yield closed(label, found.closed)

    def checked(self, model: type[models.Model]) -> Iterator[str]:
        with bar(model, model._base_manager.count()) as tell:
            found = resealing.check(model, tell)
        self.stdout.write(f"{model._meta.label}: {found.rows:,} rows open.")
        if found.closed:
            yield closed(model._meta.label, found.closed)
        else:
            closed_values.clear(sealed.columns(model))


def closed(label: str, keys: Sequence[Any]) -> str:
    return (
        f"{label}: {len(keys)} rows hold a value that does not open ({ids(keys)}): was a key taken out, the row "
        "changed, or a value never sealed (`keys seal`)?"
    )


def clash(label: str, keys: Sequence[Any]) -> str:
    return f"{label}: these rows have a value another row has: {ids(keys)}. Correct one of each pair, and run it again."


def ids(keys: Sequence[Any]) -> str:
    return ", ".join(map(str, keys[:SHOWN])) + (", ..." if len(keys) > SHOWN else "")


@contextmanager
def bar(model: type[models.Model], rows: int) -> Iterator[Tell]:
    """Yield a callback that draws rows done on a terminal and nothing elsewhere."""
    shown = rows > 0 and sys.stdout.isatty()
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, disable=not shown) as progress:
        task = progress.add_task(model._meta.label, total=rows)
        yield lambda done: progress.advance(task, done)
