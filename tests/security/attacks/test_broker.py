"""Attack 45: messages to our workers that are none of ours."""

from __future__ import annotations

import os
import pickle
import re
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from celery import Celery
from kombu import Producer

from backend.apps.core.models import Alert
from tests.security.attacks.attack import Attack
from tests.support.stage import until

KINDS = (
    "application/x-python-serialize",
    "pickle",
    "application/x-yaml",
    "application/json",
    "text/plain",
    "application/x-carerelay-bell",
)


class Payload:
    """What a stranger in the broker would like a worker to unpack."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.path),)


TURNED_AWAY = "a message that is no bell was turned away"
PACKED = 300_000_000  # bytes that a few kilobytes unpack to


def test_attack_45_a_worker_unpacks_and_runs_nothing_that_a_stranger_puts_in_the_broker(attack: Attack) -> None:
    attack._look()
    touched = attack.stage_folder / "run by a stranger"
    before = most_memory(attack)
    with Celery(broker=attack.stack.stage.redis.url, set_as_current=False) as app, app.connection_for_write() as wire:
        producer = Producer(wire.channel())
        publish = partial(producer.publish, routing_key="sweep", content_encoding="binary")
        headers = {"lang": "py", "task": "sweep.overdue", "id": "x" * 8, "argsrepr": "", "kwargsrepr": ""}
        for kind in KINDS:
            body = pickle.dumps((Payload(touched),)) if "json" not in kind else b"{not json"
            publish(body, content_type=kind, headers=headers)
        for name, args in (
            ("os.system", ["true"]),
            ("sweep.overdue", ["Qvxwzlast"]),
            ("celery.chord_unlock", []),
            ("", []),
        ):
            app.send_task(name, args=args, queue="sweep", ignore_result=True)
        packed = zlib.compress(b"0" * PACKED, 9)
        publish(packed, content_type=KINDS[-1], headers={**headers, "compression": "application/x-gzip"})
        publish(b"0" * 5_000_000, content_type=KINDS[-1], headers=headers)
    attack.stack.ring("sweep.overdue")
    until(lambda: attack.stack.logged_since(attack._logs).count(TURNED_AWAY) >= len(KINDS) + 6)
    until(lambda: "Task sweep.overdue" in attack.stack.logged_since(attack._logs))
    until(lambda: Alert.objects.filter(kind="broker_stranger", created_at__gte=attack.began).exists())
    assert attack.stack.logged_since(attack._logs).count(TURNED_AWAY) == len(KINDS) + 6
    assert most_memory(attack) - before < PACKED / 4, "nothing was unpacked"
    assert not touched.exists()
    attack._asserted.add("status")
    attack.turned_away("broker", "no bell of ours")


def most_memory(attack: Attack) -> int:
    """Return the bytes that the worker held at most, all its life."""
    pid = attack.stack.worker.pid
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else psutil.Process(pid).memory_info().rss
