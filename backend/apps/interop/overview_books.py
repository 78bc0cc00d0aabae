"""Says of each part whether all of its books agree; else one half, or a range somebody chose, would look like all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.urls import reverse

from backend.apps.core.models import Alert, ReconcileRun
from backend.apps.interop import reconciling
from backend.apps.interop.reconcile_alerts import WHOLE

LIGHT = ("id", "part", "agree", "ended_at", "work_state")
DEEPEST = 12  # halvings of a range: it is cut no finer than by the hour


@dataclass(frozen=True, slots=True)
class Standing:
    """How the books of a part stand, and its tone. ended_at: of the last closing of all of it; None: none ended."""

    part: str
    tone: str
    word: str
    address: str
    ended_at: datetime | None = None


def standings() -> list[Standing]:
    """Return how each part stands: it agrees when all of it did and no alert of its books is open."""
    ended = ReconcileRun.objects.filter(WHOLE, ended_at__isnull=False).order_by("part", "-created_at", "id")
    runs = {run["part"]: run for run in _told(ended.distinct("part"))}
    alerts = _alerts()
    return [_standing(part, runs.get(part), alerts.get(part)) for part in reconciling.PARTS]


def _standing(part: str, run: Mapping[str, Any] | None, alert: Any) -> Standing:
    ended_at = run["ended_at"] if run else None
    if run is None and alert is None:
        return Standing(part, "wait", "not closed yet", reverse("console:reconcile"))
    agrees = _agrees(run) if run else None
    if alert is not None:
        word = "do not agree" if agrees is False else "have an open alert"
        return Standing(part, "bad", word, reverse("console:alert", args=[alert]), ended_at)
    tone, word = {True: ("good", "agree"), False: ("bad", "do not agree"), None: ("wait", "are being closed")}[agrees]
    address = reverse("console:reconcile-run", args=[run["id"]]) if run else reverse("console:reconcile")
    return Standing(part, tone, word, address, ended_at)


def _agrees(run: Mapping[str, Any]) -> bool | None:
    """Return the verdict of a run, or of all the halves it was closed in; None where some of these have not ended."""
    verdicts, open_ends = [], [run]
    for _ in range(DEEPEST):
        keys = [key for one in open_ends if one["agree"] is None for key in _halves(one)]
        verdicts += [one["agree"] for one in open_ends if one["agree"] is not None or not _halves(one)]
        open_ends = list(_told(ReconcileRun.objects.filter(pk__in=keys))) if keys else []
        if not open_ends:
            break
    return False if False in verdicts else None if None in verdicts or open_ends else True


def _halves(run: Mapping[str, Any]) -> Sequence[str]:
    return run["halves"] or ()


def _told(runs: Any) -> Iterable[dict[str, Any]]:
    """Return runs without their books, which may be long, but with the halves they were closed in."""
    found: Iterable[dict[str, Any]] = runs.values(*LIGHT, halves=F("books__split"))
    return found


def _alerts() -> dict[str, Any]:
    """Return by part the id of the open alert of its books that was opened last."""
    rows = Alert.objects.filter(kind__startswith="reconcile_", resolved_at__isnull=True).order_by("opened_at")
    told = rows.values_list("cause", "pk")
    return {part: pk for cause, pk in told for part in reconciling.PARTS if part in cause.split(":")}
