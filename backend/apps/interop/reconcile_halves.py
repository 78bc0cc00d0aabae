"""Judges a range that was closed in halves by all of them; else what its alerts tell would never be over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from backend.apps.core.models import ReconcileRun
from backend.apps.interop import reconcile_alerts
from backend.apps.interop.reconcile_alerts import SPAN

DEEPEST = 40  # halvings of a range: it is cut no finer than by the hour


def asked_for(run: ReconcileRun) -> ReconcileRun:
    """Return the run that was put in line as a whole, of which this one is a half; itself where it is none."""
    for _ in range(DEEPEST):
        of = ReconcileRun.objects.filter(pk=run.half_of).defer("books").first() if run.half_of else None
        if of is None:
            break
        run = of
    return run


def judge_all() -> None:
    """Judge each run of the last days whose halves have all ended. Safe to repeat: each is judged once."""
    cut = ReconcileRun.objects.filter(created_at__gte=timezone.now() - SPAN, books__has_key="split")
    for run in cut.exclude(books__has_key="as_of").order_by("created_at", "id"):
        _judge(run)


@transaction.atomic
def _judge(run: ReconcileRun) -> None:
    ended = _ended(run)
    if ended is not None:
        keys, looked = zip(*ended, strict=True)
        kept = reconcile_alerts.judge(run, keys, min(looked))
        ReconcileRun.objects.filter(pk=run.pk).update(books={**run.books, **kept}, updated_at=timezone.now())


def _ended(run: ReconcileRun) -> Sequence[tuple[Any, datetime]] | None:
    """Return the key of each half that is cut no further, and when it looked; None where one has no verdict yet."""
    found, cut = list[tuple[Any, datetime]](), list(run.books["split"])
    for _ in range(DEEPEST):
        rows = ReconcileRun.objects.filter(pk__in=cut).values_list(
            "pk", "agree", "created_at", "books__as_of", "books__split"
        )
        halves = list(rows)
        if len(halves) < len(cut) or any(agree is None and not split for _, agree, _, _, split in halves):
            return None
        found += [
            (pk, datetime.fromisoformat(looked) if looked else created_at)
            for pk, agree, created_at, looked, _ in halves if agree is not None
        ]  # fmt: skip
        cut = [key for *_, split in halves for key in split or ()]
        if not cut:
            return found
    return None
