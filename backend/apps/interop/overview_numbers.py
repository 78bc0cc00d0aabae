"""Says how each pipeline of the clinic is doing; without it an operator would have to read every table of work."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import urlencode

from django.db.models import Count, Min
from django.urls import reverse

from backend.apps.core import causes, tallies
from backend.apps.core.depths import MOST, Depth, depths
from backend.apps.core.models import Alert
from backend.apps.insurance.models import EligibilityInquiry, StatusInquiry
from backend.apps.insurance.models.inquiries import InquiryStatus


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
    """What belongs to a pipeline: the tasks whose rows it works on, how its alerts' kinds begin, the name of its board.

    clears_itself: a row that is held is looked up at the partner within minutes and needs no person until then.
    """

    name: str
    tasks: tuple[str, ...]
    board: str
    alerts: tuple[str, ...] = ()
    clears_itself: bool = False


PARTS = (
    Part(
        "Reminders and messages",
        ("reminders.deliver", "reminders.deliver_messages", "reminders.replan", "waitlist.offer"),
        "console:reminders",
        ("message_", "messages_"),
        clears_itself=True,
    ),
    Part("Lab results", ("lab_results.file", "lab_replays.run"), "console:lab-inbox", ("lab_feed_", "lab_conflict")),
    Part("Lab orders", ("lab_orders.send",), "console:lab-inbox", ("lab_order_", "lab_result_overdue")),
    Part("Critical results", ("critical_results.page",), "console:lab-critical", ("lab_critical_",)),
    Part("Claims", ("claims.transmit", "claims.read"), "console:claim-files", ("claims_",)),
    Part("Eligibility", ("eligibility.build",), "console:claim-files", ("questions_",)),
    Part("Exports", ("fhir_export.run", "fhir_export.write"), "console:exports", ("export_",)),
    Part("Webhook events", ("provider_events.apply",), "console:reminders", ("webhook_",)),
    Part("Credentials", ("credentials.notify",), "console:credentials", ("credential_",)),
    Part("Alerts and books", ("alerts.notify", "reconcile.run"), "console:alerts", ("beat_", "reconcile_")),
)
LATE_S, TOO_LATE_S = 60, 600
WAITS_FOR_A_BATCH = frozenset({"eligibility.build"})  # made into files every quarter of an hour, by the beat
BATCH_S = 1800
MOST_CAUSES = 5
LIGHTS_OF_ALERTS = MappingProxyType({Alert.Severity.CRITICAL: Light.RED, Alert.Severity.WARNING: Light.AMBER})


@dataclass(frozen=True, slots=True)
class Found:
    """All that the pipelines are told from, read once. alerts: open ones by kind and severity."""

    depths: Mapping[str, Depth]
    hours: Mapping[tuple[str, str], Sequence[int]]
    causes: Mapping[str, Sequence[causes.Found]]
    alerts: Mapping[tuple[str, str], int]


def rows_address(task: str, state: str, cause: str = "") -> str:
    """Return where the rows of one kind of work in one state are, or those that stand still by one cause."""
    asked = {"state": state, **({"cause": cause} if cause else {})}
    return f"{reverse('console:work-list', args=[task])}?{urlencode(asked)}"


def pipelines(now: datetime) -> list[Pipeline]:
    """Return all pipelines, in a few bounded queries however many rows there are."""
    found = _found(now)
    return [_pipeline(part, found, now) for part in PARTS]


def _found(now: datetime) -> Found:
    known = [*depths(), _questions()]
    kinds = Alert.objects.filter(resolved_at__isnull=True).order_by().values_list("kind", "severity")
    return Found(
        depths={depth.task: depth for depth in known},
        hours=tallies.by_hour(now),
        causes=causes.found({depth.task for depth in known if depth.held or depth.failed}),
        alerts={(kind, severity): count for kind, severity, count in kinds.annotate(Count("pk"))},
    )


def _questions() -> Depth:
    """Return what is to be asked of payers as if it were a queue: the beat makes files of these rows."""
    waiting, oldest = 0, list[datetime]()
    for model in (EligibilityInquiry, StatusInquiry):
        queued = model.objects.filter(status=InquiryStatus.QUEUED).order_by()
        first = queued.aggregate(first=Min("queued_at"))["first"]
        waiting += queued[:MOST].count() if first else 0
        oldest += [first] if first else []
    return Depth("eligibility.build", waiting=waiting, oldest_due_at=min(oldest, default=None))


def _pipeline(part: Part, found: Found, now: datetime) -> Pipeline:
    own = [found.depths[task] for task in part.tasks if task in found.depths]
    done = [hours for (task, outcome), hours in found.hours.items() if task in part.tasks and outcome == "done"]
    spark = tuple(map(sum, zip(*done, strict=True))) if done else (0,) * tallies.HOURS
    light, why = _light(part, own, found, now)
    return Pipeline(
        name=part.name,
        light=light,
        why=why,
        depth=sum(depth.waiting for depth in own),
        oldest_s=max((depth.oldest_s(now) for depth in own), default=0.0),
        running=sum(depth.running for depth in own),
        held=sum(depth.held for depth in own),
        failed=sum(depth.failed for depth in own),
        spark=spark,
        done_24h=sum(spark),
        failures=_failures(part, found),
        address=reverse(part.board),
        depths=tuple(depth for depth in own if depth.task not in WAITS_FOR_A_BATCH),
    )


def _light(part: Part, own: Iterable[Depth], found: Found, now: datetime) -> tuple[Light, str]:
    """Return the light and the worst of its reasons as a sentence."""
    reasons = [*_reasons(part, own, now), *_reasons_of_the_day(part, found)]
    for light in (Light.RED, Light.AMBER):
        if why := next((why for each, why in reasons if each == light), ""):
            return light, why
    return Light.GREEN, "Nothing is late and nothing failed in the last day."


def _reasons(part: Part, own: Iterable[Depth], now: datetime) -> list[tuple[Light, str]]:
    reasons = []
    for depth in own:
        late_by_s = depth.oldest_s(now) - (BATCH_S if depth.task in WAITS_FOR_A_BATCH else 0)
        if late_by_s > LATE_S:
            worst = Light.RED if late_by_s > TOO_LATE_S else Light.AMBER
            reasons.append((worst, f"The oldest row has been due for {_minutes(depth.oldest_s(now))}."))
        if depth.held and part.clears_itself:
            reasons.append((Light.AMBER, f"It is being found out whether {_rows(depth.held)} arrived."))
        elif depth.held:
            reasons.append((Light.RED, f"{_rows(depth.held).capitalize()} held until a person decides."))
        if depth.lost:
            reasons.append((Light.AMBER, f"The worker of {_rows(depth.lost)} is overdue."))
    return reasons


def _reasons_of_the_day(part: Part, found: Found) -> list[tuple[Light, str]]:
    failed = sum(sum(found.hours.get((task, "failed"), ())) for task in part.tasks)
    reasons = []
    for severity, light in LIGHTS_OF_ALERTS.items():
        own = [rows for (kind, how), rows in found.alerts.items() if how == severity and kind.startswith(part.alerts)]
        if count := sum(own):
            reasons.append((light, f"{count} open {severity} alert{'s' if count > 1 else ''}."))
    return [*reasons, *([(Light.AMBER, f"{_rows(failed).capitalize()} failed in the last day.")] if failed else [])]


def _failures(part: Part, found: Found) -> tuple[Cause, ...]:
    """Return why rows of the pipeline stand still, the most frequent causes first."""
    counts = Counter(
        {(task, one.state, one.cause): one.rows for task in part.tasks for one in found.causes.get(task, ())}
    )
    return tuple(
        Cause(cause or "No reason was noted.", count, rows_address(task, state, cause), task, state)
        for (task, state, cause), count in counts.most_common(MOST_CAUSES)
    )


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _minutes(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes < 120 else f"{minutes // 60} hours"
