"""Tells what a monitoring system wants to know, in numbers; without it trouble at night would wait for somebody awake.

Labels are names of our own and ids of feeds: nothing here is counted by patient.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backend.apps.core import beats, health, tallies
from backend.apps.core.addresses import client_of
from backend.apps.core.depths import depths
from backend.apps.core.models import Alert

DEPTHS = {  # name of the metric, by attribute of a depth
    "waiting": ("depth", "Rows that are due."),
    "running": ("running", "Rows a worker has leased."),
    "lost": ("lost", "Leased rows whose worker is overdue."),
    "held": ("held", "Rows whose outcome nobody knows: a person or a look at the partner decides."),
    "failed": ("failed", "Rows that machines have given up and no person has looked at."),
}


class Families(Collector):
    """One look at everything, for one answer. Whatever the database cannot tell just now is left out."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def answer(request: HttpRequest, more: Iterable[Metric] = ()) -> HttpResponse:
    """Return the numbers as Prometheus reads them, with those of the apps above; or why they are not for this client.

    more: read last, and only when the database answers.
    """
    if refusal := _refusal(request):
        return refusal
    return HttpResponse(generate_latest(Families(list(_all(more)))), content_type=CONTENT_TYPE_LATEST)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Let in whoever has the token; where there is none, and never in production, whoever is on this machine."""
    if settings.METRICS_TOKEN:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), settings.METRICS_TOKEN.encode()):
            return None
        return _plain("The token of CARERELAY_METRICS_TOKEN is asked for.", 401, **{"WWW-Authenticate": "Bearer"})
    if settings.IN_PRODUCTION or not _is_here(request):
        return _plain("Set CARERELAY_METRICS_TOKEN to read these from elsewhere.", 403)
    return None


def _is_here(request: HttpRequest) -> bool:
    """Whether whoever asks is on this machine; a proxy of ours that we were not told of says for whom it asks."""
    if "X-Forwarded-For" in request.headers and not settings.TRUSTED_PROXIES:
        return False
    try:
        return ipaddress.ip_address(client_of(request)).is_loopback
    except ValueError:
        return False


def _plain(why: str, status: int, **headers: str) -> HttpResponse:
    return HttpResponse(f"{why}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _all(more: Iterable[Metric]) -> Iterator[Metric]:
    now, up = timezone.now(), gauge("up", "Whether a part we stand on answers.", "part")
    up.add_metric(["broker"], health.broker() == "ok")
    try:
        found = [*_queues(now), *_ends(), *_beats(now), _alerts(), *more]
    except DatabaseError:
        found = []
    up.add_metric(["database"], bool(found))
    yield up
    yield from found


def gauge(name: str, told: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"carerelay_{name}", told, labels=labels)


def counter(name: str, told: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"carerelay_{name}", told, labels=labels)


def _queues(now: datetime) -> Iterator[Metric]:
    found = depths()
    for attribute, (name, told) in DEPTHS.items():
        family = gauge(f"queue_{name}", told, "task")
        for depth in found:
            family.add_metric([depth.task], getattr(depth, attribute))
        yield family
    oldest = gauge("queue_oldest_seconds", "For how long the oldest row has been due.", "task")
    for depth in found:
        oldest.add_metric([depth.task], depth.oldest_s(now))
    yield oldest


def _ends() -> Iterator[Metric]:
    """Tell the tallies; seconds and waits over the outcomes of a task are its mean latencies."""
    ends = counter("outcomes", "Rows by how they ended.", "task", "outcome")
    errors = counter("provider_errors", "What partners refused, or a bug, by class.", "task", "class")
    work = counter("work_seconds", "Time spent on rows, by how they ended.", "task", "outcome")
    waits = counter("wait_seconds", "Time rows were due before they were leased, by how they ended.", "task", "outcome")
    for total in tallies.totals():
        if total.outcome.startswith(tallies.ERROR):
            errors.add_metric([total.task, total.outcome.removeprefix(tallies.ERROR)], total.rows)
            continue
        ends.add_metric([total.task, total.outcome], total.rows)
        work.add_metric([total.task, total.outcome], total.seconds)
        waits.add_metric([total.task, total.outcome], total.waited_s)
    yield from (ends, errors, work, waits)


def _beats(now: datetime) -> Iterator[Metric]:
    late = gauge("beat_late_seconds", "For how long the next run of an entry should have been noted.", "entry")
    last = gauge("beat_last_run_timestamp_seconds", "When an entry ran last, in seconds since 1970.", "entry")
    failures = gauge("beat_failures", "How many runs of an entry failed in a row.", "entry")
    for row in beats.all_entries():
        late.add_metric([row.entry], max((now - row.due_by).total_seconds(), 0.0) if row.due_by else 0.0)
        failures.add_metric([row.entry], row.failures)
        if row.last_run_at:
            last.add_metric([row.entry], row.last_run_at.timestamp())
    yield from (late, last, failures)


def _alerts() -> Metric:
    family = gauge("alerts_open", "Alerts that nobody has resolved.", "severity")
    rows = Alert.objects.filter(resolved_at__isnull=True).order_by()
    found = dict(rows.values_list("severity").annotate(Count("pk")))
    for severity in Alert.Severity.values:
        family.add_metric([severity], found.get(severity, 0))
    return family
