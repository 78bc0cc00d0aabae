"""Holds that rows that lie outside all months of the audit log are moved into theirs, as they were sealed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from backend.apps.core import audit_partitions, audit_sealing, audit_strays, audit_verifying
from backend.apps.core.models import Alert, AuditLog
from backend.apps.core.tests.audit_rows import CHECKS, other_connection, run, settled, written

pytestmark = pytest.mark.django_db(transaction=True)
COLUMNS = "SELECT *, digest, xid FROM core_auditlog WHERE id = ANY(%s) ORDER BY id"


@pytest.fixture
def far_months() -> Iterator[None]:
    """Takes the months of a clock that was wrong away again."""
    yield
    for (part,) in run("SELECT relname FROM pg_class WHERE relname ~ '^core_auditlog_2090_..$'"):
        run(f"DROP TABLE {part}")


def at(*moment: int) -> AuditLog:
    return AuditLog.objects.create(action="list", resource_type="x", timestamp=datetime(*moment, tzinfo=UTC))


def test_rows_outside_all_months_are_moved_into_theirs_byte_for_byte(
    far_months: None, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/anchors.log"
    keys = [
        row.pk
        for moment in ((2090, 1, 31, 23, 59, 59), (2090, 12, 31), (2090, 1, 1))
        for row in (at(*moment), *written(1))
    ]
    settled()
    while audit_sealing.seal(at_once=2):
        pass
    before = run(COLUMNS, keys)
    audit_partitions.ahead()
    assert Alert.objects.get(resolved_at=None).kind == "audit_stray_rows"
    out = io.StringIO()
    call_command("audit", "months", stdout=out)
    assert out.getvalue() == "3 rows were moved into their months, and 0 months to come were made.\n"
    assert not Alert.objects.filter(resolved_at=None).exists()
    counts = [run(f"SELECT count(*) FROM core_auditlog_{part}") for part in ("2090_01", "2090_12", "default")]  # noqa: S608  # ours
    assert counts == [[(2,)], [(1,)], [(0,)]]
    assert run(CHECKS) == []
    assert run(COLUMNS, keys) == before
    assert AuditLog.objects.get(action="sort").detail == {"rows": 3, "months": ["2090_01", "2090_12"]}
    settled()
    audit_sealing.seal()
    assert audit_verifying.verify().findings == []
    at(2095, 1, 1)
    for sql in ("DELETE FROM core_auditlog_2090_01", "TRUNCATE core_auditlog_2090_12",
                "DELETE FROM core_auditlog_default"):  # fmt: skip
        with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
            run(sql)


def test_a_month_that_comes_anew_after_it_was_taken_off_gets_a_file_of_its_own(
    far_months: None, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ANCHOR, settings.AUDIT_ARCHIVE = f"file:{tmp_path}/anchors.log", tmp_path
    settings.AUDIT_LEAST_DAYS = -36_000  # the month lies ahead
    for _ in range(2):
        at(2090, 3, 5)
        settled()
        audit_sealing.seal()
        call_command("audit", "months", stdout=io.StringIO())
        call_command("audit", "detach", "2090-03", stdout=io.StringIO())
    out = io.StringIO()
    call_command("audit", "verify", "--all", stdout=out)
    assert "audit-2090-03.jsonl.gz: 1 rows\naudit-2090-03-2.jsonl.gz: 1 rows\n" in out.getvalue()


def test_who_moves_rows_waits_for_a_reader_of_the_log_no_longer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_strays, "WAIT", "SET LOCAL lock_timeout = '50ms'")
    at(2095, 1, 1)
    with other_connection() as other:
        other.execute("SELECT count(*) FROM core_auditlog_default")
        with pytest.raises(CommandError, match="in use without a pause"):
            call_command("audit", "months")
    assert run("SELECT count(*) FROM core_auditlog_default") == [(1,)]
