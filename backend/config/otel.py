"""Sends spans by OTLP; imported only where a collector is named, for it needs the extra "tracing"."""

from __future__ import annotations

import os
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def tracer(processor: SpanProcessor | None = None) -> trace.Tracer:
    """Return what makes spans. Where they are sent, and how often, is read from the OTEL_ variables by the library."""
    name = os.environ.get("OTEL_SERVICE_NAME") or f"carerelay-{os.environ.get('CARERELAY_PROCESS', 'command')}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("carerelay")


def note(counts: Mapping[str, int]) -> None:
    current = trace.get_current_span()
    for outcome, count in counts.items():
        if count:
            current.set_attribute(f"carerelay.rows.{outcome.replace(' ', '_')}", count)
