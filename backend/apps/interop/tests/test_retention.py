"""Holds that a purge removes what a rule lets and not a row more, whatever happens to it, and knows all tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core import alerts, retention, statements
from backend.apps.core.exceptions import Conflict, DomainError
from backend.apps.core.models import Alert, AuditLog, RetentionRule, RetentionRun
from backend.apps.interop import retention_rules
from backend.apps.interop.retention_classes import BY_RULE, CLASSES, EXPIRING, named
from backend.apps.interop.tests.fhir.export_rows import make_disclosure
from backend.apps.users.models import LoginNotice, LoginSession
from backend.apps.users.tests.factories import make_user
from tests.support.races import wait_until_waited_for

pytestmark = pytest.mark.django_db
WAITS = "Resolved alerts: the rule was changed and nobody made a dry run since, so nothing is removed. Too old: 2."


def small(*, chunk: int) -> retention.DataClass:
    """Return the class of alerts with a step of a few rows at a time."""
    return replace(named("alerts"), steps=(retention.Step(Alert, "resolved_at", chunk=chunk),))


def told(kind: str) -> list[str]:
    return list(Alert.objects.filter(kind=kind, resolved_at=None).values_list("sentence", flat=True))


def rule_of(name: str, *, active: bool = True, **over: Any) -> RetentionRule:
    rule = retention_rules.of_class(name)
    if over:
        retention_rules.change(rule, by=None, **over)
    retention_rules.look(rule, by=None)
    return retention_rules.activate(rule, by=None, reason="Decided at the board.") if active else rule


def aged(row: Any, *, days: float, **over: Any) -> Any:
    """Let a row be as old as that; `created_at` unless another column is named."""
    at = timezone.now() - timedelta(days=days)
    fields = {name: at if value is None else value for name, value in (over or {"created_at": None}).items()}
    type(row)._base_manager.filter(pk=row.pk).update(**fields)
    return row


def resolved(count: int, *, days: float = 3000) -> list[Alert]:
    rows = []
    for _ in range(count):
        row = alerts.open_once(f"test:{Alert.objects.count()}", kind="lab_test", sentence="Something is wrong.")
        rows.append(aged(row, days=days, resolved_at=None))
    return rows


def left() -> int:
    return Alert.objects.count()


def test_no_usual_rule_is_under_its_floor_and_every_floor_has_a_law() -> None:
    assert all(of.keep_days >= max(of.floor_days, 1) for of in BY_RULE)
    assert [of.name for of in CLASSES if of.floor_days and not of.law] == []
    assert len({of.name for of in CLASSES}) == len(CLASSES)
    assert all(of.steps for of in (*BY_RULE, *EXPIRING))


def test_a_dry_run_counts_and_removes_nothing() -> None:
    resolved(2), resolved(1, days=5)
    alerts.open_once("open", kind="lab_test", sentence="Still wrong.")
    rule = rule_of("alerts", active=False)
    run = RetentionRun.objects.get()
    assert (run.is_dry, run.found, run.removed, run.ended_at is not None) == (True, 2, 0, True)
    assert left() == 4
    assert retention.was_looked_at(rule)


def test_a_changed_rule_waits_however_often_the_beat_comes_until_a_person_looked() -> None:
    resolved(2)
    rule = rule_of("alerts", keep_days=2900)
    retention_rules.change(rule, by=None, keep_days=2600)
    assert [retention_rules.purge_due() for _ in range(3)] == [{}, {}, {}]
    assert (left(), told("retention_waits"), RetentionRun.objects.count()) == (3, [WAITS], 1)
    retention_rules.look(rule, by=None)
    assert told("retention_waits") == []
    assert [retention_rules.purge_due() for _ in range(2)] == [{"alerts": 2}, {"alerts": 0}]
    run = RetentionRun.objects.filter(is_dry=False).earliest("created_at")
    assert (run.found, run.found_in, run.removed, run.ended_at is not None) == (2, {"core.Alert": 2}, 2, True)


def test_a_purge_is_in_the_audit_log_from_its_beginning_with_who_asked_and_how() -> None:
    resolved(2)
    rule_of("alerts")
    admin = make_user("admin")
    run = retention_rules.purge("alerts", by=admin)
    rows = AuditLog.objects.filter(resource_id=str(run.pk)).order_by("timestamp").values_list("action", "detail")
    assert list(rows) == [
        ("purge.begin", {"class": "alerts", "asked": "command"}),
        ("purge", {"class": "alerts", "asked": "command", "removed": 2}),
    ]
    assert set(AuditLog.objects.filter(resource_id=str(run.pk)).values_list("user_id", flat=True)) == {admin.pk}


def test_the_class_whose_purge_began_longest_ago_comes_first() -> None:
    names = ["sessions", "messages", "alerts"]
    for name in names:
        rule_of(name)
    retention_rules.purge("sessions", by=None)
    retention_rules.purge("messages", by=None)
    assert list(retention_rules.purge_due()) == ["alerts", "sessions", "messages"]


def test_a_rule_that_is_stopped_or_not_made_removes_nothing() -> None:
    resolved(1)
    assert retention_rules.purge_due() == {}
    rule = rule_of("alerts")
    retention_rules.deactivate(rule, by=None, reason="A legal hold.")
    assert retention_rules.purge_due() == {}
    with pytest.raises(retention.HoldsStill, match="not active"):
        retention_rules.purge("alerts", by=None)
    assert (left(), rule.reason) == (1, "A legal hold.")


def test_a_purge_days_late_removes_the_same_as_one_in_time() -> None:
    rule_of("alerts")
    resolved(1, days=2193), resolved(1, days=2200)
    assert retention_rules.purge_due() == {"alerts": 2}


def test_a_purge_that_dies_in_the_middle_keeps_what_it_removed_and_the_next_one_does_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = rule_of("alerts")
    resolved(3)
    heard = list[tuple[int, int]]()

    def dies(done: int, of: int) -> None:
        heard.append((done, of))
        if len(heard) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retention.purge(small(chunk=2), rule, by=None, deadline=time.monotonic() + 60, progress=dies)
    broken = RetentionRun.objects.get(is_dry=False)
    assert (left(), broken.found, broken.removed, broken.ended_at) == (1, 3, 2, None), "the second chunk is undone"
    assert retention.is_at_work(broken)
    assert retention_rules.purge_due() == {"alerts": 1}
    broken.refresh_from_db()
    assert broken.ended_at is None, "it may be at work still"
    aged(broken, days=1, updated_at=None)
    broken.refresh_from_db()
    assert not retention.is_at_work(broken)
    assert retention_rules.purge_due() == {"alerts": 0}
    broken.refresh_from_db()
    assert broken.ended_at == broken.updated_at < timezone.now() - timedelta(hours=23)
    told_of = AuditLog.objects.get(action="purge", resource_id=str(broken.pk))
    assert told_of.detail == {"class": "alerts", "removed": 2, "broken_off": True}


def test_a_mail_to_nobody_goes_after_a_day_unless_it_is_held_and_one_to_an_owner_stays() -> None:
    of, soon = next(one for one in EXPIRING if one.name == "nobodys_notices"), time.monotonic() + 60
    for user in (None, make_user("nurse")):
        for days, state in ((2.0, "done"), (2.0, "waiting"), (0.5, "done")):
            row = LoginNotice.work.enqueue(dedupe_key=f"{user}:{days}:{state}", kind="locked", user=user)
            aged(row, days=days)
            LoginNotice.work.filter(pk=row.pk).update(work_state=state)
    mine = retention_rules.of_class(of.held_with)
    retention_rules.deactivate(mine, by=None, reason="A legal hold.")
    assert retention.expire(of, deadline=soon) == 0
    retention_rules.look(mine, by=None)
    retention_rules.activate(mine, by=None, reason="The hold is over.")
    assert retention.expire(of, deadline=soon) == 1
    assert LoginNotice.work.count() == 5


ALONE = pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])


class Beside:
    """Begins a job on another connection once, in the first chunk of a purge, and goes on when it waits for that."""

    def __init__(self, job: Callable[[], object]) -> None:
        self.thread = threading.Thread(target=self._run, args=(job,))

    def __call__(self, done: int, of: int) -> None:
        if self.thread.ident is None:
            self.thread.start()
            wait_until_waited_for()

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        finally:
            connection.close()


@ALONE
def test_who_stops_a_rule_waits_for_the_rows_a_purge_is_at_and_no_longer() -> None:
    rule = rule_of("alerts")
    resolved(30)
    mine = RetentionRule.objects.get(pk=rule.pk)
    stops = Beside(lambda: retention_rules.deactivate(mine, by=None, reason="A legal hold."))
    run = retention.purge(small(chunk=1), rule, by=None, deadline=time.monotonic() + 60, progress=stops)
    stops.thread.join(30)
    assert 1 <= run.removed < 30
    assert left() == 30 - run.removed
    assert not RetentionRule.objects.get().is_active


@ALONE
def test_a_hold_ends_what_goes_as_it_expires_with_the_rows_it_is_at() -> None:
    of = next(one for one in EXPIRING if one.name == "run_out_sign_ins")
    user, long_ago = make_user("nurse"), timezone.now() - timedelta(days=31)
    for number in range(30):
        LoginSession.objects.create(user=user, refresh_jti=f"{number:032d}", created_at=long_ago)
    mine = retention_rules.of_class(of.held_with)
    holds = Beside(lambda: retention_rules.deactivate(mine, by=None, reason="A legal hold."))

    def beside(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("DELETE"):
            holds(0, 0)
        return execute(sql, *rest)

    slow = replace(of, steps=(replace(of.steps[0], chunk=1),))
    with connection.execute_wrapper(beside):
        gone = retention.expire(slow, deadline=time.monotonic() + 60)
    holds.thread.join(30)
    assert 1 <= gone < 30
    assert LoginSession.objects.count() == 30 - gone


@ALONE
def test_two_purges_at_once_remove_and_count_each_row_once() -> None:
    rule = rule_of("alerts")
    resolved(9)
    mine = RetentionRule.objects.get(pk=rule.pk)
    other = Beside(lambda: retention.purge(small(chunk=2), mine, by=None, deadline=time.monotonic() + 30))
    retention.purge(small(chunk=2), rule, by=None, deadline=time.monotonic() + 30, progress=other)
    other.thread.join(30)
    runs = RetentionRun.objects.filter(is_dry=False)
    assert (left(), runs.count(), sum(runs.values_list("removed", flat=True))) == (0, 2, 9)
    assert not runs.filter(ended_at=None).exists()


@ALONE
def test_a_rule_that_is_changed_while_somebody_counts_was_not_looked_at() -> None:
    rule = rule_of("alerts", active=False)
    refused = list[str]()

    def looks() -> None:
        with pytest.raises(Conflict) as refusal:
            retention.look(named("alerts"), RetentionRule.objects.get(pk=rule.pk), by=None)
        refused.append(str(refusal.value))

    with transaction.atomic():
        retention_rules.change(RetentionRule.objects.get(pk=rule.pk), by=None, keep_days=2300)
        beside = Beside(looks)
        beside(0, 0)
    beside.thread.join(30)
    assert refused == ["Somebody changed this rule meanwhile. Make the dry run again."]
    rule.refresh_from_db()
    assert not retention.was_looked_at(rule)
    assert RetentionRun.objects.count() == 1, "of the look before"


def test_what_does_not_fit_into_the_time_of_a_run_goes_with_the_next() -> None:
    rule_of("alerts")
    resolved(1)
    assert retention_rules.purge("alerts", by=None, budget_s=-1.0).removed == 0
    assert retention_rules.purge("alerts", by=None).removed == 1


@pytest.mark.parametrize("days", [4000, -1], ids=["ahead", "behind"])
def test_nothing_is_removed_while_the_clocks_do_not_agree(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    resolved(1)
    rule_of("alerts")
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: statements.database_now() + timedelta(days=days))
        for does in (retention_rules.purge_due, retention_rules.expire):
            with pytest.raises(retention.ClocksDiffer, match="differ by hours"):
                does()
        with pytest.raises(retention.ClocksDiffer):
            retention_rules.purge("alerts", by=None)
        assert len(told("retention_clocks_differ")) == 1
    assert retention_rules.purge_due() == {"alerts": 1}
    assert told("retention_clocks_differ") == []


def test_nothing_is_removed_under_the_floor_even_if_the_row_says_so() -> None:
    rule = rule_of("exports")
    retention_rules.look(rule, by=None)
    RetentionRule.objects.update(keep_days=1, legal_floor_days=0)
    aged(make_disclosure().job, days=2190, created_at=None, files_removed_at=None)
    assert retention_rules.purge_due() == {"exports": 0}


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("messages", {"keep_days": 1460}, "shorter than the law asks for: 1461 days"),
        ("messages", {"legal_floor_days": 10}, "may only be raised"),
        ("sessions", {"keep_days": 0}, "a day at least"),
        ("sessions", {"keep_days": 36_526}, "36,525 days at most"),
        ("alerts", {"legal_floor_days": 2200}, "shorter than the law"),
        ("alerts", {"data_class": "messages"}, "stays with its class"),
    ],
    ids=["below the floor", "floor lowered", "nothing", "a century and a day", "floor above", "another class"],
)
def test_a_rule_is_never_below_the_law(name: str, fields: dict[str, Any], said: str) -> None:
    rule = retention_rules.of_class(name)
    with pytest.raises(DomainError, match=said):
        retention_rules.change(rule, by=None, **fields)


def test_a_rule_is_activated_once_somebody_looked_and_with_a_reason() -> None:
    rule = retention_rules.of_class("alerts")
    with pytest.raises(DomainError, match="dry run first"):
        retention_rules.activate(rule, by=None, reason="x")
    retention_rules.look(rule, by=None)
    with pytest.raises(DomainError, match="Say why"):
        retention_rules.activate(rule, by=None, reason=" ")
    retention_rules.activate(rule, by=None, reason="x")
    with pytest.raises(DomainError, match="active already"):
        retention_rules.activate(rule, by=None, reason="x")
    with pytest.raises(DomainError, match="no class of data"):
        retention_rules.of_class("audit_log")


def test_the_command_lists_counts_and_removes_what_the_rule_lets() -> None:
    resolved(2)
    out = StringIO()
    call_command("retention", "--dry-run", "alerts", stdout=out)
    assert "2 too old" in out.getvalue()
    with pytest.raises(CommandError, match="not active"):
        call_command("retention", "--apply", "alerts")
    retention_rules.activate(RetentionRule.objects.get(), by=None, reason="x")
    call_command("retention", "--apply", "alerts", stdout=out)
    call_command("retention", stdout=out)
    text = out.getvalue()
    assert "2 of 2 removed" in text
    assert all(of.name in text for of in CLASSES)
    with pytest.raises(CommandError, match="no class of data"):
        call_command("retention", "--dry-run", "claims")
