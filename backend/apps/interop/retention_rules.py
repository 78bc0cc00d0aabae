"""What people decide about retention, and what the beat does by it; without it the rules would be a table on paper."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from backend.apps.core import retention
from backend.apps.core.bases import save_changes
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import RetentionRule, RetentionRun
from backend.apps.core.retention import DataClass, Progress
from backend.apps.interop.retention_classes import BY_RULE, CLASSES, EXPIRING, named
from backend.apps.users.models import User

BUDGET_S = 150.0  # of one run of the beat, below the limit of a task; what is left goes the next time
DAYS = ("keep_days", "legal_floor_days")


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
    """Change how long a class is kept; nothing more is removed until the rule was looked at as it is then."""
    of = named(rule.data_class)
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


def _check(rule: RetentionRule, of: DataClass) -> None:
    if rule.legal_floor_days < of.floor_days:
        raise DomainError(f"By {of.law} this is kept for {of.floor_days} days at least; the floor may only be raised.")
    if rule.keep_days < rule.legal_floor_days:
        raise DomainError(f"This is shorter than the law asks for: {rule.legal_floor_days} days.")
    if rule.keep_days < 1:
        raise DomainError("Keep the data for a day at least.")


def look(rule: RetentionRule, *, by: User | None) -> RetentionRule:
    """Make a dry run: count what the rule would remove, and remove nothing."""
    retention.look(named(rule.data_class), rule, by=by)
    return rule


@transaction.atomic
def activate(rule: RetentionRule, *, by: User | None, reason: str) -> RetentionRule:
    """Let the daily purge remove by this rule, from now on."""
    named(rule.data_class)
    if not retention.was_looked_at(rule):
        raise DomainError("Make a dry run first, so that you know what will be removed.")
    return _switch(rule, reason, is_active=True)


@transaction.atomic
def deactivate(rule: RetentionRule, *, by: User | None, reason: str) -> RetentionRule:
    """Remove nothing more by this rule: a legal hold, say. A purge that is at work ends with the rows it is at."""
    return _switch(rule, reason, is_active=False)


def _switch(rule: RetentionRule, reason: str, *, is_active: bool) -> RetentionRule:
    if not reason.strip():
        raise DomainError("Say why.")
    mine = RetentionRule.objects.filter(pk=rule.pk, is_active=not is_active)
    if not mine.update(is_active=is_active, reason=reason.strip()[:300], updated_at=Now()):
        raise DomainError("The rule is active already." if is_active else "The rule is not active.")
    rule.refresh_from_db()
    return rule


def purge(name: str, *, by: User | None, budget_s: float = BUDGET_S, progress: Progress | None = None) -> RetentionRun:
    """Remove what is too old of one class, as its rule lets."""
    deadline = time.monotonic() + budget_s
    return retention.purge(named(name), of_class(name), by=by, deadline=deadline, progress=progress)


def purge_due(*, budget_s: float = BUDGET_S) -> Mapping[str, int]:
    """Look at each rule that was not looked at as it is, and remove by those that are active; return what was removed.

    Nothing is removed by a rule in the run that looks at it. Classes without a rule of their own are left alone.
    """
    deadline, removed = time.monotonic() + budget_s, dict[str, int]()
    rules = {rule.data_class: rule for rule in RetentionRule.objects.all()}
    for of in BY_RULE:
        rule = rules.get(of.name)
        if rule is None or time.monotonic() > deadline:
            continue
        if not retention.was_looked_at(rule):
            retention.look(of, rule, by=None)
        elif rule.is_active:
            removed[of.name] = _purged(of, rule, deadline)
    return removed


def _purged(of: DataClass, rule: RetentionRule, deadline: float) -> int:
    """Return how many rows went; none where a person stopped or changed the rule a moment ago."""
    try:
        return retention.purge(of, rule, by=None, deadline=deadline).removed
    except retention.HoldsStill:
        return 0


def expire(*, budget_s: float = BUDGET_S) -> Mapping[str, int]:
    """Remove the tokens, links and keys that have expired; return how many of each. Safe to run twice."""
    deadline = time.monotonic() + budget_s
    return {of.name: retention.expire(of, deadline=deadline) for of in EXPIRING}
