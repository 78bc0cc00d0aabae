"""Says how each pipeline of the clinic is doing; without it an operator would have to read every table of work."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from backend.apps.core import depths
from backend.apps.core.depths import Depth


class Light(enum.StrEnum):
    """green: nobody has to look; amber: something is late or failed; red: a person has to act."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why rows of one kind of work stand still. query: the address of the page that shows exactly these rows."""

    sentence: str
    count: int
    query: str
    task: str = ""
    state: str = "failed"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline as an operator sees it.

    why: what the light means, as a sentence. depth: rows that are due; oldest_s: how long the oldest has been.
    spark: rows done in each of the last 24 hours, the oldest first. failures: the most frequent causes.
    address: its own board. depths: by kind of work; `rows_address` leads to the rows behind one of their numbers.
    """

    name: str
    light: Light
    why: str
    depth: int
    oldest_s: float
    running: int
    held: int
    failed: int
    spark: tuple[int, ...]
    done_24h: int
    failures: tuple[Cause, ...]
    address: str
    depths: tuple[Depth, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What belongs to a pipeline: the tasks whose rows it works on, and the name of its board."""

    name: str
    tasks: tuple[str, ...]
    board: str


PARTS = (
    Part(
        "Reminders and messages",
        ("reminders.deliver", "reminders.deliver_messages", "reminders.replan", "waitlist.offer"),
        "console:reminders",
    ),
    Part("Lab results", ("lab_results.file", "lab_replays.run"), "console:lab-inbox"),
    Part("Lab orders", ("lab_orders.send",), "console:lab-inbox"),
    Part("Critical results", ("critical_results.page",), "console:lab-critical"),
    Part("Claims", ("claims.transmit", "claims.read"), "console:claim-files"),
    Part("Eligibility", (), "console:claim-files"),
    Part("Exports", ("fhir_export.run", "fhir_export.write"), "console:exports"),
    Part("Webhook events", ("provider_events.apply",), "console:reminders"),
    Part("Credentials", ("credentials.notify",), "console:index"),
    Part("Alerts and books", ("alerts.notify", "reconcile.run"), "console:index"),
)


def rows_address(task: str, state: str, cause: str = "") -> str:
    """Return where the rows of one kind of work in one state are, or those that stand still by one cause."""
    asked = {"state": state, **({"cause": cause} if cause else {})}
    return f"{reverse('console:index')}work/{task}/?{urlencode(asked)}"


def pipelines(now: datetime) -> list[Pipeline]:
    """Return all pipelines, in a few bounded queries however many rows there are."""
    found = {depth.task: depth for depth in depths.depths()}
    return [_pipeline(part, [found[task] for task in part.tasks if task in found], now) for part in PARTS]


def _pipeline(part: Part, own: list[Depth], now: datetime) -> Pipeline:
    return Pipeline(
        name=part.name,
        light=Light.GREEN,
        why="Nothing waits for longer than it should.",
        depth=sum(depth.waiting for depth in own),
        oldest_s=max((depth.oldest_s(now) for depth in own), default=0.0),
        running=sum(depth.running for depth in own),
        held=sum(depth.held for depth in own),
        failed=sum(depth.failed for depth in own),
        spark=(0,) * 24,
        done_24h=0,
        failures=(),
        address=reverse(part.board),
        depths=tuple(own),
    )
