"""Holds that lost seals are told of until a person says why, and that the anchors stay proof before and after."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core import audit_anchored, audit_anchors, audit_lines, audit_sealing, audit_settling, audit_verifying
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditAnchor, AuditLog, AuditSeal
from backend.apps.core.tests.audit_rows import run, sealed, settled, unwatched

pytestmark = pytest.mark.django_db(transaction=True)

NOBODYS = f"2026-11-01T00:00:00Z carerelay-audit seal n=99 rows=1 hash={'0' * 64} key={'0' * 16} sig={'0' * 128}"


@pytest.fixture(autouse=True)
def anchors(settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "anchors.log"
    settings.AUDIT_ANCHOR = f"file:{path}"
    return path


def test_who_cuts_seals_off_is_told_of_until_a_person_says_why_and_then_all_is_told_again(anchors: Path) -> None:
    sealed(6)
    audit_anchors.anchor()
    with unwatched():
        run("DELETE FROM core_auditseal WHERE n > 1")
        run("DELETE FROM core_auditlog WHERE xid = (SELECT max(xid) FROM core_auditlog)")
    assert audit_anchors.anchor() == 0
    alert = Alert.objects.get(resolved_at=None)
    assert (alert.kind, len(alert.sentence) < 300) == ("audit_seals_gone", True)
    while audit_sealing.seal(at_once=2):  # as many seals as there were
        pass
    sealed(2)
    assert (audit_anchors.anchor(), AuditAnchor.objects.get().n, AuditSeal.objects.count()) == (0, 3, 4)
    assert Alert.objects.get(resolved_at=None).kind == "audit_seals_gone"
    assert "Seal 2 is not the one that was anchored outside: it was rewritten." in audit_verifying.verify().findings
    with pytest.raises(DomainError, match="Say why"):
        audit_settling.settle(" ")
    with pytest.raises(DomainError, match="There is no file"):  # a slip, which must not stand for no lines
        audit_settling.settle("restored", anchors=anchors.with_name("anchor.log"))
    with anchors.open("a") as file:
        file.write(NOBODYS + "\n")
    assert audit_settling.settle("restored from last night's copy") == audit_settling.Settled(1, 3)
    assert not Alert.objects.filter(resolved_at=None).exists()
    said = AuditLog.objects.get(action="settle").detail
    assert said == {"reason": "restored from last night's copy", "last": 1, "lost": 3}
    assert audit_anchors.anchor() == 3
    assert [(line.kind, line.n) for line in audit_lines.read(anchors)] == [
        ("seal", 1), ("seal", 2), ("seal", 3), ("seal", 99), ("settled", 1), ("seal", 2), ("seal", 3), ("seal", 4)
    ]  # fmt: skip
    result = audit_verifying.verify()
    assert [one.split(":")[0] for one in result.findings] == ["The anchor of seal 99 is not signed by a key of ours"]
    assert result.remarks[-1] == "Seals 2 to 3, or their anchors, were lost or made anew; a person settled that."
    with pytest.raises(DomainError, match="nothing to settle"):
        audit_settling.settle("again")
    with anchors.open("a") as file:  # said once more, it makes void nothing that came since
        file.write(next(text for text in anchors.read_text().splitlines() if "settled" in text) + "\n")
    with unwatched():
        run("DELETE FROM core_auditseal WHERE n > 2")
    assert "Seal 3 was anchored outside and is gone: seals were cut off." in audit_verifying.verify().findings


def test_what_is_anchored_while_the_anchors_are_read_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(4)
    audit_anchors.anchor()
    real, began = audit_anchored.faults_of, threading.Event()

    def faults_of(*asked: Any) -> Any:
        if not began.is_set():  # the file was read
            began.set()
            sealed(1)
            audit_anchors.anchor()
        return real(*asked)

    monkeypatch.setattr(audit_anchored, "faults_of", faults_of)
    assert audit_verifying.verify().findings == []
    assert (began.is_set(), AuditAnchor.objects.get().n) == (True, 3)


def test_a_settled_loss_that_nobody_signed_makes_nothing_void(anchors: Path) -> None:
    sealed(4)
    audit_anchors.anchor()
    with unwatched():
        run("DELETE FROM core_auditseal WHERE n > 1")
    forged = audit_lines.of_loss(1, 2, timezone.now()).replace("n=1 lost=2", "n=0 lost=2")
    with anchors.open("a") as file:
        file.write(forged + "\n")
    assert [one.split(":")[0] for one in audit_verifying.verify().findings[-2:]] == [
        "The line of the anchors that the loss of seal 2 is settled is not signed by a key of ours",
        "Seal 2 was anchored outside and is gone",
    ]


def test_lines_none_of_which_we_signed_settle_no_more_than_what_we_know_to_be_gone(anchors: Path) -> None:
    sealed(6)
    audit_anchors.anchor()
    with unwatched():
        run("DELETE FROM core_auditseal WHERE n > 2")
    kept = anchors.with_name("kept.log")
    kept.write_text(NOBODYS + "\n")
    assert audit_settling.settle("the lines are gone, too", anchors=kept) == audit_settling.Settled(2, 3)


def test_an_old_copy_that_was_restored_with_its_notes_is_settled_from_the_lines_outside(
    anchors: Path, settings: Any
) -> None:
    sealed(6)
    audit_anchors.anchor()
    with unwatched():  # the notes of what was told are as old as the rest
        run("DELETE FROM core_auditseal WHERE n > 1")
    AuditAnchor.objects.update(n=1, hash=bytes(AuditSeal.objects.get(n=1).hash))
    settled()
    while audit_sealing.seal(at_once=3):
        pass
    assert audit_anchors.anchor() == 2  # nothing tells it that there were others
    settings.AUDIT_ANCHOR = "syslog://127.0.0.1:1"
    AuditAnchor.objects.create(target="syslog://127.0.0.1:1")
    with pytest.raises(DomainError, match="--anchor FILE"):
        audit_settling.settle("restored")
    settings.AUDIT_ANCHOR = f"file:{anchors}"
    assert audit_settling.settle("restored") == audit_settling.Settled(1, 3)
    assert audit_anchors.anchor() == 2
    assert audit_verifying.verify().findings == []
