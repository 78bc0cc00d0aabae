"""Finds the sample messages and writes a report down for comparing; without it each test would do both by itself."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from integrations.hl7 import oru
from integrations.hl7.reader import Message
from integrations.hl7.records import Observation, Report

FOLDER = Path(__file__).resolve().parents[2] / "samples" / "hl7"
MESSAGES = sorted(path for path in FOLDER.glob("*.hl7") if path.stem not in ("batch", "batches"))
ZONE = ZoneInfo("America/New_York")


def raw(name: str) -> bytes:
    return (FOLDER / f"{name}.hl7").read_bytes()


def report(name: str) -> Report:
    return oru.read(Message(raw(name)), default_tz=ZONE)


def written(found: Report) -> dict[str, Any]:
    """Return the report as JSON would hold it, without what is empty."""
    whole: dict[str, Any] = json.loads(json.dumps(_plain(found), default=str))
    return _filled(whole)


def _plain(value: Any) -> Any:
    """Return records as dictionaries by field name."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Observation):
        asked, found, circumstances = (part._asdict() for part in value[1:4])
        whole = {"number": value.number, **asked, **found, **circumstances, "notes": value.notes}
        del whole["problem"]  # told in the findings
        return {name: _plain(inner) for name, inner in whole.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    return [_plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kept for key, inner in value.items() if (kept := _filled(inner)) not in ("", None, [], {})}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value
