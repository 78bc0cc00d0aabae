"""Holds that traces, where a collector is named, tell no address and no text of an error, and else cost nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backend.apps.laboratory.models import InboundMessage
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from backend.config import otel, tracing
from integrations.doubles.server import Answer, HttpDouble, Request
from tests.support.api_contract import client_for
from tests.workers.rows import CANARY, messages
from workers.celery_app import app
from workers.following import TracedTask
from workers.runner import HandlerBug, drain

pytestmark = pytest.mark.django_db


class Collector(HttpDouble):
    def take(self, request: Request) -> Answer:
        return Answer(200, b"", {"Content-Type": "application/x-protobuf"})


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "TRACER", otel.tracer(SimpleSpanProcessor(kept)))
    return kept


def test_a_request_is_a_span_named_by_its_pattern(spans: InMemorySpanExporter, settings: Any) -> None:
    settings.MIDDLEWARE = ["backend.apps.core.middleware.Traced", *settings.MIDDLEWARE]
    person = make_patient()
    url = f"/api/v1/patients/{person.pk}/"
    client_for(make_user("admin")).get(url, headers={"X-Request-Id": "trace-0001"})
    Client().get(f"/nowhere/{CANARY}/")
    found, lost = spans.get_finished_spans()
    assert found.name.startswith("GET /api/v1/")
    assert found.attributes["http.response.status_code"] == 200
    assert found.attributes["request_id"] == "trace-0001"
    assert (lost.name, lost.attributes["http.response.status_code"]) == ("GET", 404)
    told = "".join(span.to_json() for span in (found, lost))
    assert str(person.pk) not in told
    assert CANARY not in told


def test_a_batch_is_a_span_with_its_counts_and_each_row_one_below_it(spans: InMemorySpanExporter) -> None:
    bad = messages(3)[1].pk

    def handle(row: InboundMessage) -> dict[str, Any]:
        if row.pk == bad:
            raise KeyError(CANARY)
        return {}

    class Traced(TracedTask):
        name = "test.traced"

        def run(self) -> str:
            return drain(InboundMessage, handle)

    task = Traced()
    task.bind(app)
    with pytest.raises(HandlerBug):
        task()
    *rows, batch = spans.get_finished_spans()
    assert batch.name == "test.traced"
    assert [row.name for row in rows] == ["lab_results.file row"] * 3
    assert {row.parent.span_id for row in rows} == {batch.context.span_id}
    assert str(bad) in {row.attributes["work_id"] for row in rows}
    assert CANARY not in "".join(span.to_json() for span in (*rows, batch))
    with tracing.span("counted"):
        tracing.counted({"done": 2, "not needed": 1, "failed": 0})
    counted = dict(spans.get_finished_spans()[-1].attributes)
    assert counted == {"carerelay.rows.done": 2, "carerelay.rows.not_needed": 1}


def test_spans_reach_a_collector_by_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        sends = OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces")
        monkeypatch.setattr(tracing, "TRACER", otel.tracer(SimpleSpanProcessor(sends)))
        with tracing.span("reminders.deliver", work="AppointmentReminder"):
            pass
        (request,) = collector.arrived(1)
    assert (request.method, request.path) == ("POST", "/v1/traces")
    assert b"reminders.deliver" in request.body
    assert b"carerelay-" in request.body


def test_without_the_extra_the_setting_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("backend.config.otel", "opentelemetry.sdk.trace"):
        monkeypatch.setitem(sys.modules, name, None)
    assert tracing.started({}) is None
    with pytest.raises(ImproperlyConfigured, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT is set, .* install the extra"):
        tracing.started({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_without_a_collector_nothing_is_imported() -> None:
    words = "import sys, backend.config.tracing as t; t.counted({}); assert t.span('x') is t.OFF; "
    words += "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
