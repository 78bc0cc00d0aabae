"""A worker that kills itself at a chosen moment of a bulk export, as kill -9 would; run in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

from workers import fhir_export
from workers.fhir import files, planning

# isort: split
from backend.apps.interop.fhir.exports import accounting  # models load once the workers' application is there

# Moment: where it is, what is replaced there, and in which of its calls the end comes.
MOMENTS: dict[str, tuple[Any, str, int]] = {
    "the plan is not committed": (planning, "add", 1),
    "half a file is written": (files.Ndjson, "write", 2),
    "a file is there that no row tells of": (files, "_publish", 2),
    "the end is not committed": (accounting, "account", 1),
}


def main(moment: str) -> None:
    """Work on the export that is due, and end without a word after the call that the moment names."""
    place, name, last = MOMENTS[moment]
    setattr(place, name, fatal(getattr(place, name), last))
    fhir_export.run_due()


def fatal(call: Callable[..., Any], last: int) -> Callable[..., Any]:
    calls = count(1)

    def replaced(*given: Any, **named: Any) -> Any:
        done = call(*given, **named)
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return replaced
