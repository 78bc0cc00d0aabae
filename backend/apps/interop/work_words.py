"""The words of the work pages: what a state means and what an error asks for; else a row would tell its column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from backend.apps.core.work import GIVEN_UP
from backend.apps.interop import failure_words


class Word(NamedTuple):
    """A state for people: its word, the tone it is shown in, and what it means."""

    word: str
    tone: str
    told: str


STATES: Mapping[str, Word] = MappingProxyType(
    {
        "held": Word("held", "bad", "Nobody knows how these ended, or a machine may not decide. A person does."),
        "failed": Word("failed", "bad", "These were tried and given up by the machine. Put right why, then try again."),
        "given_up": Word("given up", "", "A person ended these. They can be put back in line all the same."),
        "waiting": Word("waiting", "wait", "Due, and taken next by a free worker, the longest waiting first."),
        "running": Word("running", "wait", "A worker has these just now."),
        "lost": Word(
            "lease over", "wait", "Their worker is overdue or dead. They are taken again, or held, in a minute."
        ),
    }
)
PROVIDER_CODE = re.compile(r"\((?P<code>(?:twilio|sendgrid):[\w.]{1,40})\)$")


def hint(last_error: str) -> str:
    """Return what an error asks of a person where its code says so, else nothing."""
    found = PROVIDER_CODE.search(last_error)
    return failure_words.sentence(found["code"]) if found else ""


def word_of(work_state: str, last_error: str) -> Word:
    if work_state == "done":
        return Word("done", "good", "Nothing is left to do.")
    given_up = work_state == "failed" and last_error.startswith(GIVEN_UP)
    return STATES["given_up" if given_up else work_state]


def duration(seconds: float) -> str:
    """Return a span of time in the largest unit that says enough: 40 s, 12 min, 5 h, 3 days."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
