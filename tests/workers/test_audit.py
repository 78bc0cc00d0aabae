"""Holds that the beat seals, anchors and verifies the audit log, goes on where it was, and tells of what it finds."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from backend.apps.core import audit_checking, audit_verifying
from backend.apps.core.models import Alert, AuditCheck, AuditSeal, Heartbeat
from backend.apps.core.tests.audit_rows import run, sealed, settled, unwatched, written
from workers import audit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def anchors(settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "anchors.log"
    settings.AUDIT_ANCHOR = f"file:{path}"
    return path


def test_the_beat_seals_anchors_and_verifies_and_the_command_names_what_was_rewritten(anchors: Path) -> None:
    rows = written(3)
    assert audit_checking.standing().word == "not verified yet"
    settled()
    assert [audit.seal() for _ in range(2)] == ["sealed 3 rows, anchored 1 seals", "sealed 0 rows, anchored 0 seals"]
    assert audit.verify() == "verified 3 rows in 1 seals, 0 findings"
    assert audit.partitions() == "made 0"
    assert set(Heartbeat.objects.values_list("entry", flat=True)) == {"audit seal", "audit verify", "audit months"}
    told = audit_checking.standing()
    assert (told.tone, told.word, told.until is not None) == ("good", "verified", True)
    out = io.StringIO()
    call_command("audit", "verify", stdout=out)
    assert out.getvalue().startswith("verified up to 20")
    assert out.getvalue().endswith(": 3 rows in 1 seals\n")
    with unwatched():
        run("UPDATE core_auditlog SET action = 'nothing' WHERE id = %s", rows[1].pk)
    err = io.StringIO()
    with pytest.raises(CommandError, match="2 findings"):
        call_command("audit", "verify", stderr=err)
    assert f"Row {rows[1].pk} of seal 1 was altered." in err.getvalue()
    assert Alert.objects.get(resolved_at=None).kind == "audit_broken"
    assert audit_checking.standing().tone == "bad"
    with unwatched():
        run("UPDATE core_auditlog SET action = 'retrieve' WHERE id = %s", rows[1].pk)
    audit.verify()
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_a_look_that_ran_out_of_time_is_gone_on_with_and_all_is_looked_at_again_the_next_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)  # a look at each seal by itself
    sealed(6, at_once=1)
    looks = [audit_checking.check(budget_s=0) for _ in range(6)]
    assert [(one.first, one.last) for one in looks] == [(n, n) for n in range(1, 7)]
    assert audit_checking.standing().until is not None
    assert (audit_checking.check().first, audit_checking.check().first) == (1, 7)
    sealed(1)
    assert [(one.first, one.last) for one in [audit_checking.check()]] == [(7, 7)]
    AuditCheck.objects.filter(first=1).update(ended_at=AuditCheck.objects.first().ended_at - timedelta(days=1))
    assert audit_checking.check().first == 1
    assert AuditSeal.objects.count() == 7
