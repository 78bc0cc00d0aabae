"""Workers that send reminders and are killed at random; what their provider took must be each reminder once."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kombu.exceptions import OperationalError

from backend.apps.core import dispatch
from tests.support import reminder_load
from tests.support.stage import Process, Stage, until

TICKS = ("sweep.overdue", "reminders.reconcile")
TABLE = "appointments_appointmentreminder"
EXPIRE = f"UPDATE {TABLE} SET leased_until = now() - interval '1 second' WHERE work_state = 'running'"  # noqa: S608
DUE = f"UPDATE {TABLE} SET due_at = now() WHERE work_state = 'waiting'"  # noqa: S608  # our own table's name
LEFT = f"SELECT count(*) FROM {TABLE} WHERE status = 'pending'"  # noqa: S608  # our own table's name
REVIEW = "import workers.celery_app; from workers import sweep; sweep.hold_lost()"
LATENCY_S = 0.05
BETWEEN_REVIEWS = 8  # kills of single workers; then all are killed, and what they had begun is looked up


@dataclass(frozen=True)
class Verdict:
    """What the provider took of the reminders that were due."""

    sent: int
    doubled: int
    missing: int
    strange: int  # messages to nobody who was due

    @property
    def good(self) -> bool:
        return not (self.doubled or self.missing or self.strange)


class ReminderSiege:
    """`workers` Celery workers, a provider, perhaps two beats; kill -9 of any worker that is ready, again and again."""

    def __init__(self, folder: Path, seed: int, *, workers: int, per_second: float, beats: int = 0) -> None:
        self.dice = random.Random(seed)  # a plan, not a secret
        self.seed, self.kills, self._beats = seed, 0, beats
        self.names = [f"worker{number}" for number in range(workers)]
        self.stage = Stage(folder)
        self.log = folder / "taken.jsonl"
        self.parts: dict[str, Process] = {}
        self._lives: Counter[str] = Counter()
        self.stage.extra.update(
            CARERELAY_SMS="twilio",
            TWILIO_ACCOUNT_SID="AC" + "0" * 32,
            TWILIO_AUTH_TOKEN="test-token",
            TWILIO_FROM="+14155550199",
            TWILIO_BASE_URL=self._provider(),
            CARERELAY_SMS_PER_SECOND=str(per_second),
            CARERELAY_UNCERTAIN_AFTER_S="0.5",
        )

    def _provider(self) -> str:
        words = ["-m", "tests.support.provider_stub", "--latency", str(LATENCY_S), "--log", str(self.log)]
        self.stage.start("provider", *words)
        return until(lambda: self.stage.log("provider").decode().strip().rpartition("\n")[2], 30)

    def start(self) -> None:
        self.revive()
        for number in range(self._beats):
            words = ["-A", "workers.celery_app", "beat", "-s", str(self.stage.folder / f"beat{number}"), "--pidfile="]
            self.stage.start(f"beat{number}", "-m", "celery", *words)
        until(lambda: all(self.is_ready(name) for name in self.names), 60)

    def revive(self) -> None:
        """Start again what is not there, as the supervisor of `carerelay up` does."""
        for name in self.names:
            if name not in self.parts or self.parts[name].poll() is not None:
                self._lives[name] += 1
                words = ["-Q", "reminders,sweep", "-c", "1", "-n", f"{name}@siege", "-l", "INFO"]
                celery = ["-m", "celery", "-A", "workers.celery_app", "worker", "--without-mingle", "--without-gossip"]
                self.parts[name] = self.stage.start(name, *celery, *words)

    def is_ready(self, name: str) -> bool:
        return self.stage.log(name).count(b" ready.") >= self._lives[name] and self.parts[name].poll() is None

    def fight(self, kills: int, *, pause_s: tuple[float, float], wipe_redis: bool = False) -> None:
        """Kill one worker after the other; now and then all of them at once, then what they had begun is looked up."""
        while self.kills < kills:
            self._wait(self.dice.uniform(*pause_s))
            ready = [name for name in self.names if self.is_ready(name)]
            if ready:
                self._kill(self.dice.choice(ready))
            if wipe_redis and self.kills >= kills // 2:
                self.stage.kill_redis_and_wipe_it()
                self.stage.redis.start()
                wipe_redis = False
            if ready and self.kills % BETWEEN_REVIEWS == 0:
                self.review()
            self.revive()

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.tick()
            time.sleep(0.1)

    def _kill(self, name: str) -> None:
        self.stage.kill_tree(self.parts[name])
        self.kills += 1

    def review(self) -> None:
        """Kill every worker, then end their leases: nobody is left who could still send under one."""
        for name in self.names:
            if self.parts[name].poll() is None:
                self._kill(name)
        time.sleep(2 * LATENCY_S)  # what was on its way has arrived
        reminder_load.rows(EXPIRE)
        assert self.stage.start("review", "-c", REVIEW).wait(120) == 0
        self.revive()

    def settle(self, within_s: float = 120.0) -> bool:
        """Let the workers end what is left; False when something did not end in time."""
        self.review()
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if reminder_load.rows(LEFT) == [(0,)]:
                return True
            reminder_load.rows(DUE)
            self.tick()
            time.sleep(0.3)
        return False

    def tick(self) -> None:
        """Ring as beat does, only more often; a broker that is away hears it the next time."""
        with contextlib.suppress(OperationalError), dispatch.ringing_at(self.stage.redis.url) as ring:
            for name in TICKS:
                ring(name)

    def verdict(self, numbers: Sequence[str]) -> Verdict:
        taken = Counter(json.loads(line)["to"] for line in self.log.read_text().splitlines())
        due = set(numbers)
        return Verdict(
            sent=sum(taken.values()),
            doubled=sum(count - 1 for count in taken.values()),
            missing=len(due - set(taken)),
            strange=sum(count for number, count in taken.items() if number not in due),
        )

    def close(self) -> None:
        self.stage.close()
