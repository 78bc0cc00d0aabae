"""Says how each pipeline of the clinic is doing; without it an operator would have to read every table of work."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from urllib.parse import urlencode

from django.db.models import Count, Min, Model
from django.urls import reverse

from backend.apps.core import causes, tallies
from backend.apps.core.depths import MOST, Depth, depths
from backend.apps.core.models import Alert
from backend.apps.insurance.inquiries import BUILD
from backend.apps.insurance.models import EligibilityInquiry, StatusInquiry
from backend.apps.insurance.models.inquiries import InquiryStatus
from backend.apps.interop import work_pages
from backend.apps.messaging import outgoing


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
class Questions:
    """What is to be asked of payers, of one sort, and since when; the beat makes files of it."""

    told: str
    count: int
    oldest: datetime
    address: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that gives a pipeline its light. address: the page of exactly what it tells of, empty where none is."""

    light: Light
    sentence: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline as an operator sees it.

    reasons: what the light means, the worst first. depth: rows that are due; oldest_s: how long the oldest has been.
    spark: rows done in each of the last 24 hours, the oldest first. failures: the most frequent causes, of the latest
    rows only where `sampled`. address: its own board. depths: by kind of work; `rows_address` leads to the rows behind
    one of their numbers. questions: what waits that is no queue, with where it is listed.
    """

    name: str
    light: Light
    reasons: tuple[Reason, ...]
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
    questions: tuple[Questions, ...] = ()
    sampled: bool = False

    @property
    def why(self) -> str:
        return self.reasons[0].sentence if self.reasons else FINE


@dataclass(frozen=True, slots=True)
class Part:
    """What belongs to a pipeline: the tasks whose rows it works on, how the kinds of its alerts begin, its board."""

    name: str
    tasks: tuple[str, ...]
    board: str
    alerts: tuple[str, ...] = ()


PARTS = (
    Part(
        "Reminders and messages",
        ("reminders.deliver", "reminders.deliver_messages", "reminders.replan", "waitlist.offer"),
        "console:reminders",
        ("message_", "messages_", "reminders_"),
    ),
    Part("Lab results", ("lab_results.file", "lab_replays.run"), "console:lab-inbox", ("lab_feed_", "lab_conflict")),
    Part("Lab orders", ("lab_orders.send",), "console:lab-inbox", ("lab_order_", "lab_result_overdue")),
    Part("Critical results", ("critical_results.page",), "console:lab-critical", ("lab_critical_",)),
    Part("Claims", ("claims.transmit", "claims.read"), "console:claim-files", ("claims_", "deposits_")),
    Part("Eligibility", (BUILD,), "console:claim-files", ("questions_", "eligibility_")),
    Part("Exports", ("fhir_export.run", "fhir_export.write"), "console:exports", ("export_",)),
    Part("Webhook events", ("provider_events.apply",), "console:reminders", ("webhook_",)),
    Part("Credentials", ("credentials.notify",), "console:credentials", ("credential_", "registry_")),
    Part(
        "Alerts and books",
        ("alerts.notify", "alerts.tell_owner", "reconcile.run"),
        "console:alerts",
        ("audit_", "beat_", "broker_", "certificate_", "reconcile_", "retention_", "sealed_"),
    ),
)
# How the kinds of alerts begin that are about people and no row of work.
NO_PIPELINE = ("prescription_", "staff_", "break_glass_")
FINE = "Nothing is late and nothing failed in the last day."
LATE_S, TOO_LATE_S = 60, 600
QUESTIONS: Mapping[type[Model], str] = MappingProxyType(
    {EligibilityInquiry: "questions about insurance to ask", StatusInquiry: "questions about claims to ask"}
)
WORST_FIRST = (Light.RED, Light.AMBER, Light.GREEN)
WAITS_FOR_A_BATCH = frozenset({BUILD})  # made into files every quarter of an hour, by the beat
BATCH_S = 1800
MOST_CAUSES = 5
LIGHTS_OF_ALERTS = MappingProxyType({Alert.Severity.CRITICAL: Light.RED, Alert.Severity.WARNING: Light.AMBER})


@dataclass(frozen=True, slots=True)
class Found:
    """All that the pipelines are told from, read once.

    sought: by task, rows that are held and of which a machine finds out whether they arrived. alerts: those that are
    not resolved, by kind and severity.
    """

    depths: Mapping[str, Depth]
    questions: Sequence[Questions]
    sought: Mapping[str, int]
    hours: Mapping[tuple[str, str], Sequence[int]]
    causes: Mapping[str, Sequence[causes.Found]]
    alerts: Mapping[tuple[str, str], int]


def rows_address(task: str, state: str, cause: str | None = None, **more: str) -> str:
    """Return where the rows of one kind of work in one state are, or those that stand still by one cause, even none.

    more: what else the list is cut by.
    """
    asked = {"state": state, **more} if cause is None else {"state": state, "cause": cause, **more}
    return f"{reverse('console:work-list', args=[task])}?{urlencode(asked)}"


def pipelines(now: datetime) -> list[Pipeline]:
    """Return all pipelines, in a few bounded queries however many rows there are."""
    found = _found(now)
    return [_pipeline(part, found, now) for part in PARTS]


def _found(now: datetime) -> Found:
    questions = _questions()
    known = [*depths(), _as_depth(questions)]
    kinds = Alert.objects.filter(resolved_at__isnull=True).order_by().values_list("kind", "severity")
    return Found(
        depths={depth.task: depth for depth in known},
        questions=questions,
        sought=_sought({depth.task for depth in known if depth.held}),
        hours=tallies.by_hour(now),
        causes=causes.found({depth.task for depth in known if depth.held or depth.failed}),
        alerts={(kind, severity): count for kind, severity, count in kinds.annotate(Count("pk"))},
    )


def _sought(tasks: Collection[str]) -> dict[str, int]:
    """Return by task how many held rows the machine looks into; of the others it has told a person long since."""
    kinds = [model for model in outgoing.kinds() if model.task_name in tasks]
    looked_into = work_pages.STATES["held"] & work_pages.LOOKED_INTO
    return {model.task_name: model.all_objects.filter(looked_into).order_by()[:MOST].count() for model in kinds}


def _questions() -> list[Questions]:
    """Return what is to be asked of payers: the beat makes files of these rows."""
    found = []
    for model, told in QUESTIONS.items():
        queued = model._default_manager.filter(status=InquiryStatus.QUEUED).order_by()
        oldest = queued.aggregate(first=Min("queued_at"))["first"]
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        if oldest:
            address = f"{page}?status__exact={InquiryStatus.QUEUED}"
            found.append(Questions(told, queued[:MOST].count(), oldest, address))
    return found


def _as_depth(questions: Sequence[Questions]) -> Depth:
    oldest = min((each.oldest for each in questions), default=None)
    return Depth(BUILD, waiting=sum(each.count for each in questions), oldest_due_at=oldest)


def _pipeline(part: Part, found: Found, now: datetime) -> Pipeline:
    own = [found.depths[task] for task in part.tasks if task in found.depths]
    done = [hours for (task, outcome), hours in found.hours.items() if task in part.tasks and outcome == "done"]
    spark = tuple(map(sum, zip(*done, strict=True))) if done else (0,) * tallies.HOURS
    reasons = [*_reasons(own, found, now), *_alerts(part, found), *_failed_lately(part, found)]
    reasons.sort(key=lambda reason: WORST_FIRST.index(reason.light))
    return Pipeline(
        name=part.name,
        light=reasons[0].light if reasons else Light.GREEN,
        reasons=tuple(reasons),
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
        questions=tuple(found.questions) if BUILD in part.tasks else (),
        sampled=any(max(depth.failed, depth.held) > causes.MOST for depth in own),
    )


def _reasons(own: Iterable[Depth], found: Found, now: datetime) -> list[Reason]:
    """Return what is late, held, failed or overdue now, whenever that began."""
    reasons = []
    for depth in own:
        is_batch = depth.task in WAITS_FOR_A_BATCH
        late_by_s = depth.oldest_s(now) - (BATCH_S if is_batch else 0)
        if late_by_s > LATE_S:
            worst = Light.RED if late_by_s > TOO_LATE_S else Light.AMBER
            told = f"The oldest row has been due for {_minutes(depth.oldest_s(now))}."
            reasons.append(Reason(worst, told, "" if is_batch else rows_address(depth.task, "waiting")))
        reasons += _stuck(depth, min(found.sought.get(depth.task, 0), depth.held))
    return reasons


def _stuck(depth: Depth, sought: int) -> list[Reason]:
    held, page = depth.held - sought, partial(rows_address, depth.task)
    held_alone = page("held", sought="no") if sought else page("held")
    failed = f"{_rows(depth.failed).capitalize()} failed: a person has to look."
    told = [
        (sought, Light.AMBER, page("held", sought="yes"), f"It is being found out whether {_rows(sought)} arrived."),
        (held, Light.RED, held_alone, f"{_rows(held).capitalize()} held until a person decides."),
        (depth.failed, Light.AMBER, page("failed"), failed),
        (depth.lost, Light.AMBER, page("lost"), f"The worker of {_rows(depth.lost)} is overdue."),
    ]
    return [Reason(light, sentence, address) for count, light, address, sentence in told if count]


def _alerts(part: Part, found: Found) -> list[Reason]:
    reasons = []
    for severity, light in LIGHTS_OF_ALERTS.items():
        own = {kind: rows for (kind, how), rows in found.alerts.items() if how == severity}
        mine = {kind: rows for kind, rows in own.items() if kind.startswith(part.alerts)}
        if count := sum(mine.values()):
            asked = urlencode({"state": "unresolved", "severity": severity, "kind": sorted(mine)}, doseq=True)
            sentence = f"{count} open {severity} alert{'s' if count > 1 else ''}."
            reasons.append(Reason(light, sentence, f"{reverse('console:alerts')}?{asked}"))
    return reasons


def _failed_lately(part: Part, found: Found) -> list[Reason]:
    failed = sum(sum(found.hours.get((task, "failed"), ())) for task in part.tasks)
    return [Reason(Light.AMBER, f"{_rows(failed).capitalize()} failed in the last day.")] if failed else []


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
