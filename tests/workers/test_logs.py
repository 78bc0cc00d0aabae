"""Holds that lines lead from a request to its row and on to the partner's id, and that no line tells what is secret."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.utils import timezone

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog
from backend.apps.laboratory.models import CriticalPage, InboundMessage
from backend.apps.laboratory.tests.factories import make_critical_page
from backend.apps.messaging.models import PatientMessage
from backend.apps.users.tests.factories import make_user
from backend.config import logs, redaction
from backend.config.logs import Json, Line
from integrations.doubles.twilio import TwilioDouble
from integrations.errors import Permanent
from tests.support.api_contract import client_for
from tests.workers.rows import CANARY, HOUR, messages
from tests.workers.texts import patient
from workers import reminders
from workers.beats import beating
from workers.celery_app import app
from workers.cli.state import ROOT
from workers.critical_results import page_due
from workers.runner import HandlerBug, drain, drain_together

pytestmark = pytest.mark.django_db
REQUEST = "chain-0001"


class Lines:
    """What the process logs meanwhile, as production writes it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(Json())

    def all(self, **wanted: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in found if wanted.items() <= line.items()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    held, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(held.handler)
    root.setLevel(logging.INFO)
    yield held
    root.removeHandler(held.handler)
    root.setLevel(before)


@pytest.fixture
def tasks() -> Mapping[str, Any]:
    """All that are registered. To load them sets logging up anew, so this comes before `lines`."""
    app.loader.import_default_modules()
    found: Mapping[str, Any] = app.tasks
    return found


def test_lines_lead_from_a_request_to_its_row_and_to_the_id_of_the_provider(
    twilio: TwilioDouble, lines: Lines, django_capture_on_commit_callbacks: Any
) -> None:
    visit = make_appointment(
        patient=patient(), appointment_datetime=timezone.now() - HOUR, duration_minutes=15, status="confirmed"
    )
    with django_capture_on_commit_callbacks(execute=True):
        url = f"/api/v1/appointments/{visit.pk}/mark_no_show/"
        answer = client_for(make_user("receptionist")).post(url, headers={"X-Request-Id": REQUEST})
    assert (answer.status_code, answer["X-Request-Id"]) == (200, REQUEST)
    now = timezone.now()
    PatientMessage.objects.update(due_at=now - HOUR, scheduled_send_time=now - HOUR, useful_until=now + HOUR)
    assert reminders.deliver_messages() == "1 done"

    (queued,) = lines.all(message="queued", request_id=REQUEST)
    row = PatientMessage.objects.get(pk=queued["work_id"])
    (ended,) = lines.all(work="PatientMessage", work_id=queued["work_id"], outcome="done")
    assert ended["provider_id"] == row.external_id == twilio.sent[0].sid
    assert AuditLog.objects.filter(request_id=REQUEST, action="mark_no_show").exists()
    assert (queued["process"], queued["level"], queued["logger"]) == ("carerelay", "INFO", "backend.apps.core.work")
    assert "request_id" not in ended, "a worker that another request woke"


def test_what_a_handler_logs_names_its_row_and_how_it_ended(twilio: TwilioDouble, lines: Lines) -> None:
    page = make_critical_page()
    CriticalPage.objects.exclude(pk=page.pk).delete()
    CriticalPage.objects.filter(pk=page.pk).update(channel="email", due_at=timezone.now() - HOUR)
    assert page_due() == "1 done"
    (ended,) = lines.all(work="CriticalPage", work_id=str(page.pk))
    page.refresh_from_db()
    assert (ended["outcome"], ended["provider_id"]) == ("done", page.external_id)

    def refuse(_: InboundMessage) -> dict[str, Any]:
        logging.getLogger("some.library").warning("as it goes")
        raise Permanent("no", code="lab:no")

    (message,) = messages(1)
    drain(InboundMessage, refuse)
    said, ended = lines.all(work_id=str(message.pk))
    assert (said["message"], ended["outcome"]) == ("as it goes", "failed")
    assert "work_id" not in logs.told(logging.LogRecord("x", 20, "x", 1, "", (), None)), "and nothing stays bound"


def test_what_is_handled_together_or_in_bulk_is_counted_and_only_what_stands_out_is_named(lines: Lines) -> None:
    rows = messages(5)
    bad = rows[2].pk

    def handle_all(group: Any) -> list[dict[str, Any]]:
        if any(row.pk == bad for row in group):
            raise Permanent("no", code="lab:no")
        return [{} for _ in group]

    drain_together(InboundMessage, handle_all)
    ended = {line["work_id"]: line["outcome"] for line in lines.all(message="ended")}
    assert ended[str(bad)] == "failed"
    assert len(ended) <= 3
    messages(3)
    drain(InboundMessage, lambda _: {}, bulk=True)
    assert len(lines.all(message="ended")) == len(ended)


def test_no_text_of_an_exception_is_ever_in_a_line(lines: Lines) -> None:
    def breaks(_: InboundMessage) -> dict[str, Any]:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error

    messages(1)
    with pytest.raises(HandlerBug):
        drain(InboundMessage, breaks)
    try:
        breaks(None)  # type: ignore[arg-type]  # it looks at none
    except KeyError:
        logging.getLogger("any").exception("went wrong")
        failed = {"name": "a.task", "id": "1", "description": "raised unexpected", "exc": CANARY, "traceback": CANARY}
        logging.getLogger("celery.app.trace").error("%(exc)s", failed, exc_info=sys.exc_info(), extra={"data": failed})
    assert CANARY not in lines.stream.getvalue()
    (wrong,) = lines.all(message="went wrong")
    assert wrong["error"] == "KeyError from ValueError"
    assert "in breaks" in wrong["where"]
    assert lines.all(message="Task a.task[1] raised unexpected: KeyError")


def test_what_any_task_raises_reaches_the_broker_by_its_kind_only_and_the_log_by_its_place(
    tasks: Mapping[str, Any], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        with beating("catch up"):
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT %s::int", [CANARY])
            except DataError as error:
                raise KeyError(CANARY) from error

    for name, task in tasks.items():
        monkeypatch.setattr(task, "run", breaks)
        ended = task.apply()  # of what it has, Celery makes the event of a task that failed
        assert (repr(ended.result), ended.state) == (f"HandlerBug('KeyError in {name}')", "FAILURE")
        assert CANARY not in ended.traceback
    assert CANARY not in lines.stream.getvalue()
    assert "in breaks" in lines.all(logger="workers.runner")[-1]["message"]


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    record = logging.LogRecord("x", 20, "x", 1, "two\nlines of %s", ("\ud800 and \x00",), None)
    said = Json().format(record)
    assert "\n" not in said
    assert json.loads(said)["message"] == "two\nlines of \ud800 and \x00"
    record.work_id = "7"
    assert Line().format(record).endswith("[work_id=7]")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "line"),
        ({"CARERELAY_ENV": "production"}, "json"),
        ({"CARERELAY_ENV": "production", "CARERELAY_LOG_FORMAT": "line"}, "line"),
        ({"CARERELAY_LOG_FORMAT": "json"}, "json"),
    ],
    ids=["here", "in production", "in production as asked", "here as asked"],
)
def test_production_writes_json_unless_it_is_told_otherwise(environ: dict[str, str], name: str) -> None:
    assert logs.wanted(environ) == name


TOLD = {
    "call +14155557391, (415) 555-7391, 415-555-7391 or 4155557391": ("5557391", "555-7391"),
    "mail zq.x+1@example.org": ("zq", "example"),
    "SSN 078-05-1120 born 1931-07-23, 19310723, 7/23/1931 or 1931-07-23T00:00:00": ("078", "1931"),
    "call 4155557391. Or phone:4155557391: both": ("5557391",),
    "born 19310723. {'born': datetime.date(1931, 7, 23)} DTM 193107231200": ("1931",),
    "born July 23, 1931, 23 Jul 1931, 07-23-1931, 23.07.1931 or 1931/07/23": ("1931",),
    "record MRN0000017": ("0000017",),
    "bad PID|1||ZQ^^^C||DOE^JANE\rOBX|1|NM|ZQ": ("DOE", "ZQ"),
    "bad NM1*IL*1*DOE*JANE~DMG*D8*19310723": ("DOE", "1931"),
    'GET /admin/patients/patient/?q=doe and "https://u:hunter22@host/x?name=doe"': ("doe", "hunter"),
    "Bearer abcdefgh.ijk eyJhbGciOi.eyJzdWIi.c2ln password='hunter22' token=abc123 /a/abcdefghijklmnopq": (
        "abcdefgh", "hunter", "eyJ", "abc123",
    ),
    'duplicate key\nDETAIL:  Key (email)=(doe) already exists.\nLINE 1: SELECT doe\n               ^': ("doe",),
    'invalid input syntax for type uuid: "doe"': ("doe",),
}  # fmt: skip
KEPT = (
    "Task sweep.overdue[0b0d1a1e-1111-4222-8333-444455556666] succeeded in 0.01234567s: '3 done'",
    "listening on 127.0.0.1:8000, pid 123456, since 2026-11-26T12:30:00Z and 2026-11-26 12:30",
    "Thu, 26 Nov 2026 12:30:00 GMT, 2026/11/26 12:30:01, [26/Nov/2026:12:30:00] to 10.12.20.15 in 1764230400.123",
    "CriticalPage 1234567: TimeoutError in its handler", "HTTP 503 from twilio:http-503 for SM0123456789abcdef",
)  # fmt: skip


@pytest.mark.parametrize("text", TOLD)
@pytest.mark.parametrize("kind", [Json, Line, logging.Formatter])
def test_whatever_looks_like_a_patients_data_or_a_secret_is_taken_out_of_words_and_tracebacks(
    text: str, kind: type[logging.Formatter], caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("any").error("went wrong: %s", text, exc_info=True)
    (record,) = caplog.records
    said = kind().format(record)
    assert "went wrong" in said
    assert [word for word in TOLD[text] if word in said] == []


def test_in_production_no_form_of_a_line_has_the_text_of_an_exception(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "WITH_TEXT", False)  # as the environment says at the start of a process there
    try:
        raise KeyError(CANARY)
    except KeyError as met:
        error = met
        logging.getLogger("any").exception("went wrong")
    told = {"name": "a.task", "id": "1", "description": "raised unexpected", "exc": CANARY[:-1]}  # cut by Celery
    for name, words, extra in (
        ("any", f"went wrong: {CANARY} in {error!r}", {}),
        ("celery.app.trace", "Task: %(exc)s", {"data": told}),
    ):
        logging.getLogger(name).error(words, *extra.values(), exc_info=error, extra=extra)
    for kind, record in product((Json, Line, logging.Formatter), caplog.records):
        said = kind().format(record)
        assert (CANARY[:-1] in said, "KeyError" in said, "test_logs.py" in said) == (False, True, True)


@pytest.mark.parametrize(
    "way",
    [
        "raise ValueError(name)",
        "import threading; one = threading.Thread(target=int, args=(name,)); one.start(); one.join()",
        "A = type('A', (), {'__del__': lambda self: int(name), '__repr__': lambda self: name}); A()",
        "import logging; logging.error('%s %d', name, name)",
        "import logging; logging.getLogger('x').error('%s', name, exc_info=ValueError(name))",
        "import warnings; warnings.warn(f'a naive datetime: {name}'); raise ValueError(name)",
        "import asyncio\nasync def a(): raise ValueError(name)\nasync def b():\n t = asyncio.create_task(a())\n"
        " await asyncio.sleep(0); del t\nasyncio.run(b())",
    ],
    ids=["main thread", "thread", "thrown away", "values that do not fit", "quoted", "warning", "task of a loop"],
)
def test_whatever_way_an_exception_ends_a_process_writes_its_place_and_not_its_text(way: str) -> None:
    script = f"import backend.config.logs; name = ' '.join(['Zqdoe', 'Jane'])\n{way}"
    env = {"PATH": os.environ["PATH"], "CARERELAY_ENV": "production"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Zqdoe" not in done.stdout + done.stderr.replace("warn(f'a naive datetime: {name}')", "")
    assert any(word in done.stderr for word in ("ValueError", "do not fit")), "but that it did is told"


@pytest.mark.parametrize(
    "part",
    ["a://:", "eyJ-", "eyJaaaaaa.", " for type", "x@a.", "DETAIL", "?a=", "token=", "bearer a", "+1 (2) ", "1-2-"],
)
def test_no_words_of_a_stranger_hold_a_process_up_while_they_are_cleaned(part: str) -> None:
    for text in (part * (100_000 // len(part)), f"a://{part * (100_000 // len(part))}"):
        began = time.process_time()
        redaction.cleaned(text)
        assert time.process_time() - began < 2, "twice the words take four times as long"  # then it is minutes


def test_what_an_operator_needs_stays_in_a_line() -> None:
    for text in KEPT:
        assert redaction.cleaned(text) == text


def test_nobody_writes_an_entry_of_their_own_or_steers_the_terminal_that_shows_it() -> None:
    forged = "agent\r\n2026-11-26 12:00:00 INFO root signed in\x1b[2J\u202e\x00\u2028end"
    record = logging.getLogger("x").makeRecord("x", 20, "x", 1, "by %s", (forged,), None)
    first, *more = Line().format(record).split("\n")
    assert [line[:4] for line in more] == ["  | "]
    assert "\x1b" not in first + more[0]
    assert set("\r\x1b\u202e\x00\u2028") & set("".join(more)) == set()
    assert set("\n\r\x1b\u202e\x00\u2028") & set(Json().format(record)) == set()


def test_what_ends_a_thread_is_told_as_anything_else(caplog: pytest.LogCaptureFixture) -> None:
    assert logging.getLogRecordFactory() is redaction.Record
    error = ValueError("+14155557391 of Doe")
    redaction.thread_died(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))
    (record,) = caplog.records
    said = json.loads(Json().format(record))
    assert (said["message"], said["error"]) == ("a thread died", "ValueError")
    assert "4155557391" not in Line().format(record)
