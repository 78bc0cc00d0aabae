"""Measures the ladder over a million credentials: its time and memory, who waits, what a second run writes."""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime
from datetime import time as clock

from django.contrib.auth.hashers import make_password
from django.db import connection

from backend.apps.core.models import Clinic
from backend.apps.credentials import ladder
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_npi
from backend.apps.employees.models import Employee
from backend.apps.users.models import User
from tests.benchmarks.bars import Bar, tell
from tests.benchmarks.spending import postmaster, reset_peak, spent_s, status_mb

HELD = int(os.environ.get("BENCH_CREDENTIALS", "1000000"))
DUE, FEW, PEOPLE = HELD // 50, HELD // 10, 5000
WORKERS = 2  # the first rings for a second where much is due
BAR_S, BAR_MB, BAR_LOCK_S, BAR_RATIO = 10.0, 20, 1.0, 1.5
TABLES = {"doctors_doctorcredential": "doctor", "employees_employeecredential": "employee"}
WRITTEN = ("credentials_credentialalert", "credentials_credentialnotice", *TABLES)

ROWS = """
    WITH who AS (SELECT id, row_number() OVER () - 1 AS place FROM {holders})
    INSERT INTO {table} (id, created_at, updated_at, is_deleted, {holder}_id, credential_type, issuing_organization,
        number, state, issue_date, expiry_date, document, is_verified)
    SELECT uuidv7(), now(), now(), false, who.id,
        (ARRAY['state_license', 'dea', 'malpractice', 'bls'])[number %% 4 + 1], 'Board', '', 'NY', date '2000-01-01',
        %(today)s::date + %(first)s + number %% %(days)s, '', false
    FROM generate_series(0, %(rows)s - 1) number JOIN who ON who.place = number %% %(people)s"""


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    today = Clinic.today()
    people()
    return [growth(today), *whole(today)]


def growth(today: date) -> Bar:
    """Sweep as many due credentials among few that are held and among many."""
    took = []
    for held in (FEW, HELD - FEW):
        write(DUE, first=-20, days=110, today=today)
        write(held - DUE, first=400, days=700, today=today)
        vacuum()
        seconds, counts = swept(today)
        print(f"{counts['raised']:,} due, {held_now():,} held: {seconds:.1f} s")
        took.append(seconds)
    ratio = took[1] / took[0]
    return Bar(f"ten times the credentials, as many due ({DUE:,})", f"{BAR_RATIO} times", f"{ratio:.2f} times",
               ratio <= BAR_RATIO)  # fmt: skip


def whole(today: date) -> list[Bar]:
    """Sweep all that a clinic of this size holds for the first time, while others write to what is due."""
    empty()
    write(HELD, first=-7, days=3 * 365, today=today)
    vacuum()
    gc.collect()
    before_mb, longest_s = reset_peak(), 0.0
    server = postmaster()
    spent = spent_s(server)
    with writing(today) as waits:
        seconds, counts = swept(today, workers=WORKERS)
    spent = spent_s(server) - spent
    grown_mb, longest_s = status_mb("VmHWM") - before_mb, max(waits, default=0.0)
    print(f"{counts['raised']:,} raised, {counts['told']:,} e-mails planned of {held_now():,} in {seconds:.1f} s")
    print(f"that took {spent:.1f} s of CPU, of the database server and of those who wrote meanwhile too")
    since = next_transaction()
    again_s, _ = swept(today)
    written = written_since(since)
    print(f"the second run took {1000 * again_s:.0f} ms")
    return [
        Bar(f"sweep of {HELD:,} credentials, {counts['looked at']:,} due", f"{BAR_S:.0f} s", f"{seconds:.1f} s",
            seconds < BAR_S),
        Bar("memory it needs more", f"{BAR_MB} MB", f"{grown_mb:.0f} MB", grown_mb < BAR_MB),
        Bar(f"longest wait of {len(waits):,} who wrote to due ones", f"{BAR_LOCK_S:.0f} s", f"{longest_s:.2f} s",
            bool(waits) and longest_s < BAR_LOCK_S),
        Bar("rows the second run writes", "none", f"{written}", written == 0),
    ]  # fmt: skip


def swept(today: date, *, workers: int = 1) -> tuple[float, Counter[str]]:
    """Sweep as so many workers do, at noon of the clinic's day; return how long it took and what all of them did."""
    noon = datetime.combine(today, clock(12), Clinic.current().zone)

    def work() -> Counter[str]:
        try:
            return ladder.sweep(noon)
        finally:
            connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        done = [future.result() for future in [pool.submit(work) for _ in range(workers)]]
    return time.perf_counter() - began, sum(done, Counter())


@contextmanager
def writing(today: date) -> Iterator[list[float]]:
    """Change one due credential after the other, at random, on a connection of its own; yield how long each took."""
    waits: list[float] = []
    ended = threading.Event()
    keys = due(today)

    def write_on() -> None:
        while not ended.is_set():
            table, key = random.choice(keys)
            began = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(f"UPDATE {table} SET updated_at = now() WHERE id = %s", [key])  # noqa: S608  # our own
            waits.append(time.perf_counter() - began)
            ended.wait(0.002)
        connection.close()

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()


def due(today: date) -> list[tuple[str, str]]:
    found = []
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT id FROM {table} WHERE next_alert_on <= %s", [today])  # noqa: S608  # our own names
            found += [(table, str(key)) for (key,) in cursor.fetchall()]
    return found


def people() -> None:
    """Save as many doctors as employees; each employee has a manager, and an administrator gets the digest."""
    empty()
    password = make_password(None)
    User.objects.get_or_create(email="sweeps@example.org", defaults={"role": "admin", "password": password})
    logins = User.objects.bulk_create(
        User(email=f"sweep{place}@example.org", role="doctor" if place % 2 else "nurse", password=password)
        for place in range(2 * PEOPLE)
    )
    Doctor.objects.bulk_create(
        Doctor(user=user, license_number=f"SW{place}", npi_number=make_npi())
        for place, user in enumerate(logins)
        if place % 2
    )
    nurses = [user for place, user in enumerate(logins) if not place % 2]
    boss = Employee.objects.create(user=nurses.pop(), position="Head", hire_date=date(2020, 1, 1))
    Employee.objects.bulk_create(
        Employee(user=user, position="Nurse", hire_date=date(2020, 1, 1), manager=boss) for user in nurses
    )


def write(rows: int, *, first: int, days: int, today: date) -> None:
    """Write credentials, half of doctors and half of employees, that expire from day `first` on, spread over `days`."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for table, holder in TABLES.items():
            holders = f"{holder}s_{holder}"
            cursor.execute(f"SELECT count(*) FROM {holders}")  # noqa: S608  # our own names
            given = {"today": today, "first": first, "days": days, "rows": rows // 2, "people": cursor.fetchone()[0]}
            cursor.execute(ROWS.format(table=table, holder=holder, holders=holders), given)
    print(f"{rows:,} credentials written in {time.perf_counter() - began:.0f} s (not measured)")


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(WRITTEN)} CASCADE")


def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {', '.join(WRITTEN)}")


def held_now() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE relname = ANY(%s)", [list(TABLES)])
        return int(cursor.fetchone()[0])


def next_transaction() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0])


def written_since(transaction: int) -> int:
    """Return how many rows of these tables a later transaction wrote; of a database too young for its ids to wrap."""
    counts = [f"(SELECT count(*) FROM {table} WHERE xmin::text::bigint >= %(since)s)" for table in WRITTEN]  # noqa: S608  # our own names
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {' + '.join(counts)}", {"since": transaction})
        return int(cursor.fetchone()[0])
