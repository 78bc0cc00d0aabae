"""The first page of the console: how each pipeline is, and where to go on; else trouble would be looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from backend.apps.core import audit_checking, beats, causes
from backend.apps.core.depths import Depth
from backend.apps.core.models import Alert, AlertSeverity, Heartbeat
from backend.apps.core.permissions import may
from backend.apps.interop import console, overview_books, overview_numbers, work_kinds, work_words
from backend.apps.interop.overview_numbers import WORST_FIRST, Light, Pipeline
from backend.apps.interop.permissions import OVERVIEW
from backend.config import production

LIGHTS = {Light.GREEN: ("fine", "good"), Light.AMBER: ("look", "wait"), Light.RED: ("act", "bad")}
WIDE, HIGH = 120, 28  # of a sparkline, in its own units
MOST_LATE = 5  # entries of the beat that are named
MOST_CRITICAL = 5  # alerts whose sentences stand at the top


@dataclass(frozen=True, slots=True)
class Line:
    """A pipeline as the page shows it. points: of its sparkline, as SVG writes them; kinds: of work in it."""

    pipeline: Pipeline
    word: str
    tone: str
    oldest: str
    points: str
    told: str
    kinds: Sequence[tuple[Depth, work_kinds.Kind, str]]


@console.page(OVERVIEW, "index")
def index(request: HttpRequest) -> HttpResponse:
    """Lead to the pages this person's role has; tell whoever runs the machines how they do."""
    shown = may(request.user, "numbers", OVERVIEW)
    context = {"title": "Overview", "numbers": shown, **(told() if shown else {})}
    return console.render(request, "interop/overview/index.html", context)


@console.page(OVERVIEW, "numbers")
def numbers(request: HttpRequest) -> HttpResponse:
    """Return the part of the page that is fetched again and again; it tells of no patient and leaves no audit row."""
    return render(request, "interop/overview/_numbers.html", told())


def told() -> dict[str, Any]:
    now = timezone.now()
    late, alerts = beats.late(), open_alerts()
    critical = open_critical() if any(severity == AlertSeverity.CRITICAL for severity, *_ in alerts) else []
    pipelines = sorted(overview_numbers.pipelines(now), key=lambda each: WORST_FIRST.index(each.light))
    return {
        "now": now,
        "lines": [line_of(each, now) for each in pipelines],
        "late": [row.entry for row in late[:MOST_LATE]],
        "late_more": max(len(late) - MOST_LATE, 0),
        "has_beat": bool(late) or Heartbeat.objects.exists(),
        "alerts": alerts,
        "critical": critical[:MOST_CRITICAL],
        "critical_more": len(critical) > MOST_CRITICAL,
        "books": overview_books.standings(),
        "audit": audit_checking.standing(),
        "sampled": causes.MOST,
        "plain": production.plain(),
    }


def line_of(pipeline: Pipeline, now: Any) -> Line:
    word, tone = LIGHTS[pipeline.light]
    kinds = [(each, work_kinds.kind_of(each.task), work_words.duration(each.oldest_s(now))) for each in pipeline.depths]
    last = pipeline.spark[-1] if pipeline.spark else 0
    said = f"Done by the hour in the last day: {last} in the last hour, {max(pipeline.spark, default=0)} at most."
    return Line(pipeline, word, tone, work_words.duration(pipeline.oldest_s), points(pipeline.spark), said, kinds)


def points(counts: Sequence[int]) -> str:
    """Return the points of a line through these counts, the highest at the top, zero at the bottom."""
    most, steps = max(counts, default=0) or 1, max(len(counts) - 1, 1)
    return " ".join(
        f"{at * WIDE / steps:.1f},{HIGH - 1 - count * (HIGH - 2) / most:.1f}" for at, count in enumerate(counts)
    )


def open_alerts() -> list[tuple[str, int, str]]:
    """Return how many alerts are open by severity, the worst first, each with the tone of its tag."""
    found = dict(
        Alert.objects.filter(resolved_at__isnull=True).order_by().values_list("severity").annotate(Count("pk"))
    )
    tones = {AlertSeverity.CRITICAL: "bad", AlertSeverity.WARNING: "wait", AlertSeverity.INFO: ""}
    return [(str(severity), found[severity], tone) for severity, tone in tones.items() if severity in found]


def open_critical() -> list[Alert]:
    """Return the critical alerts that are not resolved, the latest first, and one more than are shown."""
    rows = Alert.objects.filter(severity=AlertSeverity.CRITICAL, resolved_at__isnull=True)
    return list(rows.only("sentence").order_by("-opened_at", "id")[: MOST_CRITICAL + 1])
