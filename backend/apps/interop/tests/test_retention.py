"""Holds that a purge removes what a rule lets and not a row more, whatever happens to it, and knows all tables."""

from __future__ import annotations

import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.core import alerts, retention, row_tally
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditLog, RetentionRule, RetentionRun
from backend.apps.interop import retention_rules
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportChunk, ExportJob
from backend.apps.interop.retention_classes import BY_RULE, CLASSES, EXPIRING, named
from backend.apps.interop.tests.fhir.export_rows import make_chunk, make_disclosure
from backend.apps.messaging.models import PatientMessage, ProviderEvent
from backend.apps.messaging.tests.inbox_factories import make_patient_message, make_provider_event
from backend.apps.patients.tests.factories import make_patient
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
OURS = {"sessions", "admin"}  # of others, beside all of our own


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


def resolved(count: int, *, days: float = 800) -> list[Alert]:
    rows = []
    for _ in range(count):
        row = alerts.open_once(f"test:{Alert.objects.count()}", kind="lab_test", sentence="Something is wrong.")
        rows.append(aged(row, days=days, resolved_at=None))
    return rows


def left() -> int:
    return Alert.objects.count()


def test_every_model_of_the_clinic_is_in_exactly_one_class() -> None:
    named_by = [label for of in CLASSES for label in of.covers]
    assert len(named_by) == len(set(named_by))
    ours = {m for m in apps.get_models() if m.__module__.startswith("backend.") or m._meta.app_label in OURS}
    models = {model._meta.label: model._meta.app_label for model in ours}
    assert {label for label, app in models.items() if not {label, app} & set(named_by)} == set()
    assert set(named_by) - set(models) - set(models.values()) == set(), "this names nothing"


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


def test_the_beat_looks_first_and_removes_only_in_a_later_run() -> None:
    resolved(2)
    rule = rule_of("alerts", keep_days=700)
    retention_rules.change(rule, by=None, keep_days=600)
    assert retention_rules.purge_due() == {}
    assert left() == 2
    assert retention_rules.purge_due() == {"alerts": 2}
    assert retention_rules.purge_due() == {"alerts": 0}, "twice"
    assert left() == 0
    run = RetentionRun.objects.filter(is_dry=False).earliest("created_at")
    assert (run.found, run.removed, run.ended_at is not None) == (2, 2, True)
    assert AuditLog.objects.get(action="purge", resource_id=str(run.pk)).detail == {"class": "alerts", "removed": 2}


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
    resolved(1, days=732), resolved(1, days=740)
    assert retention_rules.purge_due() == {"alerts": 2}


def test_a_purge_that_dies_in_the_middle_keeps_what_it_removed_and_the_next_one_does_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of, rule = named("alerts"), rule_of("alerts")
    resolved(3)
    small = retention.DataClass(
        name=of.name, title="", sentence="", covers=(), steps=(retention.Step(Alert, "resolved_at", chunk=2),)
    )
    told = list[tuple[int, int]]()

    def dies(done: int, of: int) -> None:
        told.append((done, of))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retention.purge(small, rule, by=None, deadline=time.monotonic() + 60, progress=dies)
    broken = RetentionRun.objects.get(is_dry=False)
    assert (left(), broken.found, broken.removed, broken.ended_at) == (1, 3, 2, None), "the second chunk is undone"
    assert retention_rules.purge_due() == {"alerts": 1}


def test_a_legal_hold_ends_a_purge_that_is_at_work() -> None:
    rule = rule_of("alerts")
    resolved(3)
    small = retention.DataClass(
        name="alerts", title="", sentence="", covers=(), steps=(retention.Step(Alert, "resolved_at", chunk=1),)
    )

    def held(done: int, of: int) -> None:
        if done == 1:
            RetentionRule.objects.update(is_active=False)

    run = retention.purge(small, rule, by=None, deadline=time.monotonic() + 60, progress=held)
    assert (run.removed, left()) == (1, 2)


@pytest.mark.django_db(transaction=True, available_apps=["backend.apps.core", "backend.apps.users"])
def test_two_purges_at_once_remove_and_count_each_row_once() -> None:
    rule = rule_of("alerts")
    resolved(9)
    small = retention.DataClass(
        name="alerts", title="", sentence="", covers=(), steps=(retention.Step(Alert, "resolved_at", chunk=2),)
    )

    def job() -> None:
        mine = RetentionRule.objects.get(pk=rule.pk)
        retention.purge(small, mine, by=None, deadline=time.monotonic() + 30)

    assert at_once(job, job) == ["done", "done"]
    assert (left(), sum(RetentionRun.objects.values_list("removed", flat=True))) == (0, 9)


def test_what_does_not_fit_into_the_time_of_a_run_goes_with_the_next() -> None:
    rule_of("alerts")
    resolved(1)
    assert retention_rules.purge("alerts", by=None, budget_s=-1.0).removed == 0
    assert retention_rules.purge("alerts", by=None).removed == 1


def test_the_moment_is_the_databases_whatever_this_process_believes(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(1, days=700)
    monkeypatch.setattr(timezone, "now", lambda: retention.database_now() + timedelta(days=4000))
    rule_of("alerts")
    assert retention_rules.purge_due() == {"alerts": 0}


def test_nothing_is_removed_under_the_floor_even_if_the_row_says_so() -> None:
    rule = rule_of("exports")
    retention_rules.look(rule, by=None)
    RetentionRule.objects.update(keep_days=1, legal_floor_days=0)
    aged(make_disclosure().job, days=2000, created_at=None)
    ExportJob.objects.update(files_removed_at=timezone.now())
    assert retention_rules.purge_due() == {"exports": 0}


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("messages", {"keep_days": 1460}, "shorter than the law asks for: 1461 days"),
        ("messages", {"legal_floor_days": 10}, "may only be raised"),
        ("alerts", {"keep_days": 0}, "a day at least"),
        ("alerts", {"legal_floor_days": 800}, "shorter than the law"),
        ("alerts", {"data_class": "messages"}, "stays with its class"),
    ],
    ids=["below the floor", "floor lowered", "nothing", "floor above", "another class"],
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


def test_messages_go_with_the_ones_that_followed_them_and_only_when_they_are_over() -> None:
    rule_of("messages")
    first = aged(make_reminder(status="failed", work_state="done"), days=2300)
    visit = first.appointment
    aged(
        make_reminder(appointment=visit, offset_minutes=1, fallback_of=first, status="failed", work_state="done"),
        days=2250,
    )
    waiting = aged(make_reminder(appointment=visit, offset_minutes=2), days=2300)
    young = aged(make_reminder(appointment=visit, offset_minutes=3, status="failed", work_state="done"), days=2100)
    held = aged(make_patient_message(visit.patient, work_state="held"), days=2300)
    given_up = {"status": "failed", "work_state": "failed", "last_error": "given up: a wrong number"}
    aged(make_patient_message(visit.patient, **given_up), days=2300)
    assert retention_rules.purge_due() == {"messages": 3}
    assert set(AppointmentReminder.all_objects.values_list("pk", flat=True)) == {waiting.pk, young.pk}
    assert PatientMessage.all_objects.get() == held


def test_removed_rows_are_not_missed_by_the_books() -> None:
    rule_of("provider_events")
    aged(make_provider_event(work_state="done", outcome="applied"), days=1500)
    make_provider_event(work_state="done", outcome="applied")
    assert retention_rules.purge_due() == {"provider_events": 1}
    assert ProviderEvent.objects.count() == 1
    with connection.cursor() as cursor:
        (account,), faults = row_tally.compare(cursor, ["messaging_providerevent"], None, None)
    assert (account.taken_in, faults) == (1, [])


def test_an_export_goes_with_its_accounting_after_six_years_and_not_before() -> None:
    rule_of("exports")
    old, young = make_disclosure(make_patient(), make_patient()), make_disclosure(make_patient())
    make_chunk(old.job)
    for told, days in ((old, 2200), (young, 2100)):
        aged(told, days=days, disclosed_at=None)
        aged(told.job, days=days, created_at=None, files_removed_at=None)
    assert retention_rules.purge_due() == {"exports": 1}
    assert [ExportJob.all_objects.get(), Disclosure.objects.get()] == [young.job, young]
    assert (DisclosedPatient.objects.count(), ExportChunk.work.count()) == (1, 0)


def test_the_command_lists_counts_and_removes_what_the_rule_lets() -> None:
    resolved(2)
    told = StringIO()
    call_command("retention", "--dry-run", "alerts", stdout=told)
    assert "2 too old" in told.getvalue()
    with pytest.raises(CommandError, match="not active"):
        call_command("retention", "--apply", "alerts")
    retention_rules.activate(RetentionRule.objects.get(), by=None, reason="x")
    call_command("retention", "--apply", "alerts", stdout=told)
    call_command("retention", stdout=told)
    text = told.getvalue()
    assert "2 of 2 removed" in text
    assert all(of.name in text for of in CLASSES)
    with pytest.raises(CommandError, match="no class of data"):
        call_command("retention", "--dry-run", "claims")
