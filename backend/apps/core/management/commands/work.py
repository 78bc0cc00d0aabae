"""Shows what the machines have before them and what they left for a person."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db.models import Count, Min

from backend.apps.core.work import WorkItem, WorkState

FOR_A_PERSON = (WorkState.HELD, WorkState.FAILED)


class Command(BaseCommand):
    help = "Count work rows by kind and state; --held lists those that wait for a person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--held", action="store_true", help="list held and failed rows with their reason")
        parser.add_argument("--limit", type=int, default=50, help="how many rows a kind (default 50)")

    def handle(self, *args: Any, held: bool, limit: int, **options: Any) -> None:
        for model in (model for model in apps.get_models() if issubclass(model, WorkItem)):
            if held:
                self.list_held(model, limit)
            else:
                self.count(model)

    def count(self, model: type[WorkItem]) -> None:
        states = model.work.values("work_state").annotate(rows=Count("pk"), oldest=Min("due_at")).order_by("work_state")
        for found in states:
            told = f"{found['rows']:9,}  oldest due {found['oldest']:%Y-%m-%d %H:%M:%S} UTC"
            self.stdout.write(f"{model._meta.label:35} {found['work_state']:8} {told}")

    def list_held(self, model: type[WorkItem], limit: int) -> None:
        rows = model.work.filter(work_state__in=FOR_A_PERSON).order_by("due_at")[:limit]
        for pk, state, error in rows.values_list("pk", "work_state", "last_error"):
            self.stdout.write(f"{model._meta.label} {pk} {state}: {error}")
