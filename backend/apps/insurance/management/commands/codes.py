"""Loads code lists that the clinic brings: `./carerelay manage codes load icd10cm icd10cm_order_2026.txt`."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.insurance import code_sets
from backend.apps.insurance.code_files import CodeFileError
from backend.apps.insurance.models import CodeSet
from backend.apps.insurance.models.code_sets import CodeSetKind

YEAR = re.compile(r"20\d\d")
MOST_NAMED = 5
APRIL = (4, 1)  # of the update in the middle of a fiscal year, which says so in its name
FISCAL_YEAR = (10, 1)  # ICD-10-CM 2026 holds from October 1st, 2025


class Command(BaseCommand):
    help = "Load, list and remove code sets (ICD-10-CM, HCPCS, places of service, most units a day, ...)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="load|list|remove")
        load = verbs.add_parser("load", help="load one edition from a file")
        load.add_argument("kind", choices=CodeSetKind.values, metavar="KIND", help=", ".join(CodeSetKind.values))
        load.add_argument("file", type=Path, metavar="FILE", help="a list of CMS, or a CSV with a column code")
        load.add_argument("--version", dest="edition", default="", help="name of the edition (default: the file's)")
        load.add_argument("--from", dest="first", type=date.fromisoformat, metavar="DAY", help="its first day")
        verbs.add_parser("list", help="list the editions that are loaded")
        remove = verbs.add_parser("remove", help="take a wrong edition back")
        remove.add_argument("kind", choices=CodeSetKind.values, metavar="KIND", help=", ".join(CodeSetKind.values))
        remove.add_argument("name", metavar="VERSION", help="name of the edition, as list tells it")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list()
            return
        try:
            if verb == "remove":
                self._remove(options["kind"], options["name"])
            else:
                self._load(options["kind"], options["file"], options["edition"], options["first"])
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}. Nothing was loaded.") from error

    def _remove(self, kind: str, version: str) -> None:
        try:
            count = code_sets.remove(kind, version)
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Removed {count:,} codes of {kind} {version}.")

    def _load(self, kind: str, path: Path, version: str, first: date | None) -> None:
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        version, left_out = version or path.stem[:40], list[int]()
        if not sys.stdout.isatty():
            self.stdout.write(f"Loading {path.name} ...")
            self.stdout.flush()
        try:
            with progress() as bar:
                task = bar.add_task(kind, total=path.stat().st_size)
                made, is_new = code_sets.load(
                    kind,
                    path,
                    version=version,
                    valid_from=first or first_day(kind, path),
                    tell=lambda done: bar.advance(task, done),
                    leave_out=left_out.append,
                )
        except (CodeFileError, DomainError) as error:
            raise CommandError(f"{path.name}: {error} Nothing was loaded.") from error
        count = made.codes.count()
        told = "Loaded" if is_new else "There already:"
        self.stdout.write(f"{told} {count:,} codes of {made.kind} {made.version}, from {made.valid_from} on.")
        if is_new and first is None and kind != CodeSetKind.ICD10CM:
            self.stdout.write(
                f"Services before {made.valid_from} are not held against it: --from names an earlier day."
            )
        if left_out:
            places = ", ".join(map(str, left_out[:MOST_NAMED]))
            self.stdout.write(
                f"{len(left_out):,} lines have a form nobody knows and were left out, the first: {places}."
            )

    def _list(self) -> None:
        for one in CodeSet.objects.annotate(count=Count("codes")):
            last = one.valid_to or "on"
            self.stdout.write(f"{one.kind:9} {one.version:40} {one.valid_from} {last} {one.count:>9,} codes")


def first_day(kind: str, path: Path) -> date:
    """Return October 1st before the year in the name of an ICD-10-CM file (April 1st of it), else the clinic's day."""
    year = YEAR.search(path.name)
    if kind == CodeSetKind.ICD10CM and year and "april" in path.name.lower():
        return date(int(year.group()), *APRIL)
    if kind == CodeSetKind.ICD10CM and year:
        return date(int(year.group()) - 1, *FISCAL_YEAR)
    return Clinic.today()


def progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, disable=not sys.stdout.isatty())
