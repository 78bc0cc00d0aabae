"""Makes a believable clinic of any size: `./carerelay manage seed --patients 100000`."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from backend.apps.core.roles import Role
from backend.apps.patients.models import Patient
from backend.apps.users.models import User
from backend.demo import billing, clinical, credentials, office, people, visits, waitlist

MOST_DOCTORS = 100


class Command(BaseCommand):
    help = "Fill an empty database with a demo clinic. Refused in production."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--patients", type=int, default=200, metavar="N", help="how many patients (default 200)")
        parser.add_argument("--if-empty", action="store_true", help="do nothing when there are patients already")

    def handle(self, *args: Any, patients: int, if_empty: bool, **options: Any) -> None:
        if settings.IN_PRODUCTION:
            raise CommandError("The demo clinic is not for production (CARERELAY_ENV=production).")
        if not 1 <= patients <= 5_000_000:
            raise CommandError("--patients is a number from 1 to 5,000,000.")
        if User.all_objects.exists() or Patient.all_objects.exists():
            if if_empty:
                self.stdout.write("There is a clinic already; nothing to do.")
                return
            raise CommandError("There is a clinic already; the demo clinic needs an empty database.")
        began = time.monotonic()
        with transaction.atomic():
            counts = fill(patients)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        self.stdout.write(f"Made {told} in {time.monotonic() - began:.1f} s.")


def fill(count: int) -> dict[str, int]:
    """Create the whole clinic; return how many of each were made."""
    people.clinic()
    logins = people.logins()
    doctors = people.doctors(min(MOST_DOCTORS, max(3, count // 500)), logins[Role.DOCTOR])
    with progress() as bar:
        patients = people.patients(count, logins[Role.PATIENT], teller(bar, "patients", count))
        booked = visits.create(patients, doctors, teller(bar, "visits", visits.PER_PATIENT * count))
        covered = office.coverages(patients, teller(bar, "coverages", count * 4 // 5))
        came_of_it = clinical.create(teller(bar, "charts", booked * 3 // 4))
    return {
        "patients": count,
        "doctors": len(doctors),
        "staff": office.staff(logins),
        "credentials": credentials.create(doctors),
        "feeds": office.feeds(),
        "groups": office.groups(patients),
        "visits": booked,
        "in line": waitlist.create(patients),
        "coverages": covered,
        "claims": billing.create(),
        **came_of_it,
    }


def progress() -> Progress:
    """Return a bar for a terminal; nothing is drawn where there is none."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, disable=not sys.stdout.isatty())


def teller(bar: Progress, name: str, total: int) -> Callable[[int], None]:
    task = bar.add_task(name, total=total)
    return lambda done: bar.advance(task, done)
