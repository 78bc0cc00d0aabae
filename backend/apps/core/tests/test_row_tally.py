"""Holds that each row ever written is counted by itself, so that none can vanish, appear or be exchanged unseen."""

from __future__ import annotations

import importlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid1

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.core import row_tally
from backend.apps.core.bases import uuid7
from backend.apps.core.models import RowTally
from backend.apps.messaging.models import ProviderEvent

EVENTS = ProviderEvent._meta.db_table
HOUR = timedelta(hours=1)


def event(**over: Any) -> ProviderEvent:
    fields = {"provider": "twilio", "kind": "status"}
    pk = over.pop("pk", None) or uuid7()
    return ProviderEvent(**{"pk": pk, "dedupe_key": str(pk), **fields, **over})


def key_of(at: datetime, number: int = 1) -> UUID:
    """Return a key of version 7 that was made at that moment."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | 7 << 76 | 2 << 62 | number)


def checks(since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
    with connection.cursor() as cursor:
        _, faults = row_tally.compare(cursor, [EVENTS], since, until)
    return {fault.check: fault.count for fault in faults}


def remove_behind_the_back(*keys: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {EVENTS} WHERE id = ANY(%s)", [list(keys)])  # noqa: S608  # ours


def test_the_triggers_stand_on_the_tables_that_are_named() -> None:
    migration = importlib.import_module("backend.apps.interop.migrations.0003_row_tally")
    assert set(migration.TABLES) == set(row_tally.TALLIED)


@pytest.mark.django_db
def test_one_line_is_added_for_each_statement_and_hour() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    ProviderEvent.objects.bulk_create(
        [event(pk=key_of(noon, 1)), event(pk=key_of(noon, 2)), event(pk=key_of(noon + HOUR))]
    )
    ProviderEvent.objects.bulk_create(
        [event(pk=key_of(noon, 1))], ignore_conflicts=True
    )  # is there: nothing is written
    lines = RowTally.objects.filter(table_name=EVENTS).order_by("hour").values_list("hour", "count")
    assert list(lines) == [(noon, 2), (noon + HOUR, 1)]
    assert checks() == {}


@pytest.mark.django_db
def test_what_was_undone_was_never_counted() -> None:
    with transaction.atomic():
        event().save(force_insert=True)
        transaction.set_rollback(True)
    assert not RowTally.objects.filter(table_name=EVENTS).exists()
    assert checks() == {}


@pytest.mark.django_db
def test_a_row_that_is_gone_or_came_from_nowhere_or_was_exchanged_is_told_by_its_hour() -> None:
    noon = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    ProviderEvent.objects.bulk_create([event(pk=key_of(noon + n * HOUR, 1)) for n in range(3)])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        ProviderEvent.objects.bulk_create([event(pk=key_of(noon + n * HOUR, 2)) for n in (1, 2)])
        cursor.execute("SET LOCAL session_replication_role = origin")
    remove_behind_the_back(key_of(noon), key_of(noon + 2 * HOUR, 1))
    with connection.cursor() as cursor:
        accounts, faults = row_tally.compare(cursor, [EVENTS], None, None)
    assert {fault.check: fault.examples for fault in faults} == {
        "provider reports: gone": ("1 of 2026-01-31 12:00 UTC",),
        "provider reports: from nowhere": ("1 of 2026-01-31 13:00 UTC",),
        "provider reports: exchanged": ("1 of 2026-01-31 14:00 UTC",),
    }
    assert [(each.taken_in, each.outcomes) for each in accounts] == [(3, {"on file": 3})]


@pytest.mark.django_db
def test_a_range_holds_the_whole_hours_it_touches() -> None:
    noon = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    ProviderEvent.objects.bulk_create([event(pk=key_of(noon)), event(pk=key_of(noon + HOUR))])
    remove_behind_the_back(key_of(noon + HOUR))
    assert checks(noon - HOUR, noon) == {}
    assert checks(noon + HOUR, noon + HOUR) == checks(noon, None) == {"provider reports: gone": 1}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "strange", [UUID("f1111111-1111-4111-8111-111111111111"), uuid1()], ids=["random", "version 1"]
)
def test_a_key_of_another_version_is_counted_all_the_same(strange: UUID) -> None:
    event(pk=strange).save(force_insert=True)
    assert checks() == {}
    assert checks(until=timezone.now() - HOUR) == checks(since=timezone.now() - HOUR) == {}
    remove_behind_the_back(strange)
    assert checks() == {"provider reports: gone": 1}
    assert checks(since=timezone.now() - HOUR) == {}


@pytest.mark.django_db
def test_what_is_removed_by_rule_is_counted_out_and_once() -> None:
    rows = ProviderEvent.objects.bulk_create([event(), event()])
    keys = [row.pk for row in rows]
    assert row_tally.taken_out(ProviderEvent, [keys[0], uuid7()]) == 1
    remove_behind_the_back(keys[0])
    assert row_tally.taken_out(ProviderEvent, [keys[0]]) == 0
    assert row_tally.taken_out(RowTally, keys) == row_tally.taken_out(ProviderEvent, []) == 0
    assert checks() == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "trick", ["DELETE FROM core_rowtally", "UPDATE core_rowtally SET count = 0", "TRUNCATE core_rowtally"]
)
def test_what_was_counted_stays_counted(trick: str) -> None:
    event().save(force_insert=True)
    with connection.cursor() as cursor:  # undone with this test's transaction; see tests/support/plugin.py
        cursor.execute("ALTER TABLE core_rowtally ENABLE TRIGGER core_rowtally_no_truncate")
    with pytest.raises(IntegrityError, match="stays counted"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(trick)


@pytest.mark.django_db(transaction=True)
def test_two_who_write_at_the_same_time_do_not_wait_for_each_other() -> None:
    def write() -> None:
        event().save(force_insert=True)
        connection.close()

    with transaction.atomic():
        event().save(force_insert=True)
        other = threading.Thread(target=write)
        other.start()
        other.join(10)
        assert not other.is_alive()
    assert checks() == {}
