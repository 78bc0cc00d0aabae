"""What people decide about retention, and what the beat does by it; without it the rules would be a table on paper."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import Error, transaction
from django.db.models import Max, Q
from django.db.models.functions import Now

from backend.apps.core import alerts, retention, statements
from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, RetentionRule, RetentionRun
from backend.apps.core.models.retention import CENTURY, HELD
from backend.apps.core.retention import DataClass, Progress
from backend.apps.interop.retention_classes import BY_RULE, CLASSES, EXPIRING, named
from backend.apps.users.models import User

BUDGET_S = 150.0  # of one run of the beat, below the limit of a task; what is left goes the next time
DAYS = ("keep_days", "legal_floor_days")
FAILED = "retention_failed"
WAITING = "{of.title}: the rule was changed and nobody made a dry run since, so nothing is removed. Too old: {many:,}."
BROKEN = "{of.title}: the removal of what is too old broke off ({error}); it is tried again daily."
CLOCKS, CRITICAL = "retention clocks differ", Alert.Severity.CRITICAL


class BrokeOff(Exception):
    """The purge of some classes failed; the message names them and the kinds of errors."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. rule: as it is or, unsaved, as it would be; last: the newest run, a dry one too."""

    of: DataClass
    rule: RetentionRule | None
    last: RetentionRun | None


def table() -> list[Line]:
    """Return every class with its rule and its last run, in two queries."""
    rules = {rule.data_class: rule for rule in RetentionRule.objects.all()}
    newest = RetentionRun.objects.order_by("data_class", "-created_at").distinct("data_class").select_related("by")
    last = {run.data_class: run for run in newest}
    return [Line(of, (rules.get(of.name) or usual(of)) if of.has_rule else None, last.get(of.name)) for of in CLASSES]


def tables_of(run: RetentionRun) -> str:
    """Return of which kinds the rows are that a run found, in parentheses; nothing where there is one kind or none."""
    if len(run.found_in) < 2:
        return ""
    counts = (f"{many:,} {apps.get_model(label)._meta.verbose_name_plural}" for label, many in run.found_in.items())
    return f" ({', '.join(counts)})"


def usual(of: DataClass) -> RetentionRule:
    """Return the rule of a class that nobody has made one for: not saved, and not active."""
    return RetentionRule(
        data_class=of.name, keep_days=of.keep_days, legal_floor_days=of.floor_days, legal_source=of.law
    )


def of_class(name: str) -> RetentionRule:
    """Return the rule of a class, made as usual where there is none yet."""
    rule = usual(named(name))
    values = {field: getattr(rule, field) for field in (*DAYS, "legal_source")}
    return RetentionRule.objects.get_or_create(data_class=name, defaults=values)[0]


@transaction.atomic
def create(*, by: User | None, **fields: Any) -> RetentionRule:
    """Make the rule of a class; what is not given is as usual. It removes nothing until it is activated."""
    of = named(fields["data_class"])
    if RetentionRule.objects.filter(data_class=of.name).exists():
        raise DomainError("This class of data has a rule already; change that one.")
    rule = usual(of)
    for name, value in fields.items():
        setattr(rule, name, value)
    _check(rule, of)
    rule.full_clean()
    rule.save()
    return rule


@transaction.atomic
def change(rule: RetentionRule, *, by: User | None, **fields: Any) -> RetentionRule:
    """Change how long a class is kept; nothing more is removed until a person looked at the rule as it is then."""
    of = _locked(rule)
    if fields.pop("data_class", of.name) != of.name:
        raise DomainError("A rule stays with its class of data.")
    changed = {name for name in DAYS if name in fields and fields[name] != getattr(rule, name)}
    for name in changed:
        setattr(rule, name, fields[name])
    _check(rule, of)
    save_changes(rule, fields)
    if changed:
        RetentionRule.objects.filter(pk=rule.pk).update(changed_at=Now())
        rule.refresh_from_db()
    return rule


def _locked(rule: RetentionRule) -> DataClass:
    """Read the rule again and hold it until the transaction ends, against others who change it or look."""
    rule.refresh_from_db(from_queryset=RetentionRule.objects.select_for_update())
    return named(rule.data_class)


def _check(rule: RetentionRule, of: DataClass) -> None:
    if rule.legal_floor_days < of.floor_days:
        raise DomainError(f"By {of.law} this is kept for {of.floor_days} days at least; the floor may only be raised.")
    if rule.keep_days < rule.legal_floor_days:
        raise DomainError(f"This is shorter than the law asks for: {rule.legal_floor_days} days.")
    if rule.keep_days < 1:
        raise DomainError("Keep the data for a day at least.")
    if rule.keep_days > CENTURY:
        raise DomainError(f"Keep the data for {CENTURY:,} days at most, which is a hundred years.")


def look(rule: RetentionRule, *, by: User | None) -> RetentionRule:
    """Make a dry run: count what the rule would remove, and remove nothing."""
    retention.look(named(rule.data_class), rule, by=by)
    return rule


@transaction.atomic
def activate(rule: RetentionRule, *, by: User | None, reason: str) -> RetentionRule:
    """Let the daily purge remove by this rule, from now on."""
    _locked(rule)
    if not retention.was_looked_at(rule):
        raise DomainError("Make a dry run first, so that you know what will be removed.")
    return _switch(rule, reason, is_active=True)


@transaction.atomic
def deactivate(rule: RetentionRule, *, by: User | None, reason: str) -> RetentionRule:
    """Remove nothing more by this rule, one that was never let too: a legal hold, say, until `release` or `activate`.

    A purge that is at work ends with the rows it is at.
    """
    alerts.clear(retention.waiting_cause(rule.data_class))
    return _switch(rule, reason, is_active=False)


@transaction.atomic
def release(rule: RetentionRule, *, by: User | None) -> RetentionRule:
    """End a hold: the rule itself goes on to remove nothing, but what expires of its class is removed again."""
    if not RetentionRule.objects.filter(HELD, pk=rule.pk).update(reason="", updated_at=Now()):
        raise DomainError("The rule is not held.")
    rule.refresh_from_db()
    return rule


def _switch(rule: RetentionRule, reason: str, *, is_active: bool) -> RetentionRule:
    if not reason.strip():
        raise DomainError("Say why.")
    others = Q(is_active=False) if is_active else ~HELD
    if not RetentionRule.objects.filter(others, pk=rule.pk).update(
        is_active=is_active, reason=reason.strip()[:300], updated_at=Now()
    ):
        raise DomainError("The rule is active already." if is_active else "The rule is stopped already.")
    rule.refresh_from_db()
    return rule


def purge(name: str, *, by: User | None, budget_s: float = BUDGET_S, progress: Progress | None = None) -> RetentionRun:
    """Remove what is too old of one class, as its rule lets; somebody at a terminal asked for it."""
    deadline = time.monotonic() + budget_s
    of, rule = named(name), of_class(name)
    return retention.purge(of, rule, by=by, asked="command", deadline=deadline, progress=progress)


def purge_due(*, budget_s: float = BUDGET_S) -> Mapping[str, int]:
    """Remove by the rules that are active and that a person looked at as they are; return what was removed.

    An active rule that nobody looked at since it was changed waits for a person, and an alert says so. The class whose
    last purge began longest ago is the first, and each has its share of the time.

    Raises:
        BrokeOff: the purge of some classes failed, as an alert of each tells; the others went on.
        ClocksDiffer: of `core.retention`.
    """
    check_clocks()
    deadline, removed, broken = time.monotonic() + budget_s, dict[str, int](), list[str]()
    pairs = _in_turn()
    for place, (of, rule) in enumerate(pairs):
        if (left := deadline - time.monotonic()) < 0:
            break
        try:
            _purge_one(of, rule, time.monotonic() + left / (len(pairs) - place), removed)
        except Error as error:
            broken.append(f"{of.name} ({type(error).__name__})")
            alerts.open_once(
                _broke_off(of.name), kind=FAILED, sentence=BROKEN.format(of=of, error=type(error).__name__)
            )
    _clear_what_is_over()
    if broken:
        raise BrokeOff(", ".join(broken))
    return removed


def _clear_what_is_over() -> None:
    """Clear what was told of rules that wait no longer, or that are stopped or gone, whoever saw to them and when."""
    active = list(RetentionRule.objects.filter(is_active=True, data_class__in=[of.name for of in BY_RULE]))
    waiting = {retention.waiting_cause(rule.data_class) for rule in active if not retention.was_looked_at(rule)}
    tried = {_broke_off(rule.data_class) for rule in active}
    alerts.clear(*(alerts.open_causes(retention.WAITS) - waiting), *(alerts.open_causes(FAILED) - tried))


def _in_turn() -> list[tuple[DataClass, RetentionRule]]:
    """Return the classes with an active rule, the one whose purge began last at the end, however it ended."""
    active = {rule.data_class: rule for rule in RetentionRule.objects.filter(is_active=True)}
    runs = RetentionRun.objects.filter(is_dry=False).order_by().values_list("data_class")
    begun = dict(runs.annotate(Max("created_at")))
    never = [of for of in BY_RULE if of.name not in begun]
    before = sorted((of for of in BY_RULE if of.name in begun), key=lambda of: begun[of.name])
    return [(of, active[of.name]) for of in (*never, *before) if of.name in active]


def _purge_one(of: DataClass, rule: RetentionRule, deadline: float, removed: dict[str, int]) -> None:
    """Purge a class unless its rule waits for a person, or a person stopped or changed it a moment ago."""
    if not retention.was_looked_at(rule):
        _tell_waiting(of, rule)
        return
    with suppress(retention.HoldsStill):
        removed[of.name] = retention.purge(of, rule, by=None, deadline=deadline).removed
    alerts.clear(_broke_off(of.name))


def _broke_off(name: str) -> str:
    return f"retention broke off:{name}"


def _tell_waiting(of: DataClass, rule: RetentionRule) -> None:
    """Tell once of a rule that removes nothing because nobody has looked at it since it was changed."""
    cause = retention.waiting_cause(of.name)
    if alerts.dismissed(cause, since=rule.changed_at):
        return
    many = sum(retention.count(of, retention.cutoff_of(of, rule, statements.database_now())).values())
    alerts.open_once(cause, kind=retention.WAITS, sentence=WAITING.format(of=of, many=many))


def check_clocks() -> None:
    """Refuse to go on while nobody knows what time it is, and tell of it.

    Raises:
        ClocksDiffer: of `core.retention`.
    """
    try:
        retention.agreed_now()
    except retention.ClocksDiffer as refusal:
        alerts.open_once(CLOCKS, kind="retention_clocks_differ", sentence=str(refusal), severity=CRITICAL)
        raise
    alerts.clear(CLOCKS)


def expire(*, budget_s: float = BUDGET_S) -> Mapping[str, int]:
    """Remove the tokens, links and keys that have expired; return how many of each. Safe to run twice.

    Of a class that a rule keeps otherwise nothing goes while a person holds that rule.
    """
    check_clocks()
    deadline = time.monotonic() + budget_s
    return {of.name: retention.expire(of, deadline=deadline) for of in EXPIRING}
