"""Reminders on a terminal: plan them all, or foretell a day; without it nobody could try a table before it holds."""

from __future__ import annotations

import gc
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.apps.appointments import preview, reminders
from backend.apps.appointments.models import AWAITED, Appointment
from backend.apps.core.models import Clinic
from backend.apps.patients.models import Patient

MOST_SHOWN = 200


class Command(BaseCommand):
    help = "reminders plan --all, reminders preview --date DAY. Patients are named by their record numbers only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="what", required=True)
        planning = kinds.add_parser("plan", help="bring the reminders of visits in line with the table of today")
        planning.add_argument("--all", action="store_true", required=True, help="of every visit that is still awaited")
        foretelling = kinds.add_parser("preview", help="who is reminded on a day, when, and who is not and why")
        foretelling.add_argument("--date", type=date.fromisoformat, metavar="DAY", help="of the clinic's calendar")
        foretelling.add_argument("--patient", metavar="MRN", help="only this patient")
        foretelling.add_argument("--limit", type=int, default=MOST_SHOWN, metavar="N", help="how many lines are shown")
        foretelling.add_argument("--json", action="store_true", help="print all of it as one JSON document")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        {"plan": self.plan, "preview": self.preview}[what](options)

    def plan(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        ahead = Appointment.objects.filter(status__in=AWAITED, appointment_datetime__gt=now)
        visits = ahead.count()
        gc.freeze()  # what is loaded stays: to look it over for garbage again and again is a quarter of the work
        with bar(visits) as progress:
            added = reminders.plan_all(ahead, now=now, progress=progress)
        self.stdout.write(f"{visits:,} visits, {added:,} reminders added.")

    def preview(self, options: dict[str, Any]) -> None:
        on = options["date"] or Clinic.today()
        lines = preview.day(on, patient=patient_of(options["patient"]))
        if options["json"]:
            self.stdout.write(as_json(on, lines))
            return
        zone = Clinic.current().zone
        for line in lines[: options["limit"]]:
            self.stdout.write(told(line, zone))
        if len(lines) > options["limit"]:
            self.stdout.write(f"... and {len(lines) - options['limit']:,} more (--limit)")
        for reason, count in preview.counts(lines).items():
            self.stdout.write(f"{count:8,}  {reason}")
        self.stdout.write(f"{len(lines):8,}  in all on {on}")


def patient_of(number: str | None) -> Patient | None:
    if number is None:
        return None
    found = Patient.objects.filter(medical_record_number=number.upper()).first()
    if found is None:
        raise CommandError("No patient has this record number.")
    return found


def told(line: preview.Line, zone: ZoneInfo) -> str:
    send_at, visit_at = line.send_at.astimezone(zone), line.visit_at.astimezone(zone)
    what = f"{line.channel:5} {line.wording:14} of the visit {visit_at:%a %d %b %H:%M}"
    verdict = "->" if line.goes_out else "--"
    return f"{send_at:%H:%M} {verdict} {line.medical_record_number:12} {what}  {preview.told_otherwise(line)}".rstrip()


def as_json(on: date, lines: list[preview.Line]) -> str:
    rows = [line._asdict() for line in lines]
    return json.dumps({"date": on, "counts": preview.counts(lines), "lines": rows}, default=str, indent=1)


@contextmanager
def bar(visits: int) -> Iterator[Callable[[int], None]]:
    """Yield a callback that is told of visits done: a bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("visits"))
    with Progress(*columns, TimeRemainingColumn(), disable=not sys.stdout.isatty(), transient=True) as drawn:
        task = drawn.add_task("planning", total=visits)
        yield lambda done: drawn.advance(task, done)
