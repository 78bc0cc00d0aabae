"""Holds that a line of the anchors says what it was told with, and that a file of them that is not whole is told of."""

from __future__ import annotations

import re
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core import (
    audit_anchors,
    audit_checking,
    audit_keys,
    audit_lines,
    audit_sealing,
    audit_settling,
    audit_verifying,
)
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditAnchor, AuditSeal
from backend.apps.core.tests.audit_rows import other_connection, run, sealed, settled, unwatched

pytestmark = pytest.mark.django_db(transaction=True)
COPIED = (
    r"A line of the anchors says that it is of seal {} and is of seal {}: .*, byte [\d,]+\. Somebody put it there\."
)


@pytest.fixture(autouse=True)
def anchors(settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "anchors.log"
    settings.AUDIT_ANCHOR = f"file:{path}"
    return path


def of_before(seal: AuditSeal, n: int) -> str:
    """Return the line about a seal, under this number, as the version before wrote it: only its hash is signed."""
    proof = f"hash={bytes(seal.hash).hex()} key={seal.key_id} sig={bytes(seal.signature).hex()}"
    return f"2026-11-01T00:00:00Z carerelay-audit seal n={n} rows={seal.rows} {proof}\n"


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(lines)


def found() -> list[str]:
    return audit_verifying.verify().findings


def test_a_line_that_was_copied_under_another_number_is_told_as_that_and_hides_nothing(anchors: Path) -> None:
    sealed(6)
    audit_anchors.anchor()
    whole = anchors.read_text()
    seals = list(AuditSeal.objects.order_by("n"))
    add(anchors, *(of_before(seal, seal.n) for seal in seals))  # as they were told before an upgrade
    assert found() == []
    add(anchors, whole.splitlines(keepends=True)[0].replace(" n=1 ", " n=3 "), of_before(seals[1], 9))
    told = found()
    assert [bool(re.fullmatch(COPIED.format(*of), one)) for of, one in zip([(3, 1), (9, 2)], told, strict=True)] == [
        True, True,
    ], told  # fmt: skip
    with pytest.raises(DomainError, match="nothing to settle"):
        audit_settling.settle("a copied line")
    AuditAnchor.objects.update(n=4)
    assert found()[-1].startswith(f"The file of anchors {anchors} ends at seal 3, and was written up to seal 4.")
    AuditAnchor.objects.update(n=3)
    with unwatched():  # who has the key makes seal 3 anew
        AuditSeal.objects.filter(n=3).update(hash=bytes(32))
    assert [one for one in found() if "it was rewritten" in one] == [
        "Seal 3 is not the one that was anchored outside: it was rewritten."
    ] * 2  # of both versions


def test_a_number_or_a_moment_of_a_line_that_was_changed_is_not_under_its_signature() -> None:
    sealed(2)
    seal = AuditSeal.objects.get()
    text, keys = audit_lines.of_seal(seal, timezone.now()), audit_keys.known()
    changes = [("n=1 ", "n=2 "), ("rows=2", "rows=3"), ("at=20", "at=21"), (" v=2", ""), ("seal n", "archive n")]
    assert all(text.count(old) == 1 for old, _ in changes)
    assert [line_of(text).is_signed(keys), *(line_of(text.replace(*each)).is_signed(keys) for each in changes)] == [
        True, *[False] * len(changes),
    ]  # fmt: skip
    assert line_of(of_before(seal, 1)).is_signed(keys)


def line_of(text: str) -> audit_lines.Line:
    match = audit_lines.LINE.search(text)
    assert match
    return audit_lines._read(0, len(text), match)


def test_a_line_of_before_a_settled_loss_that_is_copied_behind_it_is_told_as_that(anchors: Path) -> None:
    sealed(4)
    audit_anchors.anchor()
    given_up = audit_lines.of_seal(AuditSeal.objects.get(n=2), timezone.now() - timedelta(hours=1))
    with unwatched():
        run("DELETE FROM core_auditseal WHERE n > 1")
    audit_settling.settle("restored")
    settled()
    audit_sealing.seal()
    audit_anchors.anchor()
    assert found() == []
    add(anchors, f"{given_up}\n")
    (told,) = found()
    assert told.startswith("A line of the anchors of seal 2 is one that was given up before: ")


def test_what_is_missing_in_the_file_of_anchors_is_told_at_the_next_look_until_it_is_put_back_or_given_up(
    anchors: Path,
) -> None:
    sealed(3, at_once=1)
    audit_anchors.anchor()
    assert audit_checking.check().wrong == 0
    first = anchors.read_text()
    anchors.unlink()  # and its id stays
    sealed(1)
    audit_anchors.anchor()
    assert "was cut or is another one" in audit_checking.check().findings[0]
    anchors.write_text(first + anchors.read_text())
    assert (audit_checking.check().wrong, Alert.objects.filter(resolved_at=None).count()) == (0, 0)
    anchors.write_text(first)  # an older copy, which grows longer than what was read before
    for _ in range(2):
        sealed(1)
        audit_anchors.anchor()
    assert AuditAnchor.objects.get().read_to < anchors.stat().st_size
    looked = audit_checking.check()
    assert (looked.begun_with, looked.findings[0][-200:]) == (5, lacks(anchors, 1, 5, 5)[-200:])
    assert audit_checking.check().findings == [lacks(anchors, 1, 4, 4)]
    with pytest.raises(DomainError, match="There is no file"):
        audit_settling.settle("a slip", anchors=anchors.with_name("anchor.log"))
    assert audit_settling.settle("an older copy") == audit_settling.Settled(3, 6)
    audit_anchors.anchor()
    assert audit_checking.check().findings == []
    anchors.unlink()
    assert "is not there. Put the lines back" in audit_checking.check().findings[0]
    assert audit_settling.settle("nobody has a copy") == audit_settling.Settled(0, 6)
    assert audit_anchors.anchor() == 6
    assert audit_checking.check().findings == []
    assert not Alert.objects.filter(resolved_at=None).exists()


def lacks(path: Path, many: int, first: int, last: int) -> str:
    return (
        f"The file of anchors {path} lacks the lines of {many} seals, the first of seals {first} to {last}. "
        "Put the lines back from a copy, or give them up with `manage audit settle`."
    )


def test_a_file_that_is_no_longer_the_one_that_was_read_is_told_of_also_where_it_is_as_long(anchors: Path) -> None:
    sealed(3, at_once=1)
    audit_anchors.anchor()
    assert audit_checking.check().wrong == 0
    anchors.write_text("x" * (anchors.stat().st_size + 9))
    assert "no line ends at byte" in audit_checking.check().findings[0]


def test_what_a_collector_kept_is_compared_and_what_it_did_not_keep_is_remarked(anchors: Path) -> None:
    sealed(4, at_once=1)
    audit_anchors.anchor()
    kept = anchors.with_name("kept.log")
    kept.write_text("".join(anchors.read_text().splitlines(keepends=True)[1:3]))
    result = audit_verifying.verify(anchors=kept)
    assert result.findings == []
    assert result.remarks == [
        f"The file of anchors {kept} lacks the lines of 1 seals, the first of seals 1 to 1.",
        f"The anchors in {kept} end at seal 3; the log has 4 seals.",
    ]


def test_a_host_that_fails_is_told_of_until_it_does_not_whatever_the_others_do(
    anchors: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(2)
    (tmp_path / "file").write_text("")

    def run_on(name: str, folder: Path) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: name)
        settings.AUDIT_ANCHOR = f"file:{folder}/anchors.log"
        audit_anchors.anchor()

    with pytest.raises(FileExistsError):
        run_on("one", tmp_path / "file")
    run_on("two", anchors.parent)
    alert = Alert.objects.get(resolved_at=None)
    assert alert.sentence == (
        f"Host one cannot anchor seals of the audit log at {f'file:{tmp_path}/file/anchors.log'[:60]} "
        "(FileExistsError): they wait. Mend the place, and they are told then."
    )
    run_on("one", tmp_path / "mended")
    assert not Alert.objects.filter(resolved_at=None, kind="audit_anchor_failed").exists()
    with pytest.raises(FileExistsError):
        run_on("gone", tmp_path / "file")
    Alert.objects.update(last_seen_at=timezone.now() - timedelta(hours=2))  # it was taken away for good
    run_on("two", anchors.parent)
    assert not Alert.objects.filter(resolved_at=None, kind="audit_anchor_failed").exists()


def test_a_file_that_was_taken_away_with_its_id_is_told_of_and_begun_anew(anchors: Path) -> None:
    sealed(2)
    assert audit_anchors.anchor() == 1
    assert not Alert.objects.exists()
    for path in anchors.parent.iterdir():
        path.unlink()
    assert audit_anchors.anchor() == 1
    alert = Alert.objects.get(resolved_at=None)
    assert (alert.kind, alert.severity) == ("audit_anchor_new", "warning")
    assert f"began a new file of anchors at {anchors}" in alert.sentence
    audit_anchors.anchor()
    assert Alert.objects.get().times == 1


@pytest.mark.parametrize("torn", [None, "", "0123"])
def test_of_two_who_name_a_file_of_anchors_both_find_the_same_id_and_a_torn_one_is_none(
    anchors: Path, torn: str | None
) -> None:
    beside = anchors.with_name("anchors.log.id")
    anchors.parent.mkdir()
    if torn is not None:
        beside.write_text(torn)
    started, ids = threading.Event(), list[str]()

    def name() -> None:
        try:
            connection.ensure_connection()
            started.set()
            audit_anchors._name_file(anchors)
            ids.append(audit_anchors._id_of(anchors))
        finally:
            connection.close()

    with other_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_anchors.LOCK])
        thread = threading.Thread(target=name)
        thread.start()
        assert started.wait(10)
        while not other.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
            assert thread.is_alive()
        beside.write_text("a" * 32)
        other.commit()
    thread.join(10)
    assert ids == ["a" * 32]
    assert [path.name for path in anchors.parent.iterdir()] == ["anchors.log.id"]
    beside.unlink()
    audit_anchors._name_file(anchors)
    assert re.fullmatch("[0-9a-f]{32}", audit_anchors._id_of(anchors))
