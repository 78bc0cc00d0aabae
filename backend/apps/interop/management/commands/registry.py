"""Loads the monthly files of public registries: `./carerelay manage registry load leie UPDATED.csv`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from backend.apps.core import audit
from backend.apps.credentials.models import RegistrySource
from backend.apps.interop.registry_checks import SOURCES, check, folder
from integrations.registries import RegistryFileError
from integrations.registries.store import edition, load


class Command(BaseCommand):
    help = "Load the public files of NPPES and LEIE, list what is loaded, and look the staff up in them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="load|list|check")
        loading = verbs.add_parser("load", help="load one edition from its file, in place of the one before")
        loading.add_argument("source", choices=RegistrySource.values, metavar="SOURCE", help="nppes or leie")
        loading.add_argument("file", type=Path, metavar="FILE", help="the CSV, or the .zip it comes in")
        loading.add_argument("--edition", type=date.fromisoformat, metavar="DAY", help="its day (default: the file's)")
        loading.add_argument("--anyway", action="store_true", help="also a file that seems too small or too old")
        verbs.add_parser("list", help="list the editions that are loaded")
        verbs.add_parser("check", help="look everybody on the staff up now and not with the next day")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        {"load": self.load, "list": self.list, "check": self.look}[verb](options)

    def load(self, options: dict[str, Any]) -> None:
        source, path = options["source"], options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        if not sys.stdout.isatty():
            self.stdout.write(f"Loading {path.name} ...")
            self.stdout.flush()
        try:
            with progress() as bar:
                task = bar.add_task(source, total=None)
                made = load(
                    source,
                    path,
                    folder(),
                    day=options["edition"],
                    anyway=options["anyway"],
                    tell=lambda done, size: bar.update(task, completed=done, total=size),
                )
        except RegistryFileError as error:
            raise CommandError(f"{path.name}: {error} The edition before stays in use.") from error
        except OSError as error:
            raise CommandError(f"{path.name} cannot be loaded: {error.strerror}.") from error
        audit.record(None, "load", "registry", f"{source} {made.name}")
        self.stdout.write(f"Loaded {made.rows:,} rows of {source}, edition {made.name}. Staff are looked up every day;")
        self.stdout.write("`./carerelay manage registry check` does it now.")

    def list(self, options: dict[str, Any]) -> None:
        for source in RegistrySource.values:
            found = edition(source, folder())
            told = f"{found.name}  {found.rows:>11,} rows  loaded {found.loaded_at:%Y-%m-%d}" if found else "not loaded"
            self.stdout.write(f"{source:6} {told}")

    def look(self, options: dict[str, Any]) -> None:
        counts = sum(map(check, SOURCES), Counter[str]())
        for name, count in sorted(counts.items()):
            self.stdout.write(f"{count:>7,} {name}")
        if not counts:
            self.stdout.write("Nobody was looked up: no registry is loaded, or nobody works here.")


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, disable=not sys.stdout.isatty())
