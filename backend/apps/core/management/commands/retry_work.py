"""Puts held or failed work back in line after a person has looked at it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from backend.apps.core.work import WorkItem


class Command(BaseCommand):
    help = "Put one held or failed row back in line: retry_work appointments.AppointmentReminder ID"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="app.Model, as `work --held` shows it")
        parser.add_argument("pk", type=UUID, metavar="ID")

    def handle(self, *args: Any, model: str, pk: UUID, **options: Any) -> None:
        with transaction.atomic():
            again = kind(model).work.back_in_line(pk)
        if not again:
            raise CommandError(f"{model} {pk} is neither held nor failed.")
        self.stdout.write(f"{model} {pk} is back in line.")


def kind(label: str) -> type[WorkItem]:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"There is no model {label}.") from error
    if not issubclass(model, WorkItem):
        raise CommandError(f"{label} is not a kind of work.")
    return model
