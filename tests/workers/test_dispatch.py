"""Holds the bell: after the commit only, never in the way of a request, and nothing in it but a name."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from django.db import transaction

from backend.apps.core import dispatch, opaque
from tests.support.stage import Stage
from tests.workers.rows import CANARY, COMMITS
from workers.cli import state

TASK = "lab_results.file"


def speak_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bell ring at another broker, with everything else as the settings say."""
    producer = Celery("backend", amqp=dispatch.Wire, set_as_current=False)
    producer.config_from_object("django.conf:settings", namespace="CELERY")
    producer.conf.update(broker_url=url)
    monkeypatch.setattr(dispatch, "_producer", producer)


@pytest.fixture
def broker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    speak_to(stage.redis.url, monkeypatch)
    with redis.Redis.from_url(stage.redis.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    speak_to(f"redis://127.0.0.1:{state.free_port()}/0", monkeypatch)


def test_a_web_process_has_read_how_to_ring_before_its_threads_do(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Celery("backend", amqp=dispatch.Wire, set_as_current=False)
    fresh.config_from_object("django.conf:settings", namespace="CELERY")
    monkeypatch.setattr(dispatch, "_producer", fresh)
    assert not fresh.configured
    dispatch.prepare()
    assert vars(fresh.amqp).keys() >= {"queues", "router"}


def ring_from_outside(task: str) -> None:
    with dispatch.ringing_at(dispatch._producer.conf.broker_url) as ring:
        ring(task)


@pytest.mark.parametrize("door", [dispatch.send, ring_from_outside])
def test_what_lies_in_redis_is_the_name_of_a_task_and_nothing_else(broker: Any, door: Callable[[str], Any]) -> None:
    door(TASK)
    (raw,) = broker.lrange("lab_results", 0, -1)
    message = json.loads(raw)
    assert message["content-type"] == "application/x-carerelay-bell"
    args, kwargs, embed = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([], {})
    assert not any(embed.values())
    headers = message["headers"]
    assert headers["task"] == TASK
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("()", "{}")
    assert not opaque.fault(headers, base64.b64decode(message["body"])), "else the worker takes it for a stranger's"


@pytest.mark.django_db(**COMMITS)
def test_the_bell_rings_after_the_commit_and_not_before_and_never_after_a_rollback(broker: Any) -> None:
    with transaction.atomic():
        dispatch.ring(TASK)
        assert broker.llen("lab_results") == 0
    assert broker.llen("lab_results") == 1
    with transaction.atomic():
        dispatch.ring(TASK)
        transaction.set_rollback(True)
    assert broker.llen("lab_results") == 1


@pytest.mark.django_db(**COMMITS)
def test_the_bell_of_a_task_rings_once_for_all_that_one_transaction_wrote(broker: Any) -> None:
    with transaction.atomic():
        for _ in range(3):
            with transaction.atomic():
                dispatch.ring(TASK)
        with transaction.atomic():
            dispatch.ring("reminders.deliver")
            transaction.set_rollback(True)
        dispatch.ring("reminders.deliver")
        dispatch.ring("reminders.deliver")
    assert (broker.llen("lab_results"), broker.llen("reminders")) == (1, 1)


def test_each_task_goes_to_the_queue_of_its_first_word(broker: Any) -> None:
    for name in ("reminders.deliver", "sweep.overdue"):
        dispatch.send(name)
    assert (broker.llen("reminders"), broker.llen("sweep"), broker.llen("lab_results")) == (1, 1, 0)


def test_a_refused_connection_is_a_warning_with_the_tasks_name(
    no_broker: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=dispatch.__name__):
        assert dispatch.send(TASK) is False
    (record,) = [record for record in caplog.records if record.name == dispatch.__name__]
    assert TASK in record.getMessage()
    assert record.exc_info is None


@pytest.mark.django_db(**COMMITS)
def test_a_commit_stands_when_the_broker_is_away(no_broker: None) -> None:
    reached: list[str] = []
    with transaction.atomic():
        dispatch.ring(TASK)
        transaction.on_commit(lambda: reached.append(CANARY))
    assert reached == [CANARY]  # the bell that failed took nothing after it along


def test_a_bell_leaves_by_one_module_and_any_other_message_is_a_strangers() -> None:
    senders = {path for folder in ("backend", "workers", "tests") for path in (state.ROOT / folder).rglob("*.py")}
    found = {str(path.relative_to(state.ROOT)) for path in senders if ".send_task(" in path.read_text()}
    strangers = {
        "tests/security/attacks/test_broker.py",
        "tests/workers/test_strangers.py",
        "tests/workers/test_dispatch.py",
    }
    assert found - strangers == {"backend/apps/core/dispatch.py"}, "what others send is let go; see dispatch.ringing_at"
