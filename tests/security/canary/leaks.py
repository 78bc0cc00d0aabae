"""Plants a leak in each place that is searched, as a bug of ours would; without it a blind search would pass."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import redis
import requests
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection

from backend.apps.core import alerts
from backend.apps.core.models import Heartbeat
from backend.apps.patients.models import Patient
from backend.apps.users.tests.factories import make_user
from integrations.doubles.server import Answer, HttpDouble, Request
from integrations.doubles.twilio import SentSms
from tests.security.canary.stack import CanaryStack


class Leaky(HttpDouble):
    """A web server that tells of the patient in an error, in a header and in an address."""

    def __init__(self, words: str, header: str, address: str) -> None:
        super().__init__()
        self._words, self._header, self._address = words, header, address

    def take(self, request: Request) -> Answer:
        told = {"detail": self._words, "next": f"/patients/?name={self._address}"}
        return Answer(500, told, {"Content-Disposition": f'attachment; filename="{self._header}.pdf"'})


def planters(stack: CanaryStack) -> dict[str, Callable[[str], object]]:
    """Return for each place of `Places`, but those over HTTP, what plants a text there."""
    return {
        "logs of the parts": lambda text: logged(stack, text),
        "log of PostgreSQL": lambda text: executed(f"DO $$ BEGIN RAISE WARNING '{text}'; END $$"),
        "keys and values of Redis": lambda text: in_redis(stack, text),
        "what Redis writes to disk": lambda text: for_a_moment(stack, text),
        "Flower": lambda text: as_event(stack, text),
        "metrics": lambda text: Heartbeat.objects.create(entry=text, task="sweep.overdue", runs=1),
        "log of the admin": admin_log,
        "sessions": session,
        "traces": lambda text: requests.post(stack.collector.url, data=text, timeout=10),
        "temporary files": (stack.temporary / "upload").write_text,
        "other files": (stack.folder / "beat-schedule.old").write_text,
        "names of files": lambda text: (stack.folder / f"{text}.pdf").touch(),
        "tables about rows": lambda text: alerts.open_once("canary", kind="claims_file", sentence=f"{text} is late."),
    }


def logged(stack: CanaryStack, text: str) -> None:
    with (stack.folder / "logs" / "worker.log").open("a") as log:
        log.write(f"{text}\n")


def executed(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def in_redis(stack: CanaryStack, text: str) -> None:
    """Leave a message to workers whose packed body tells; of all it is what is hardest to see."""
    body = b64encode(json.dumps([[text], {}, {}]).encode()).decode()
    with redis.Redis.from_url(stack.stage.redis.url) as server:
        server.rpush("a queue of nobody", json.dumps({"body": body}))


def for_a_moment(stack: CanaryStack, text: str) -> None:
    with redis.Redis.from_url(stack.stage.redis.url) as server:
        server.set("result of a task", text)
        server.delete("result of a task")


def as_event(stack: CanaryStack, text: str) -> None:
    """Tell Flower of a task with arguments, as a worker would whose messages hold some."""
    with Celery(broker=stack.stage.redis.url, set_as_current=False) as app, app.events.default_dispatcher() as events:
        told = {"uuid": "0" * 32, "name": "reminders.deliver", "args": repr([text]), "kwargs": "{}", "retries": 0}
        events.send("task-received", **told)


def admin_log(text: str) -> None:
    kind = ContentType.objects.get_for_model(Patient)
    LogEntry.objects.create(
        user=make_user("admin"), content_type=kind, object_id="1", object_repr=text, action_flag=2, change_message=""
    )


def session(text: str) -> None:
    made = SessionStore()
    made["last search"] = text
    made.create()


def mailed(stack: CanaryStack, text: str, **more: Any) -> None:
    record: dict[str, Any] = {"to": "somebody@example.org", "subject": text, "text": "", "html": "", **more}
    (stack.folder / "outbox" / "EBplanted.json").write_text(json.dumps(record))


def attached(stack: CanaryStack, text: str) -> None:
    """Mail a calendar entry that tells; its line is broken, and all of it packed."""
    content = b64encode(f"BEGIN:VEVENT\r\nSUMMARY:See {text[:4]}\r\n {text[4:]}, {text}\r\n".encode()).decode()
    mailed(stack, "Your visit", attachments=[{"name": "appointment.ics", "content_base64": content}])


def texted(stack: CanaryStack, text: str) -> None:
    fields: dict[str, Any] = {"attempt_id": "", "status_callback": "", "form": {}, "sender": "+14155550199"}
    now = datetime.now(UTC)
    stack.twilio.sent.append(
        SentSms(sid="SMplanted", to="+14155550133", body=text, created_at=now, sent_at=now, **fields)
    )
