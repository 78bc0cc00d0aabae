"""Measures what an operator looks at over a million rows of work: the page of the overview and the metrics."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, models
from django.test import Client
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder, FreedSlot, ReplanRequest
from backend.apps.core import alerts, tallies
from backend.apps.core.models import WorkTally
from backend.apps.core.work import WorkItem, work_models
from backend.apps.laboratory.models import InboundMessage, LabOrderMessage
from backend.apps.messaging.models import PatientMessage, ProviderEvent
from backend.apps.users.tests.factories import make_user
from backend.config import memory
from tests.benchmarks.bars import Bar, tell

ROWS = int(os.environ.get("BENCH_WORK", "1000000"))
SHARES: dict[type[WorkItem], int] = {  # of a hundred
    InboundMessage: 40, AppointmentReminder: 30, ProviderEvent: 15, PatientMessage: 10, LabOrderMessage: 3,
    ReplanRequest: 1, FreedSlot: 1,
}  # fmt: skip
PAGE_BAR_MS, METRICS_BAR_MS = 100.0, 50.0
ROUNDS = 20

# Of two hundred rows 195 are done, four are due and one stands still; of the latter one in five is held.
STATE = (
    "CASE WHEN n % 50 = 0 THEN 'waiting' WHEN n % 1000 = 1 THEN 'held' WHEN n % 200 = 1 THEN 'failed' ELSE 'done' END"
)
SPECIAL = {
    "work_state": STATE,
    "due_at": "now() - make_interval(secs => CASE WHEN n % 50 = 0 THEN n % 1200 ELSE n % 2600000 END)",
    "dedupe_key": "'bench:' || n",
    "last_error": "CASE WHEN n % 200 = 1 THEN 'line ' || n / 200 % 40 || ' is wrong (lab:' || n % 7 || ')' ELSE '' END",
    "lane": "n % 4",
    "control_id": "'C' || n",
    "sha256": "repeat('0', 64)",
    "attempts": "1",
}
EXPRESSIONS: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.ForeignKey, "gen_random_uuid()"), (models.UUIDField, "uuidv7()"), (models.BooleanField, "false"),
    (models.DateTimeField, "now()"), (models.DateField, "current_date"), (models.JSONField, "'{}'::jsonb"),
    (models.BinaryField, "''::bytea"), (models.IntegerField, "0"),
)  # fmt: skip


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    began = time.perf_counter()
    write()
    print(f"{held():,} rows of work written in {time.perf_counter() - began:.0f} s")
    memory.settle()  # as the web process does
    client = Client()
    client.force_login(make_user("admin"))
    page_ms = measured(lambda: client.get("/console/"), b"Lab results")
    metrics_ms = measured(lambda: client.get("/metrics"), b"carerelay_queue_depth")
    return [
        Bar(
            f"the overview with {held():,} rows of work",
            f"{PAGE_BAR_MS:.0f} ms",
            f"{page_ms:.0f} ms",
            page_ms < PAGE_BAR_MS,
        ),
        Bar(
            "the numbers for monitoring",
            f"{METRICS_BAR_MS:.0f} ms",
            f"{metrics_ms:.0f} ms",
            metrics_ms < METRICS_BAR_MS,
        ),
    ]


def measured(ask: Callable[[], Any], holds: bytes) -> float:
    """Return the median time of an answer in milliseconds, in-process, warm."""
    took = []
    for _ in range(ROUNDS + 5):
        began = time.perf_counter()
        answer = ask()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200 or holds not in answer.content:
            raise AssertionError(f"answered {answer.status_code}")
    return statistics.median(took[5:])


def held() -> int:
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT count(*) FROM {table(model)}" for model in work_models()))  # noqa: S608  # ours
        return sum(count for (count,) in cursor.fetchall())


def write() -> None:
    """Fill the tables of work without what their rows are about: it is not looked at here."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for model, share in SHARES.items():
            cursor.execute(f"TRUNCATE {table(model)} CASCADE")
            cursor.execute(rows_of(model), [ROWS * share // 100])
        cursor.execute("SET session_replication_role = origin")
    tally()
    for number in range(200):
        alerts.open_once(f"bench:{number}", kind="claims_file", sentence="A file waits.", severity="info")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def rows_of(model: type[WorkItem]) -> str:
    columns = {str(field.column): expression(field) for field in model._meta.concrete_fields if not field.generated}
    names, values = ", ".join(columns), ", ".join(columns.values())
    return f"INSERT INTO {table(model)} ({names}) SELECT {values} FROM generate_series(1, %s) AS n".replace("% ", "%% ")  # noqa: S608  # ours


def expression(field: models.Field[Any, Any]) -> str:
    """Return what a column holds in row number `n`, in SQL."""
    if field.name in SPECIAL:
        return SPECIAL[field.name]
    if field.null and not isinstance(field, models.ForeignKey):
        return "NULL"
    if field.choices:
        return f"'{field.default if field.has_default() else next(iter(field.choices))[0]}'"
    return next((sql for kind, sql in EXPRESSIONS if isinstance(field, kind)), "''")


def tally() -> None:
    """Two days of tallies of every kind of work, as they are before they are folded."""
    now, _ = timezone.now(), WorkTally.objects.all().delete()
    slots = [now - timedelta(seconds=tallies.SLOT_S * number) for number in range(2 * 24 * 3600 // tallies.SLOT_S)]
    WorkTally.objects.bulk_create(
        WorkTally(task=model.task_name, outcome=outcome, starts_at=at, count=100, seconds=1.5, waited_s=60)
        for model in work_models()
        for outcome in ("done", "waiting", "failed", "error:transient")
        for at in slots
    )


def table(model: type[models.Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))
