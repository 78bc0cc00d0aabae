"""Writes log lines that tell which request and which row they belong to; without it nobody could follow a message.

What looks like a patient's data or a secret is taken out (`redaction`); a line of JSON has no exception's text.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from backend.config import redaction

FIELDS = ("request_id", "work", "work_id", "outcome", "provider_id")
FORMATS = ("json", "line")
PROCESS = os.environ.get("CARERELAY_PROCESS", "carerelay")
encode = json.JSONEncoder(default=str).encode

redaction.install()  # every process reads the settings, and so this, before it does anything
_bound: ContextVar[MutableMapping[str, Any] | None] = ContextVar("bound", default=None)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Let every line that is written in the block carry `fields`, beside those of the block around it."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def note(**fields: str) -> None:
    """Add to the fields of the block we are in; outside of any nothing happens."""
    if (held := _bound.get()) is not None:
        held.update(fields)


def told(record: logging.LogRecord) -> dict[str, str]:
    """Return what a line says about where it belongs: its own word first, else that of the block."""
    held, own = _bound.get() or {}, record.__dict__
    return {name: str(value) for name in FIELDS if (value := own.get(name) or held.get(name))}


class Line(logging.Formatter):
    """One entry for people; its further lines, as those of a traceback, are marked as such."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s%(told)s")

    def format(self, record: logging.LogRecord) -> str:
        record = redaction.clean(record)
        about = " ".join(f"{name}={value}" for name, value in told(record).items())
        record.told = f" [{about}]" if about else ""
        return redaction.one_entry(super().format(record))


class Json(logging.Formatter):
    """One object a line. Of an exception the types and the places are told: its text may hold a patient's data."""

    def format(self, record: logging.LogRecord) -> str:
        record = redaction.clean(record)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "process": PROCESS,
            **told(record),
        }
        if error := _error(record):
            line |= {"error": redaction.kinds(error), "where": "".join(traceback.format_tb(error.__traceback__))}
        return encode(line)


def wanted(environ: Mapping[str, str] = os.environ) -> str:
    """Return which of FORMATS is asked for: "json" in production, "line" elsewhere, unless it is set."""
    usual = "json" if environ.get("CARERELAY_ENV") == "production" else "line"
    return environ.get("CARERELAY_LOG_FORMAT") or usual


def chosen() -> logging.Formatter:
    """Return the formatter for this process; the web server's own lines take it too (`web_logs.json`)."""
    return Json() if wanted() == "json" else Line()


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _message(record: logging.LogRecord) -> str:
    error = _error(record)
    return (redaction.without_text(record, error) if error else "") or record.getMessage()
