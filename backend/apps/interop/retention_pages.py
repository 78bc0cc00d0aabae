"""The page of retention: how long what is kept and why, dry runs, rules let and stopped; else only a shell could."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from backend.apps.core import audit, retention
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import RetentionRule
from backend.apps.core.models.retention import CENTURY
from backend.apps.core.permissions import may
from backend.apps.interop import console, retention_rules
from backend.apps.interop.permissions import RETENTION
from backend.apps.interop.retention_classes import named
from backend.apps.interop.retention_rules import Line

POST = ("POST",)


@console.page(RETENTION, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show every class of data: those a rule may remove, those that expire by themselves, and those that stay."""
    lines = retention_rules.table()
    audit.record(request, "console.list", "retentionrule", detail={"count": len(lines)})
    context = {
        "title": "Retention",
        "ruled": [_described(line) for line in lines if line.of.has_rule],
        "expiring": [line.of for line in lines if line.of.expires_after is not None],
        "held": {line.of.name for line in lines if line.rule and line.rule.is_held},
        "kept": [line.of for line in lines if line.of.kept],
        "change": may(request.user, "activate", RETENTION),
        "most": CENTURY,
    }
    return console.render(request, "interop/retention/list.html", context)


def _described(line: Line) -> dict[str, Any]:
    looked = line.rule is not None and retention.was_looked_at(line.rule)
    tone, state = _state(line.rule, looked=looked)
    return {
        "of": line.of, "rule": line.rule, "last": line.last, "looked": looked, "tone": tone, "state": state,
        "at_work": line.last is not None and retention.is_at_work(line.last),
    }  # fmt: skip


def _state(rule: RetentionRule | None, *, looked: bool) -> tuple[str, str]:
    """Return the tone and the word for what a rule does."""
    if rule is not None and rule.is_held:
        return "wait", "held"
    if rule is None or not rule.is_active:
        return "", "removes nothing"
    return ("good", "removes") if looked else ("wait", "removes after a dry run")


@console.page(RETENTION, "look", methods=POST)
def look(request: HttpRequest, name: str) -> HttpResponse:
    def act(rule: RetentionRule) -> str:
        run = retention.look(named(name), rule, by=console.person(request))
        return f"Too old: {run.found:,}{retention_rules.tables_of(run)}. Nothing was removed."

    return _attempt(request, "look", name, act)


@console.page(RETENTION, "partial_update", methods=POST)
def keep(request: HttpRequest, name: str) -> HttpResponse:
    def act(rule: RetentionRule) -> str:
        retention_rules.change(rule, by=console.person(request), keep_days=_days(request))
        return f"Kept for {rule.keep_days:,} days. Make a dry run to see what that would remove."

    return _attempt(request, "partial_update", name, act)


def _days(request: HttpRequest) -> int:
    text = request.POST.get("keep_days", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise DomainError(f"Give the days as a whole number, up to {CENTURY:,}.")
    return int(text)


@console.page(RETENTION, "activate", methods=POST)
def activate(request: HttpRequest, name: str) -> HttpResponse:
    def act(rule: RetentionRule) -> str:
        retention_rules.activate(rule, by=console.person(request), reason=request.POST.get("reason", ""))
        return "The rule is active. What is too old goes with the next daily purge."

    return _attempt(request, "activate", name, act)


@console.page(RETENTION, "deactivate", methods=POST)
def deactivate(request: HttpRequest, name: str) -> HttpResponse:
    def act(rule: RetentionRule) -> str:
        retention_rules.deactivate(rule, by=console.person(request), reason=request.POST.get("reason", ""))
        return "The rule is stopped. Nothing more is removed by it."

    return _attempt(request, "deactivate", name, act)


@console.page(RETENTION, "release", methods=POST)
def release(request: HttpRequest, name: str) -> HttpResponse:
    def act(rule: RetentionRule) -> str:
        retention_rules.release(rule, by=console.person(request))
        return "The hold is over. By the rule itself nothing is removed until somebody lets it."

    return _attempt(request, "release", name, act)


def _attempt(request: HttpRequest, verb: str, name: str, act: Callable[[RetentionRule], str]) -> HttpResponse:
    """Do something to the rule of a class, which is made where there is none, and write it down."""

    def noted() -> tuple[str, str]:
        rule = retention_rules.of_class(name)
        outcome = act(rule)
        console.note(request, verb, rule)
        return outcome, f"{back}#{name}"

    back = reverse("console:retention")
    return console.attempt(request, verb, "retentionrule", noted, back=back)
