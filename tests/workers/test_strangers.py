"""Holds that a message is names and opaque ids on its way out and on its way in, and that nothing else is repeated."""

from __future__ import annotations

import json
import pickle
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from hypothesis import example, given
from hypothesis import strategies as st
from kombu import Connection, Exchange, serialization
from redis import Redis

import beat_schedule
from backend.apps.core import dispatch, opaque
from backend.apps.core.models import Alert
from tests.support.stage import Stage, until
from tests.workers.rows import CANARY, COMMITS
from workers.celery_app import app
from workers.queues import QUEUES

TASK = "lab_results.file"
FORBIDDEN: Mapping[str, dict[str, Any]] = {
    "free text": {"args": (CANARY,)},
    "a date as a number": {"args": (19310723,)},
    "a postal code as a number": {"args": (73917,)},
    "a year": {"args": (1931,)},
    "a name that looks like a task": {"args": ("jane.doe",)},
    "a number with a point": {"args": (98.6,)},
    "a list of ids": {"args": ([str(uuid.UUID(int=7))],)},
    "named": {"kwargs": {"patient": 7}},
    "a header": {"headers": {"patient": CANARY}},
    "a limit of time": {"headers": {"timelimit": {240: CANARY}}},
    "a shadow": {"shadow": CANARY},
    "what stands for the arguments": {"argsrepr": CANARY},
    "a moment": {"countdown": 60},
    "where to answer": {"reply_to": CANARY},
    "a property": {"correlation_id": CANARY},
    "a property of its own": {"patient": CANARY},
    "a way to go": {"exchange": CANARY, "routing_key": CANARY},
    "another way to write": {"args": (CANARY,), "serializer": "json"},
}


@pytest.mark.parametrize("how", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_message_with_anything_but_names_and_opaque_ids_never_leaves(how: dict[str, Any]) -> None:
    with pytest.raises(opaque.NotOpaque) as refused:
        dispatch._producer.send_task(TASK, queue="lab_results", **how)
    assert not any(word in str(refused.value) for word in (CANARY, "1931", "jane", "98.6", "uuid"))


@pytest.mark.parametrize("name", beat_schedule.SCHEDULE)
def test_what_the_beat_sends_leaves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    with app.connection_for_write() as wire:
        producer = app.amqp.Producer(wire)
        monkeypatch.setattr(producer, "publish", lambda _body, **how: sent.append(how["headers"]["task"]))
        scheduler = Scheduler(app=app, lazy=True)
        scheduler.merge_inplace(beat_schedule.SCHEDULE)
        scheduler.apply_async(scheduler.schedule[name], producer=producer, advance=False)
    assert sent == [beat_schedule.SCHEDULE[name]["task"]]


@pytest.mark.parametrize("ring", [dispatch.ring, dispatch.send])
@pytest.mark.parametrize("name", [CANARY, "jane.doe", "lab_results.file ", "", None])
def test_only_the_name_of_a_task_can_be_rung(ring: Any, name: Any) -> None:
    with pytest.raises(opaque.NotOpaque) as refused:
        ring(name)
    assert not name or str(name).strip() not in str(refused.value)


@given(st.binary(max_size=300) | st.text(max_size=300))
@example(b"[" * 1_900)
@example(b"x" * 5_000_000)
@example(b'[[], {}, {"chain": ["' + CANARY.encode() + b'"]}]')
def test_whatever_else_comes_in_is_refused_and_not_repeated(raw: bytes | str) -> None:
    wrong = opaque.fault({"task": TASK}, raw)
    assert wrong
    assert CANARY not in wrong


def test_ids_names_and_counts_may_be_told() -> None:
    body = [[str(uuid.UUID(int=7)), TASK, 12, None, True], {}, {"callbacks": None}]
    assert opaque.decode(opaque.encode(body)) == body
    text, kind = serialization.dumps([[], {}, {}], opaque.NAME)[::-1][:2]
    assert (text, kind) == ("[[],{},{}]", "utf-8")


def put(
    url: str, content: str, raw: bytes | str, encoding: str = "binary", packed: str | None = None, **headers: Any
) -> None:
    """Publish as a stranger would, by hand. packed: by what the body is compressed."""
    told = {"lang": "py", "task": TASK, "id": str(uuid.uuid4()), "argsrepr": "()", "kwargsrepr": "{}", **headers}
    told = {"root_id": told["id"], "parent_id": None, "origin": "gen1@host", **told}
    with Connection(url) as connection, connection.Producer() as producer:
        producer.publish(
            raw, exchange="", routing_key="lab_results", content_type=content, content_encoding=encoding, headers=told,
            correlation_id=told["id"], reply_to="", compression=packed,
        )  # fmt: skip


UNWRITTEN = json.dumps(
    {
        "body": "x",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": ""},
        },
    }
)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return open, (f"/tmp/{CANARY}",)  # noqa: S108  # would fail the worker, with its name in the log


@pytest.mark.django_db(**COMMITS)
def test_a_worker_turns_strangers_away_without_opening_or_quoting_them(stage: Stage) -> None:
    free, fine = f'[["{CANARY}"],{{}},{{}}]', "[[],{},{}]"
    put(stage.redis.url, "application/x-python-serialize", pickle.dumps(([Bomb()], {}, {})))
    put(stage.redis.url, "application/x-yaml", f"!!python/name:{CANARY}", "utf-8")
    put(stage.redis.url, "application/json", free, "utf-8")
    put(stage.redis.url, CANARY, fine, "utf-8")
    put(stage.redis.url, opaque.CONTENT_TYPE, free, "utf-8")
    put(stage.redis.url, opaque.CONTENT_TYPE, fine, "utf-8", argsrepr=CANARY)
    put(stage.redis.url, opaque.CONTENT_TYPE, fine, "utf-8", task=CANARY)
    put(stage.redis.url, opaque.CONTENT_TYPE, fine + " " * 200_000_000, "utf-8", packed="zlib")
    put(stage.redis.url, opaque.CONTENT_TYPE, fine + " " * 20_000, "utf-8")
    with Redis.from_url(stage.redis.url) as client:
        for broken in (
            CANARY,
            "[" * 50_000,
            "[]",
            "{}",
            f'{{"properties": {{"delivery_tag": "{CANARY}"}}}}',
            UNWRITTEN,
        ):
            client.lpush("lab_results", broken)
    put(stage.redis.url, opaque.EARLIER, fine, "utf-8")
    stage.extra["CARERELAY_DEADMAN"] = json.dumps({"catch up": f"http://127.0.0.1:1/{CANARY}"})
    worker = stage.worker(concurrency=1)
    until(lambda: b"its rows wait for the sweep" in stage.log("worker"))
    told = until(lambda: Alert.objects.filter(kind="broker_stranger").first())
    assert (told.severity, Alert.objects.filter(kind="broker_stranger").count()) == ("critical", 1)
    words = ("-m", "celery", "-A", "workers.celery_app", "inspect", "ping", "-d", "worker@test", "-t", "20")
    assert stage.start("inspect", *words).wait(30) == 0, "whoever asks a worker gets an answer"
    with Celery(broker=stage.redis.url, set_as_current=False) as outside:
        asked = outside.control.inspect(destination=["worker@test"], timeout=20)
        assert asked.conf() == {"worker@test": {}}, "passwords are among the settings"
        for queue in QUEUES:
            outside.control.cancel_consumer(queue, destination=["worker@test"])
        outside.control.broadcast(CANARY, destination=["worker@test"])
        outside.control.shutdown(destination=["worker@test"])
        assert len(asked.active_queues()["worker@test"]) == len(QUEUES), "nobody makes it deaf, or ends it"
    put(stage.redis.url, opaque.CONTENT_TYPE, fine, "utf-8", task="sweep.hold_lost")
    assert until(lambda: b"succeeded in" in stage.log("worker")), "who rings as we do is heard"
    log = stage.log("worker").decode()
    assert log.count("is no bell was turned away") == 15
    assert log.count("a command that is none of ours was turned away") == len(QUEUES) + 2
    assert log.count("turned away: packed, too long or broken;") == 8
    assert 1 <= len(re.findall(r"Task sweep\.tell_stranger\[\S+\] received", log)) <= 3, "a flood is no flood of bells"
    most = Path(f"/proc/{worker.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(most) < 250_000, "kB: what would unpack to 200 MB was not unpacked"
    for kind in ("pickle", "YAML", "JSON", "another kind", "a bell"):
        assert f"turned away: {kind};" in log
    assert CANARY not in log
    assert "Traceback" not in log


@pytest.mark.django_db(**COMMITS)
def test_beat_unpacks_nothing_of_a_stranger_either(stage: Stage) -> None:
    words = ("-n", "beat@test", "--enable-remote-control", "--schedule", str(stage.folder / "beat"))
    beat = stage.start("beat", "-m", "celery", "-A", "workers.celery_app", "beat", *words)
    with Celery(broker=stage.redis.url, set_as_current=False) as outside, outside.connection_for_write() as wire:

        def answers() -> bool:
            return bool(outside.control.ping(destination=["beat@test"], timeout=1))

        def most_kb() -> int:
            return int(Path(f"/proc/{beat.pid}/status").read_text().split("VmHWM:")[1].split()[0])

        until(answers)
        before = most_kb()
        box = Exchange("celery.pidbox", type="fanout", durable=False, delivery_mode="transient")
        wire.Producer(exchange=box).publish(
            "{}" + " " * 200_000_000, content_type="application/json", content_encoding="utf-8", compression="zlib"
        )
        until(lambda: b"Cannot decode message" in stage.log("beat"))
        until(answers)
    assert most_kb() - before < 50_000
