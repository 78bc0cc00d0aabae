"""Finding the reason of a failure in a log; without it the person would get "see the log" instead of a sentence."""

import re
from collections.abc import Iterable
from pathlib import Path

LAST_WORDS = 30  # lines of a log that may tell why a server ended
DISK_FULL = ("No space left", "Check free disk space")
SERVER_REASONS = ("FATAL", "PANIC", "error:")
RAISED = re.compile(r"^[\w.]+: ")  # the unindented line that closes a Python traceback


def server_reason(log: Path) -> str:
    """Return why a server ended; clean-up messages may follow the reason."""
    lines = content(log)
    if any(sign in line for sign in DISK_FULL for line in lines[-LAST_WORDS:]):
        return "the disk is full"
    return last(line for line in lines if any(word in line for word in SERVER_REASONS)) or last_line(log)


def raised(log: Path) -> str:
    """Return what a Python program raised; a database error goes on for several lines."""
    return last(line for line in content(log)[-LAST_WORDS:] if RAISED.match(line)) or last_line(log)


def last_line(log: Path) -> str:
    return last(content(log)) or f"it said nothing; see {log}"


def last(lines: Iterable[str]) -> str:
    return next(reversed([line.strip() for line in lines]), "")


def content(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
