"""Holds what is told of rules that wait for a person and of purges that fail, and that it ends with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.interop import retention_rules
from backend.apps.interop.tests.test_retention import aged, left, resolved, rule_of, told
from backend.apps.messaging.models import ProviderEvent
from backend.apps.messaging.tests.inbox_factories import make_provider_event
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_an_alert_that_a_rule_waits_is_closed_by_stopping_it_and_let_be_by_a_person() -> None:
    rule = rule_of("alerts")
    retention_rules.change(rule, by=None, keep_days=2600)
    retention_rules.purge_due()
    alerts.resolve(Alert.objects.get(), by=make_user("admin"))
    retention_rules.purge_due()
    assert told("retention_waits") == []
    retention_rules.change(rule, by=None, keep_days=2500)
    Alert.objects.update(resolved_at=F("resolved_at") - timedelta(hours=1))
    retention_rules.purge_due()
    assert len(told("retention_waits")) == 1
    retention_rules.deactivate(rule, by=None, reason="A legal hold.")
    assert told("retention_waits") == []
    with pytest.raises(DomainError, match="dry run first"):
        retention_rules.activate(rule, by=None, reason="x")


@pytest.mark.parametrize("became", ["looked at", "stopped", "deleted"])
def test_an_alert_of_a_rule_that_waits_no_longer_goes_with_the_next_purge_whatever_went_before(became: str) -> None:
    rule = rule_of("alerts")
    retention_rules.change(rule, by=None, keep_days=2600)
    retention_rules.purge_due()
    waits = Alert.objects.filter(kind="retention_waits")
    assert waits.filter(resolved_at=None).count() == 1
    if became == "looked at":  # by somebody whose look came while the purge counted, so that it told after it
        retention_rules.look(rule, by=None)
        waits.update(resolved_at=None)
    elif became == "stopped":
        retention_rules.deactivate(rule, by=None, reason="A legal hold.")
        waits.update(resolved_at=None)
    else:
        rule.delete()
    retention_rules.purge_due()
    assert told("retention_waits") == []


def test_a_class_that_fails_is_told_of_keeps_no_other_and_fails_the_beat() -> None:
    resolved(1)
    for name in ("messages", "alerts", "provider_events"):
        rule_of(name)
    aged(make_provider_event(work_state="done", outcome="applied"), days=1500)
    with refused_removal("core_alert"), pytest.raises(retention_rules.BrokeOff, match=r"^alerts \(\w+Error\)$"):
        retention_rules.purge_due()
    assert (left(), ProviderEvent.objects.count()) == (2, 0)
    (sentence,) = told("retention_failed")
    assert sentence.startswith("Resolved alerts: the removal of what is too old broke off (")
    assert retention_rules.purge_due() == {"messages": 0, "provider_events": 0, "alerts": 1}
    assert told("retention_failed") == []


def test_a_failure_of_a_rule_that_was_stopped_since_is_told_of_no_more() -> None:
    resolved(1)
    rule = rule_of("alerts")
    with refused_removal("core_alert"), pytest.raises(retention_rules.BrokeOff):
        retention_rules.purge_due()
    assert len(told("retention_failed")) == 1
    retention_rules.deactivate(rule, by=None, reason="A legal hold.")
    retention_rules.purge_due()
    assert told("retention_failed") == []


@contextmanager
def refused_removal(table: str) -> Iterator[None]:
    """Let the database refuse to delete of a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stays'; END $$;"
            f"CREATE TRIGGER stays BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION stays()"
        )
        yield
        cursor.execute("DROP FUNCTION stays() CASCADE")
