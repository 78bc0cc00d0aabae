"""Gives requests and work their spans where a collector of traces is named; elsewhere it costs nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OFF: AbstractContextManager[Any] = nullcontext()


def started(environ: Mapping[str, str]) -> Any:
    """Return a tracer that sends to the collector, None where none is named.

    Raises:
        ImproperlyConfigured: one is named, and the extra "tracing" is not installed.
    """
    if not environ.get(ENDPOINT):
        return None
    try:
        return import_module("backend.config.otel").tracer()
    except ImportError:
        raise ImproperlyConfigured(
            f'{ENDPOINT} is set, but what sends traces is not installed: install the extra "tracing", or unset it.'
        ) from None


TRACER: Any = started(os.environ)


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """Return a block that is one span, and gives it or None. What it raises is not recorded: the text may be secret."""
    if TRACER is None:
        return OFF
    how = {"record_exception": False, "set_status_on_exception": False}
    block: AbstractContextManager[Any] = TRACER.start_as_current_span(name, attributes=attributes, **how)
    return block


def counted(counts: Mapping[str, int]) -> None:
    """Note on the span we are in how many rows ended how."""
    if TRACER is not None:
        import_module("backend.config.otel").note(counts)
