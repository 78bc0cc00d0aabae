"""Holds that the beat seals, anchors and verifies the audit log, goes on where it was, and tells of what it finds."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from backend.apps.core import audit_anchored, audit_anchors, audit_checking, audit_files, audit_keys, audit_verifying
from backend.apps.core.models import Alert, AuditAnchor, AuditArchive, AuditCheck, AuditLog, AuditSeal, Heartbeat
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


def rewritten(row: AuditLog, action: str) -> None:
    with unwatched():
        run("UPDATE core_auditlog SET action = %s WHERE id = %s", action, row.pk)


def test_a_look_that_ran_out_of_time_is_gone_on_with_and_all_is_looked_at_again_the_next_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)  # a look at each seal by itself
    sealed(6, at_once=1)
    looks = [audit_checking.check(budget_s=0) for _ in range(6)]
    assert [(one.first, one.last) for one in looks] == [(n, n) for n in range(1, 7)]
    assert audit_checking.standing().until is not None
    assert audit_checking.check().first == 7  # all were looked at
    sealed(1)
    assert [(one.first, one.last) for one in [audit_checking.check()]] == [(7, 7)]
    AuditCheck.objects.filter(begun_with=1).update(ended_at=AuditCheck.objects.first().ended_at - timedelta(days=1))
    assert audit_checking.check().first == 1
    assert AuditSeal.objects.count() == 7


def test_a_finding_at_the_beginning_hides_none_that_come_later_and_a_look_of_several_runs_ends_the_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)  # a look at each seal by itself
    rows = sealed(4, at_once=1)
    rewritten(rows[0], "nothing")
    looks = [audit_checking.check(budget_s=0) for _ in range(4)]
    assert [(one.last, one.wrong, one.ended) for one in looks] == [
        (1, 2, False),
        (2, 2, False),
        (3, 2, False),
        (4, 2, True),
    ]
    alert = Alert.objects.get(resolved_at=None)
    assert (alert.kind, alert.times, audit_checking.standing().tone) == ("audit_broken", 1, "bad")
    rewritten(rows[3], "nothing")
    looks = [audit_checking.check(budget_s=0) for _ in range(4)]
    assert str(rows[3].pk) in str(looks[3].findings)
    was, alert = alert, Alert.objects.get(resolved_at=None)
    assert (alert.times, alert.sentence) == (2, was.sentence.replace("2 findings", "4 findings"))
    assert alert.news_at > was.news_at  # told again, for there is more of it
    rewritten(rows[0], "retrieve")
    [audit_checking.check(budget_s=0) for _ in range(4)]
    assert Alert.objects.get(resolved_at=None).times == 2
    audit_checking.check(budget_s=0)
    rewritten(rows[3], "retrieve")
    [audit_checking.check(budget_s=0) for _ in range(3)]
    assert not Alert.objects.filter(resolved_at=None).exists()
    assert audit_checking.standing().tone == "good"


def test_a_look_that_began_before_a_finding_proves_nothing_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)
    rows = sealed(2, at_once=1)
    audit_checking.check(budget_s=0)
    began = audit_checking.begun()
    rewritten(rows[0], "nothing")  # in the part that was looked at
    audit_checking.note(audit_verifying.verify(), began)
    rewritten(rows[0], "retrieve")
    AuditCheck.objects.filter(wrong=0).update(ended_at=timezone.now())  # the beat goes on with its own look
    assert audit_checking.check(budget_s=0).ended
    assert Alert.objects.get(resolved_at=None).kind == "audit_broken"
    assert audit_checking.standing().tone == "bad"
    [audit_checking.check(budget_s=0) for _ in range(2)]
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_what_only_a_command_looks_at_is_cleared_by_no_look_of_the_beat(tmp_path: Path) -> None:
    sealed(2)
    audit.seal()
    other = tmp_path / "gone.log"
    with pytest.raises(CommandError, match="1 findings"):
        call_command("audit", "verify", "--anchor", str(other), stderr=io.StringIO())
    audit.verify()
    assert Alert.objects.get(resolved_at=None).cause == "audit broken: anchors"
    assert audit_checking.standing().tone == "good"
    other.write_text((tmp_path / "anchors.log").read_text())
    call_command("audit", "verify", "--anchor", str(other), stdout=io.StringIO())
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_an_hourly_look_reads_the_anchors_that_are_new_and_a_daily_one_all_of_them(anchors: Path) -> None:
    sealed(4)
    audit_anchors.anchor()
    assert audit_checking.check().wrong == 0
    place = AuditAnchor.objects.get()
    assert (place.read_to, place.read_n) == (anchors.stat().st_size, 2)
    whole = anchors.read_bytes()
    anchors.write_bytes(re.sub(rb"hash=(.)", lambda at: b"hash=1" if at[1] == b"0" else b"hash=0", whole, count=1))
    sealed(2)
    audit_anchors.anchor()
    looked = audit_checking.check()
    assert (looked.begun_with, looked.wrong, looked.ended) == (3, 0, True)
    assert AuditAnchor.objects.get().read_n == 3
    AuditCheck.objects.update(ended_at=looked.ended_at - timedelta(days=1))
    assert audit_checking.check().findings[0].startswith("The anchor of seal 1 is not signed by a key of ours: ")
    anchors.write_bytes(whole)
    (told,) = audit_checking.check().findings
    assert told.startswith(f"The file of anchors {anchors} ends at seal 2, and was written up to seal 3. Put the lines")


def test_a_file_of_anchors_that_was_cut_since_the_last_look_is_told_of(anchors: Path) -> None:
    sealed(2)
    audit_anchors.anchor()
    assert audit_checking.check().wrong == 0
    anchors.write_bytes(anchors.read_bytes()[:-1])
    (told,) = audit_checking.check().findings
    assert re.fullmatch(r"The file of anchors .* was cut or is another one: \d+ bytes of it were read before\.", told)


def test_a_long_file_of_anchors_is_read_in_several_runs_of_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_anchored, "AT_ONCE", 1)
    sealed(6)
    audit_anchors.anchor()
    looks = [audit_checking.check(budget_s=0) for _ in range(3)]
    assert [(one.begun_with, one.ended, one.wrong) for one in looks] == [(1, False, 0), (1, False, 0), (1, True, 0)]
    assert looks[-1].verified_until is not None
    assert AuditAnchor.objects.get().read_n == 3


def test_a_fault_that_each_run_of_a_look_meets_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)
    sealed(3, at_once=1)
    run("ALTER TABLE core_auditseal DISABLE TRIGGER core_auditseal_no_truncate")
    try:
        assert [audit_checking.check(budget_s=0).wrong for _ in range(6)] == [0, 0, 1, 0, 0, 1]
    finally:
        run("ALTER TABLE core_auditseal ENABLE TRIGGER core_auditseal_no_truncate")
    assert Alert.objects.get(resolved_at=None).times == 1


@pytest.mark.parametrize("told", ["is not there", "ends at seal 0", "was cut"])
def test_a_file_of_anchors_that_is_wrong_is_one_finding_of_a_look_of_several_runs(
    anchors: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setattr(audit_verifying, "ROWS", 1)
    sealed(3, at_once=1)
    audit_anchors.anchor()
    if told == "is not there":
        anchors.unlink()
    else:
        anchors.write_text("\n")
    first = audit_checking.check(budget_s=0)
    if told == "was cut":
        AuditAnchor.objects.update(read_to=2, read_archives={"until": 2, "met": {}})
    rest = [audit_checking.check(budget_s=0) for _ in range(2)]
    assert [one.wrong for one in (first, *rest)] == [0, 0, 1]
    assert told in rest[-1].findings[0]


def test_what_was_looked_at_and_anchored_before_an_upgrade_is_known_after_it() -> None:
    sealed(4)
    bad = AuditCheck.objects.create(first=1, last=2, good=False, findings=["one", "two"])
    left = AuditCheck.objects.create(first=1, last=1, good=True)  # it ran out of time
    AuditAnchor.objects.create(target="syslog://collector", n=2)
    AuditAnchor.objects.create(target="syslog://emptied", n=9)  # its seal is gone
    run(import_module("backend.apps.core.migrations.0011_audit_looks").CARRIED)
    bad.refresh_from_db()
    left.refresh_from_db()
    assert [(one.wrong, one.ended, one.began_at == one.ended_at) for one in (bad, left)] == [
        (2, True, True), (0, False, True)
    ]  # fmt: skip
    assert audit_checking.standing().tone == "bad"
    hashes = {place.target: bytes(place.hash) for place in AuditAnchor.objects.all()}
    assert hashes == {"syslog://collector": bytes(AuditSeal.objects.get(n=2).hash), "syslog://emptied": b""}
    assert audit_checking.check().first == 2


def test_each_look_of_the_beat_holds_what_is_said_of_files_of_months_to_the_anchors(anchors: Path) -> None:
    sealed(2)
    text = json.dumps({"whole": [], "parts": {}})
    signature = audit_keys.sign(audit_files.to_sign(text))
    AuditArchive.objects.create(
        label="2017-03", rows=0, file_name="a.gz", statement=text, key_id=audit_keys.name(), signature=signature
    )
    audit_anchors.anchor()
    assert [audit_checking.check().findings for _ in range(2)] == [[], []]
    with unwatched():
        AuditArchive.objects.update(statement=text.replace(" ", ""))
    gone, said = audit_checking.check().findings[-2:]  # hourly, of a line that was read before
    assert gone == "The file a.gz was anchored outside, and what was said of it is gone or was rewritten."
    assert said == "What is said of the file a.gz is not what was anchored outside."
    with unwatched():
        AuditArchive.objects.update(statement=text)
    assert audit_checking.check().findings == []
    AuditAnchor.objects.update(read_archives={})  # as a look of the version before leaves it
    assert audit_checking.check().findings == []


def test_a_file_of_anchors_that_cannot_be_read_is_a_finding_and_the_log_is_looked_at(anchors: Path) -> None:
    rows = sealed(2)
    audit_anchors.anchor()
    anchors.unlink()
    anchors.mkdir()
    rewritten(rows[0], "nothing")
    assert [one.split(" (")[0] for one in audit_checking.check().findings[1:]] == [
        f"Row {rows[0].pk} of seal 1 was altered.",
        f"The file of anchors {anchors} cannot be read",
    ]
