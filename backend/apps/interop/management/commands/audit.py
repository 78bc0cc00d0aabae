"""Verifies the audit log, answers who saw a patient and what went out of one, and takes old months off."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Drawn

from backend.apps.core import (
    audit,
    audit_adopting,
    audit_archived,
    audit_checking,
    audit_files,
    audit_keys,
    audit_partitions,
    audit_settling,
    audit_strays,
    audit_verifying,
    csv_cells,
)
from backend.apps.core.audit_verifying import Progress, Result
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditArchive, Clinic
from backend.apps.core.statements import database_now
from backend.apps.interop import disclosures, who_saw
from backend.apps.interop.retention_classes import SIX_YEARS
from backend.apps.patients.models import Patient

STILL_SO = "verified{} up to {}: {:,} rows in {:,} seals"
NOT_AS_SEALED = (
    "The audit log, or what proves it, is not as it was sealed: {:,} findings. Stop nothing, keep the database and the "
    "anchors as they are now, and look each finding up in docs/audit.md."
)
UNREAD = "Files of months taken off that were not read: {:,}, with {:,} rows. `manage audit verify --all` reads them."
ELSEWHERE = "Of these {:,} are not in {}."


class Command(BaseCommand):
    help = "Verify the audit log, ask it who saw a patient, account for disclosures, take old months off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        verify = commands.add_parser(
            "verify", help="compare the log with its seals; exit code 1 where it is not as sealed"
        )
        verify.add_argument("--since", metavar="WHEN", help="only seals made since then (2026-11-30, or with a time)")
        verify.add_argument("--anchor", metavar="FILE", type=Path, help="compare with the anchors in this file")
        verify.add_argument("--all", action="store_true", help="read the files of months taken off too")
        verify.add_argument(
            "--file", metavar="FILE", type=Path, help="verify one file of a month taken off, and no more"
        )
        detach = commands.add_parser("detach", help="write an old month to a signed file and take it off the log")
        detach.add_argument(
            "month", metavar="MONTH", help="as 2026-12, or before: what there was before there were months"
        )
        detach.add_argument(
            "--keep", metavar="YEARS", type=int, help="keep it for longer than the six years it is always kept"
        )
        for name, about in (("who-saw", "who saw a patient"), ("disclosures", "what went out of a patient")):
            asking = commands.add_parser(name, help=f"{about}, and when")
            asking.add_argument("patient", metavar="PATIENT", help="an id or a record number")
            asking.add_argument("--from", dest="first", metavar="DAY", help="the first day (default: six years ago)")
            asking.add_argument("--to", dest="last", metavar="DAY", help="the last day (default: today)")
            asking.add_argument("--csv", action="store_true", help="as CSV")
        settle = commands.add_parser("settle", help="go on with the anchors after seals that were anchored were lost")
        settle.add_argument("--reason", required=True, help="why they are gone; it stays in the audit log")
        settle.add_argument("--anchor", metavar="FILE", type=Path, help="the lines that a collector kept")
        commands.add_parser("adopt", help="go on with the seals after the database was restored into another cluster")
        commands.add_parser("months", help="move rows that lie outside all months into theirs, and make those to come")
        commands.add_parser("key", help="show the public key, which verifies what ours signed")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        try:
            getattr(self, command.replace("-", "_"))(**options)
        except (DomainError, audit_files.BadFile) as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{error.filename or 'What is asked for'}: {error.strerror}.") from error

    def verify(
        self,
        *,
        since: str | None,
        anchor: Path | None,
        all: bool,
        file: Path | None,
        **options: Any,
    ) -> None:
        if file is not None:
            self.verify_file(file)
            return
        began_at = database_now()
        with bar(shown=sys.stdout.isatty()) as progress:
            result = audit_verifying.verify(
                since=None if since is None else moment(since), anchors=anchor, progress=progress
            )
        if anchor is not None:
            audit_checking.tell_apart("anchors", result)
        elif since is None or not result.good:  # a good look at a part proves nothing of the rest
            audit_checking.note(result, audit_checking.Run(result.first, began_at, result.first))
        if all:
            self.verify_files(result)
        else:
            self.tell_unread()
        self.tell(result, is_part=since is not None)

    def tell_unread(self) -> None:
        files = AuditArchive.objects.values_list("file_name", "rows")
        if files:
            self.stdout.write(UNREAD.format(len(files), sum(rows for _, rows in files)))
            if gone := sum(not (settings.AUDIT_ARCHIVE / name).exists() for name, _ in files):
                self.stdout.write(ELSEWHERE.format(gone, settings.AUDIT_ARCHIVE))

    def tell(self, result: Result, *, is_part: bool) -> None:
        for remark in result.remarks:
            self.stdout.write(remark)
        if not result.good:
            for finding in result.findings:
                self.stderr.write(finding)
            more = result.wrong - len(result.findings)
            if more:
                self.stderr.write(f"and {more:,} more")
            raise CommandError(NOT_AS_SEALED.format(result.wrong))
        until = f"{result.until:%Y-%m-%d %H:%M:%S} UTC" if result.until else "the seal before"
        begin = f" from seal {result.first} on," if is_part else ""
        self.stdout.write(STILL_SO.format(begin, until, result.rows, result.seals))

    def verify_file(self, path: Path) -> None:
        content = audit_files.read(path)
        self.stdout.write(f"{path.name} is as it was signed: {content.rows:,} rows of {content.label}.")

    def verify_files(self, result: Result) -> None:
        files = Result()
        for told in audit_archived.verify(settings.AUDIT_ARCHIVE, files.find):
            self.stdout.write(told)
        audit_checking.tell_apart("files", files)
        result.add(files)

    def detach(self, *, month: str, keep: int | None, **options: Any) -> None:
        days = settings.AUDIT_LEAST_DAYS if keep is None else round(keep * 365.25)
        kept = audit_partitions.detach(month, settings.AUDIT_ARCHIVE, keep_days=days)
        path = settings.AUDIT_ARCHIVE / kept.file_name
        self.stdout.write(f"{kept.rows:,} rows are in {path}, which is verified, and off the log. Keep the file.")

    def who_saw(self, *, patient: str, csv: bool, **options: Any) -> None:
        found, span = self.asked(patient, "who-saw", **options)
        rows = (
            (seen.at.isoformat(timespec="seconds"), seen.who or "a machine", seen.how,
             "break-glass" if seen.emergency else "", seen.action, seen.what, seen.where)
            for seen in who_saw.who_saw(found, *span)
        )  # fmt: skip
        self.table(("when", "who", "how", "emergency", "action", "what", "from"), rows, csv=csv)

    def disclosures(self, *, patient: str, csv: bool, **options: Any) -> None:
        found, span = self.asked(patient, "disclosures", **options)
        rows = (told.cells for told in disclosures.disclosures(found, *span))
        self.table(disclosures.HEADINGS, rows, csv=csv)

    def asked(
        self, text: str, action: str, *, first: str | None, last: str | None, **options: Any
    ) -> tuple[Patient, tuple[datetime, datetime]]:
        """Return the patient and the days asked for, and write down that somebody asked."""
        found, today = who_saw.patient_named(text), Clinic.today()
        span = who_saw.days(day(first) or today - timedelta(days=SIX_YEARS), day(last) or today)
        audit.record(None, action, "patient", str(found.pk), patient_id=found.pk, detail={"by": "command line"})
        return found, span

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], *, csv: bool) -> None:
        many = 0
        for many, row in enumerate(rows, start=1):
            if csv:
                head = csv_cells.line(headings) if many == 1 else ""
                self.stdout.write(head + csv_cells.line(row), ending="")
            else:
                self.stdout.write("  ".join(filter(None, row)))
        if not many:
            self.stderr.write("Nothing of this in these days.")

    def adopt(self, **options: Any) -> None:
        with bar(shown=sys.stdout.isatty()) as progress:
            made = audit_adopting.adopt(progress=progress)
        self.stdout.write(f"Seal {made.n} took {made.rows:,} rows in that no seal had. Sealing goes on.")

    def settle(self, *, reason: str, anchor: Path | None, **options: Any) -> None:
        found = audit_settling.settle(reason, anchors=anchor)
        given_up = f"What was told of seals {found.last + 1} to {found.lost} is given up"
        lost = given_up if found.last < found.lost else "No seal is gone"
        self.stdout.write(f"{lost}. Anchoring goes on from seal {found.last + 1}.")

    def months(self, **options: Any) -> None:
        moved = audit_strays.move()
        made = audit_partitions.ahead()
        self.stdout.write(f"{moved:,} rows were moved into their months, and {made} months to come were made.")

    def key(self, **options: Any) -> None:
        self.stdout.write(f"{audit_keys.name()}  {audit_keys.public()}")


def moment(text: str) -> datetime:
    """Return the moment written as a day or with a time; without a zone it is UTC.

    Raises:
        CommandError: it is neither.
    """
    try:
        found = parse_datetime(text)
        day = None if found else parse_date(text)
    except ValueError:
        found = day = None
    if found is None and day is None:
        raise CommandError("Write the moment as 2026-11-30 or 2026-11-30T12:00.")
    found = found or datetime.combine(day or date.min, time.min)
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def day(text: str | None) -> date | None:
    return moment(text).date() if text else None


@contextmanager
def bar(*, shown: bool) -> Iterator[Progress]:
    """Yield a callback that draws seals looked at on a terminal and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("seals"))
    with Drawn(*columns, TimeRemainingColumn(), disable=not shown, transient=True) as drawn:
        task = drawn.add_task("audit log", total=None)
        yield lambda done, of: drawn.update(task, completed=done, total=of)
