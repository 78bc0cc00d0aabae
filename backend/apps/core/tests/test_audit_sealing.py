"""Holds that the audit log is sealed whole, in order, once, and that the place outside is told of every seal."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.core import (
    alerts,
    audit,
    audit_adopting,
    audit_anchors,
    audit_checking,
    audit_keys,
    audit_lines,
    audit_sealing,
    audit_verifying,
    merkle,
)
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditAnchor, AuditLog, AuditSeal
from backend.apps.core.tests.audit_rows import (
    offset_of,
    other_connection,
    run,
    sealed,
    settled,
    until_oldest,
    unwatched,
    written,
)

pytestmark = pytest.mark.django_db(transaction=True)
INSERT = """INSERT INTO core_auditlog (id, action, resource_type, resource_id, outcome, user_agent, request_id, detail)
            VALUES (gen_random_uuid(), 'late', 'patient', '', 'allowed', '', '', '{}') RETURNING id"""


@pytest.fixture(autouse=True)
def anchors(settings: Any, tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "anchors.log"
    settings.AUDIT_ANCHOR = f"file:{path}"
    return path


def test_all_that_was_written_is_sealed_once_in_a_chain_that_is_anchored_outside(anchors: Path) -> None:
    sealed(5)
    assert [(seal.n, seal.rows) for seal in AuditSeal.objects.order_by("n")] == [(1, 2), (2, 2), (3, 1)]
    assert audit_sealing.seal() == 0
    assert (audit_anchors.anchor(), audit_anchors.anchor()) == (3, 0)
    lines = list(audit_lines.read(anchors))
    assert [(line.n, line.hash) for line in lines] == [
        (seal.n, bytes(seal.hash)) for seal in AuditSeal.objects.order_by("n")
    ]
    assert all(line.is_signed(audit_keys.known()) for line in lines)
    result = audit_verifying.verify()
    assert (result.findings, result.rows, result.seals) == ([], 5, 3)
    assert result.until is not None


def test_a_row_whose_transaction_commits_late_does_not_slip_under_a_sealed_range() -> None:
    with other_connection() as other:
        (key,) = other.execute(INSERT).fetchone() or ()
        written(3)
        assert audit_sealing.seal() == 0  # nothing above a transaction that may still write
        assert audit_verifying.verify().remarks[0].startswith("3 rows are not sealed yet")
        other.commit()
    settled()
    assert audit_sealing.seal() == 4
    assert key.bytes == bytes(AuditSeal.objects.get().leaves)[:16]  # its transaction began first
    assert audit_verifying.verify().findings == []


def test_rows_that_wait_for_a_transaction_of_somebody_are_told_of_with_how_to_end_it() -> None:
    sealed(2)
    audit_checking.check()
    settled()
    with other_connection() as other:
        ((held, pid),) = other.execute("SELECT pg_current_xact_id()::text, pg_backend_pid()").fetchall()
        until_oldest(held)
        AuditLog.objects.create(action="list", resource_type="x", timestamp=timezone.now() - timedelta(minutes=25))
        assert audit_sealing.seal() == 0
        alert = Alert.objects.get(resolved_at=None)
        assert (alert.kind, alert.severity) == ("audit_unsealed", "warning")
        assert f"oldest row for 25 minutes: process {pid} of PostgreSQL" in alert.sentence
        assert alert.sentence.endswith(f"SELECT pg_terminate_backend({pid})")
        told = audit_checking.standing()
        assert (told.tone, told.word) == ("wait", "not sealed for 25 min, verified")
        other.rollback()
    settled()
    assert audit_sealing.seal() == 1
    assert not Alert.objects.filter(resolved_at=None).exists()
    assert audit_checking.standing().word == "verified"


def test_of_two_who_seal_at_once_one_does() -> None:
    written(2)
    alerts.open_once(audit_sealing.RESTORED, kind="audit_restored", sentence="One who looked found it.")
    with other_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s::bigint)", [audit_sealing.LOCK])
        assert audit_sealing.seal() == 0
        assert Alert.objects.get(resolved_at=None).kind == "audit_restored"  # it did not look
    settled()
    assert audit_sealing.seal() == 2
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_seals_are_insert_only_too() -> None:
    sealed(1)
    ((part,),) = run("SELECT tableoid::regclass FROM core_auditlog")
    for sql in ("UPDATE core_auditseal SET rows = 2", "DELETE FROM core_auditseal", f"DELETE FROM {part}",  # noqa: S608  # ours
                f"UPDATE {part} SET xid = 1"):  # noqa: S608  # fmt: skip
        with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
            run(sql)
    assert audit_verifying.verify().findings == []


def test_a_seal_that_nobody_could_anchor_is_anchored_later_and_an_alert_says_so_until_then(
    anchors: Path, settings: Any, tmp_path: Path
) -> None:
    sealed(4)
    (tmp_path / "file").write_text("")
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/file/anchors.log"
    with pytest.raises(FileExistsError):
        audit_anchors.anchor()
    assert Alert.objects.get(resolved_at=None).kind == "audit_anchor_failed"
    settings.AUDIT_ANCHOR = f"file:{anchors}"
    anchors.parent.mkdir()
    anchors.write_text("a line that a crash cut sho")
    assert audit_anchors.anchor() == 2
    assert [line.n for line in audit_lines.read(anchors)] == [1, 2]
    assert not Alert.objects.filter(resolved_at=None).exists()
    AuditAnchor.objects.update(
        n=1, hash=bytes(AuditSeal.objects.get(n=1).hash)
    )  # killed after the write, before it was noted
    assert audit_anchors.anchor() == 1
    assert audit_verifying.verify().findings == []


def test_each_host_tells_its_own_file_of_all_seals_and_holds_it_to_what_it_wrote(anchors: Path, tmp_path: Path) -> None:
    """Two hosts have other files at one path: here the folder is moved away for the other one's."""
    other = tmp_path / "other"
    sealed(4)
    assert audit_anchors.anchor() == 2
    anchors.parent.rename(other)
    assert audit_verifying.verify().findings == []  # nobody anchored on the second host yet
    assert audit_anchors.anchor() == 2
    sealed(2)
    assert audit_anchors.anchor() == 1
    for _ in range(2):
        assert audit_verifying.verify().findings == []
        anchors.parent.rename(tmp_path / "aside")
        other.rename(anchors.parent)
        (tmp_path / "aside").rename(other)
    assert [line.n for line in audit_lines.read(anchors)] == [1, 2, 3]
    anchors.write_text("")
    assert "ends at seal 0, and was written up to seal 3. Put the lines" in audit_verifying.verify().findings[0]


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector of syslog over TCP that hangs up when it has read all; yields its address and what it read."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                while data := link.recv(65536):
                    got.append(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"syslog://127.0.0.1:{server.getsockname()[1]}", got
        thread.join(5)


def test_a_collector_of_syslog_gets_each_seal_as_a_counted_message(
    collector: tuple[str, list[bytes]], settings: Any, tmp_path: Path
) -> None:
    sealed(3)
    settings.AUDIT_ANCHOR, got = collector
    assert audit_anchors.anchor() == 2
    told, messages = b"".join(got), list[str]()
    while told:
        size, _, rest = told.partition(b" ")
        messages.append(rest[: int(size)].decode())
        told = rest[int(size) :]
    assert [message[:7] for message in messages] == ["<109>1 "] * 2
    kept = tmp_path / "collected.log"
    kept.write_text("\n".join(messages))
    assert [line.n for line in audit_lines.read(kept)] == [1, 2]
    assert audit_verifying.verify(anchors=kept).findings == []


def keeps_silent(link: socket.socket, ended: threading.Event) -> None:
    ended.wait(10)


def says_something_for_ever(link: socket.socket, ended: threading.Event) -> None:
    while not ended.wait(0.05):
        link.sendall(b".")


@pytest.mark.parametrize("behaves", [keeps_silent, says_something_for_ever])
def test_a_collector_that_never_reads_is_not_told_and_holds_nobody_up(
    behaves: Callable[[socket.socket, threading.Event], None], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(2)
    monkeypatch.setattr(audit_anchors, "TIMEOUT_S", 0.3)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link, suppress(OSError):
                behaves(link, ended)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        settings.AUDIT_ANCHOR = f"syslog://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            audit_anchors.anchor()
        ended.set()
        thread.join(5)
    assert AuditAnchor.objects.get().n == 0
    assert Alert.objects.get(resolved_at=None).kind == "audit_anchor_failed"


def test_after_a_restore_elsewhere_nothing_is_sealed_until_a_person_looked() -> None:
    first = sealed(4)
    try:
        ((now,),) = run("SELECT pg_current_xact_id()::text::bigint")
        offset_of(3 - now)  # in another cluster transactions count anew, lower
        late = written(3)
        with pytest.raises(audit_sealing.Restored):
            audit_sealing.seal()
        assert Alert.objects.get(resolved_at=None).kind == "audit_restored"
        made = audit_adopting.adopt()
        assert (made.kind, made.rows) == ("adopted", 3)
        assert not Alert.objects.filter(resolved_at=None).exists()
        written(2)
        settled()
        assert audit_sealing.seal() == 3  # with the row about the adoption
        assert audit_verifying.verify().findings == []
        with pytest.raises(DomainError, match="nothing to adopt"):
            audit_adopting.adopt()
        with unwatched():
            run("DELETE FROM core_auditlog WHERE id = %s", late[1].pk)
            run("DELETE FROM core_auditlog WHERE id = %s", first[1].pk)
        told = audit_verifying.verify().findings
        assert [str(row.pk) in " ".join(told) for row in (late[0], late[1], first[1])] == [False, True, True]
    finally:
        offset_of(0)


def test_the_log_is_written_to_while_a_restored_one_is_verified_and_what_comes_is_adopted_too() -> None:
    sealed(4)
    came = list[Any]()
    try:
        ((now,),) = run("SELECT pg_current_xact_id()::text::bigint")
        offset_of(3 - now)
        written(2)
        with other_connection() as other:

            def write_meanwhile(_done: int, _of: int) -> None:
                came.extend(other.execute(INSERT))
                other.commit()

            made = audit_adopting.adopt(progress=write_meanwhile)
        assert len(came) >= 1
        assert made.rows == 2 + len(came)
        assert {row[0].bytes for row in came} < {leaf[:16] for leaf in merkle.split(made.leaves)}
        assert audit_verifying.verify().findings == []
    finally:
        offset_of(0)


def test_a_transaction_that_holds_the_log_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_adopting, "WAIT", "SET LOCAL lock_timeout = '50ms'")
    sealed(2)
    try:
        ((now,),) = run("SELECT pg_current_xact_id()::text::bigint")
        offset_of(3 - now)
        with other_connection() as other:
            other.execute(INSERT)
            with pytest.raises(DomainError, match="A long transaction writes to the audit log"):
                audit_adopting.adopt()
        assert audit_adopting.adopt().rows == 1
    finally:
        offset_of(0)


def test_a_key_that_was_replaced_still_verifies_what_it_signed(settings: Any) -> None:
    sealed(2)
    old = audit_keys.public()
    settings.AUDIT_KEY = "B" * 43 + "="
    sealed(2)
    assert audit_verifying.verify().findings == ["Seal 1 is not signed by a key of ours."]
    settings.AUDIT_KEYS_OLD = [old]
    assert audit_verifying.verify().findings == []


def test_nothing_of_it_is_left_where_a_request_is_rolled_back() -> None:
    with transaction.atomic():
        audit.record(None, "retrieve", "patient")
        transaction.set_rollback(True)
    written(1)
    settled()
    assert audit_sealing.seal() == 1
    assert connection.in_atomic_block is False
