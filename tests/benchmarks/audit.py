"""Measures what the sealed audit log costs: inserts beside a plain table, sealing, verifying, and an audited read."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import psycopg
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core import audit_sealing, audit_verifying
from backend.apps.laboratory.tests.factories import make_lab_result
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user
from tests.benchmarks import bars
from tests.benchmarks.bars import Bar

CLIENTS, ROWS, ROUNDS = 16, 600, 4
SEALED_ROWS = 400_000
RATIO_BAR, RATE_BAR, QUERIES_BAR = 0.70, 100_000, 1

# As the log was before it was sealed: its columns and indexes, one table, no digest.
PLAIN = """
DROP TABLE IF EXISTS bench_plain;
CREATE TABLE bench_plain (LIKE core_auditlog INCLUDING DEFAULTS);
ALTER TABLE bench_plain DROP COLUMN digest, DROP COLUMN xid, ADD PRIMARY KEY (id);
CREATE INDEX ON bench_plain ("timestamp" DESC);
CREATE INDEX ON bench_plain (resource_type, resource_id, "timestamp" DESC);
CREATE INDEX ON bench_plain (user_id, "timestamp" DESC);
CREATE INDEX ON bench_plain (patient_id, "timestamp" DESC);
CREATE INDEX ON bench_plain (outcome, "timestamp" DESC) WHERE NOT (outcome = 'allowed');
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON bench_plain FOR EACH ROW EXECUTE FUNCTION core_auditlog_refuse();
"""
ROW = """INSERT INTO {table} (id, action, resource_type, resource_id, outcome, user_id, patient_id, ip_address,
    user_agent, request_id, detail) SELECT uuidv7(), 'retrieve', 'appointment', gen_random_uuid()::text, 'allowed',
    gen_random_uuid(), gen_random_uuid(), '10.0.0.1', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit',
    gen_random_uuid()::text,
    '{{"fields": ["first_name", "last_name", "date_of_birth"]}}'"""
# A loop of the server, so that no client's own work is measured; each row is a transaction, as a request's is.
LOOP = "DO $$ BEGIN FOR n IN 1..{rows} LOOP {row}; COMMIT; END LOOP; END $$"


def run() -> bool:
    return bars.tell(measured())


def measured(*, clients: int = CLIENTS, rows: int = ROWS, rounds: int = ROUNDS, sealed: int = SEALED_ROWS) -> list[Bar]:
    """Measure all bars; the fewer rows, the less the rates mean."""
    audit_sealing.seal()
    ratio, ours = compared(clients, rows, rounds)
    found = [
        Bar(
            f"inserts beside a plain table, {clients} clients",
            f">= {RATIO_BAR:.0%}",
            f"{ratio:.0%}",
            ratio >= RATIO_BAR,
        )
    ]
    print(f"{ours:,.0f} rows a second into the log, each in a transaction of its own")
    for name, rate in rates(sealed).items():
        found.append(Bar(f"rows {name} a second", f">= {RATE_BAR:,}", f"{rate:,.0f}", rate >= RATE_BAR))
    for name, more in queries().items():
        found.append(
            Bar(f"queries of an audited {name} for the log", f"<= {QUERIES_BAR}", f"{more}", more <= QUERIES_BAR)
        )
    return found


def compared(clients: int, rows: int, rounds: int) -> tuple[float, float]:
    """Return our rate as a part of the plain table's, taken in turns, and ours in rows a second."""
    with connection.cursor() as cursor:
        cursor.execute(PLAIN)
    took = {"bench_plain": 0.0, "core_auditlog": 0.0}
    for turn in range(rounds):
        for table in sorted(took, reverse=bool(turn % 2)):
            took[table] += filled(table, clients, rows)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_plain")
    return took["bench_plain"] / took["core_auditlog"], clients * rows * rounds / took["core_auditlog"]


def filled(table: str, clients: int, rows: int) -> float:
    """Return the seconds in which so many clients wrote so many rows each."""
    asked = LOOP.format(rows=rows, row=ROW.format(table=table))
    with ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        list(pool.map(execute, repeat(asked, clients)))
    return time.perf_counter() - began


def execute(sql: str) -> None:
    with psycopg.connect(address(), autocommit=True) as one:
        one.execute(sql)


def address() -> str:
    told = connection.get_connection_params()
    return psycopg.conninfo.make_conninfo(
        **{name: told[name] for name in ("dbname", "host", "port", "user", "password")}
    )


def rates(rows: int) -> dict[str, float]:
    """Return how many rows a second are sealed, and how many verified with their digests worked out anew."""
    for _ in range(4):
        with connection.cursor() as cursor:
            cursor.execute(f"{ROW.format(table='core_auditlog')} FROM generate_series(1, %s)", [rows // 4])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE core_auditlog")
    sealing, sealed = timed(audit_sealing.seal)
    verifying, result = timed(audit_verifying.verify)
    if not result.good:
        raise SystemExit(f"the log is not as it was sealed: {result.findings[0]}")
    return {"sealed": sealed / sealing, "verified": result.rows / verifying}


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = what()
    return time.perf_counter() - began, found


def queries() -> dict[str, int]:
    """Return how many queries of a read are the log's, of one row and of lists of two kinds."""
    result, visit = make_lab_result(), make_appointment()
    api = APIClient()
    api.force_authenticate(User.objects.filter(role="admin").first() or make_user("admin"))
    asked = {
        "read": f"/api/v1/appointments/{visit.pk}/",
        "list": "/api/v1/appointments/",
        "list by another table": "/api/v1/lab-results/",
    }
    assert result.pk
    return {name: of_the_log(api, url) for name, url in asked.items()}


def of_the_log(api: APIClient, url: str) -> int:
    api.get(url)
    with CaptureQueriesContext(connection) as seen:
        answer = api.get(url)
    if answer.status_code != 200:
        raise SystemExit(f"{url} answered {answer.status_code}")
    return sum("core_auditlog" in query["sql"] for query in seen)
