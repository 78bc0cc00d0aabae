"""Holds that the log is cut into months made ahead, that the rows of before came along, and that old ones go whole."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from backend.apps.core import (
    audit_anchors,
    audit_checking,
    audit_files,
    audit_keys,
    audit_lines,
    audit_partitions,
    audit_sealing,
    audit_verifying,
)
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AuditAnchor, AuditArchive, AuditLog
from backend.apps.core.tests.audit_rows import CHECKS, run, sealed, settled, unwatched, written

SIX_YEARS = 2192
OLD = datetime(2017, 3, 5, tzinfo=UTC)
# As the log was before, made of what it is now.
OF_BEFORE = """
CREATE SCHEMA upgraded; SET LOCAL search_path = upgraded;
CREATE TABLE core_auditlog (LIKE public.core_auditlog INCLUDING DEFAULTS);
ALTER TABLE core_auditlog DROP COLUMN digest, DROP COLUMN xid, ADD CONSTRAINT core_auditlog_pkey PRIMARY KEY (id);
CREATE INDEX audit_time ON core_auditlog ("timestamp" DESC);
CREATE INDEX audit_resource ON core_auditlog (resource_type, resource_id, "timestamp" DESC);
CREATE INDEX audit_user ON core_auditlog (user_id, "timestamp" DESC);
CREATE INDEX audit_patient ON core_auditlog (patient_id, "timestamp" DESC);
CREATE INDEX audit_refused ON core_auditlog (outcome, "timestamp" DESC) WHERE NOT (outcome = 'allowed');
INSERT INTO core_auditlog (id, "timestamp", action, resource_type, resource_id, outcome, user_agent, request_id, detail)
    SELECT gen_random_uuid(), now() - make_interval(days => n), 'list', 'patient', '', 'allowed', '', '', '{}'
    FROM generate_series(1, 50) n;
"""


@pytest.mark.django_db
def test_the_rows_of_before_come_along_with_their_digests() -> None:
    first, filled, last, unchecked = (
        import_module(f"backend.apps.core.migrations.{name}")
        for name in (
            "0007_audit_digests", "0008_audit_digests_filled", "0009_audit_partitions", "0014_audit_months_unchecked",
        )
    )  # fmt: skip
    editor = type("Editor", (), {"connection": connection})
    run(OF_BEFORE)
    run(import_module("backend.apps.core.migrations.0002_audit_insert_only").FORWARDS)
    before = run("SELECT id, detail FROM core_auditlog ORDER BY id")
    run(first.DIGESTS)
    with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
        run("UPDATE core_auditlog SET detail = '{\"n\": 1}'")  # only the digests may be written
    filled.fill(None, editor)
    run(last.BEFORE + last.ATTACH + last.AHEAD)
    assert len(run(unchecked.CHECKED)) == 3
    run(unchecked.AHEAD)
    unchecked.take_off(None, editor)
    assert run(CHECKS) == []
    assert run("SELECT id, detail FROM core_auditlog ORDER BY id") == before
    assert run(f"SELECT count(*) FROM core_auditlog WHERE digest <> {audit_verifying.AGAIN}") == [(0,)]  # noqa: S608  # ours
    for sql in ("UPDATE core_auditlog SET xid = 1", "DELETE FROM core_auditlog_before", "TRUNCATE core_auditlog_before",
                "TRUNCATE core_auditlog"):  # fmt: skip
        with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic():
            run(sql)
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'core_auditlog'::regclass") == [(5,)]


@pytest.mark.django_db
def test_the_coming_months_are_made_once_and_rows_that_fit_in_none_are_told_of() -> None:
    run("DROP TABLE core_auditlog_" + run("SELECT to_char(now() AT TIME ZONE 'UTC' + '2 months', 'YYYY_MM')")[0][0])
    assert [audit_partitions.ahead() for _ in range(2)] == [1, 0]
    assert run(CHECKS) == []
    AuditLog.objects.create(action="list", resource_type="x", timestamp=datetime(2090, 1, 1, tzinfo=UTC))
    assert audit_partitions.ahead() == 0
    assert Alert.objects.get(resolved_at=None).kind == "audit_stray_rows"
    assert AuditLog.objects.filter(timestamp__year=2090).count() == 1  # none is lost


@pytest.fixture
def old_month() -> Iterator[str]:
    """A log whose first part ends long ago; as it was, afterwards."""
    (bound,) = run("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'core_auditlog_before'")[0]
    until = bound.split("TO (")[1].rstrip(")")
    run("ALTER TABLE core_auditlog DETACH PARTITION core_auditlog_before")
    run(
        "ALTER TABLE core_auditlog ATTACH PARTITION core_auditlog_before FOR VALUES FROM (MINVALUE) TO ('2017-04-01 Z')"
    )
    yield "before"
    run("DROP TABLE IF EXISTS core_auditlog_before")
    run(f"CREATE TABLE core_auditlog_before PARTITION OF core_auditlog FOR VALUES FROM (MINVALUE) TO ({until})")
    run(
        "CREATE TRIGGER core_auditlog_before_no_truncate BEFORE TRUNCATE ON core_auditlog_before "
        "FOR EACH STATEMENT EXECUTE FUNCTION core_auditlog_refuse()"
    )


@pytest.mark.django_db(transaction=True)
def test_a_month_that_is_taken_off_while_the_log_is_verified_is_no_finding(
    old_month: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/anchors.log"
    monkeypatch.setattr(audit_verifying, "ROWS", 1)  # a look at each seal by itself
    for n in range(4):
        AuditLog.objects.create(action="list", resource_type="x", detail={"n": n}, timestamp=OLD)
    settled()
    while audit_sealing.seal(at_once=1):
        pass
    taken = list[str]()

    def take_off(done: int, _of: int) -> None:
        if done == 2:
            taken.append(audit_partitions.detach(old_month, tmp_path, keep_days=SIX_YEARS).label)

    assert audit_verifying.verify(progress=take_off).findings == []
    assert taken == [old_month]
    assert AuditLog.objects.filter(timestamp__year=2017).count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_row_that_comes_to_a_month_while_its_file_is_written_keeps_it_on_the_log(
    old_month: str, tmp_path: Path
) -> None:
    AuditLog.objects.create(action="list", resource_type="x", timestamp=OLD)
    settled()
    assert audit_sealing.seal() == 1
    real = audit_files.write

    def write(path: Path, label: str, rows: Any) -> Any:
        content = real(path, label, rows)
        AuditLog.objects.create(action="late", resource_type="x", timestamp=OLD)
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_files, "write", write)
        with pytest.raises(DomainError, match="wrote to this month meanwhile"):
            audit_partitions.detach(old_month, tmp_path, keep_days=SIX_YEARS)
    assert AuditLog.objects.filter(timestamp__year=2017).count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_old_month_goes_into_a_signed_file_and_the_log_stays_provable(
    old_month: str, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ARCHIVE, settings.AUDIT_ANCHOR = tmp_path, f"file:{tmp_path}/anchors.log"
    for n in range(5):
        AuditLog.objects.create(action="list", resource_type="x", detail={"n": n}, timestamp=OLD)
        written(n % 2)  # seals that hold rows of two months
    with pytest.raises(DomainError, match="not sealed yet"):
        audit_partitions.detach(old_month, tmp_path, keep_days=SIX_YEARS)
    settled()
    while audit_sealing.seal(at_once=2):
        pass
    for label, days, told in (
        (old_month, 7300, "is kept until"),
        (old_month, 2191, "for 2,192 days at least"),
        (old_month, 10**12, "100 years at most"),
        ("2017-13", SIX_YEARS, "no such month"),
        ("default", SIX_YEARS, "no"),
    ):
        with pytest.raises(DomainError, match=told):
            audit_partitions.detach(label, tmp_path, keep_days=days)
    with pytest.raises(CommandError, match="2,192 days at least"):
        call_command("audit", "detach", old_month, "--keep", "5")
    call_command("audit", "detach", old_month)
    path = tmp_path / "audit-before.jsonl.gz"
    assert AuditLog.objects.filter(timestamp__year=2017).count() == 0
    assert [row[11]["n"] for row in audit_files.rows_of(path)] == list(range(5))
    assert audit_verifying.verify().findings == []
    call_command("audit", "verify", "--all")
    out = io.StringIO()
    call_command("audit", "verify", stdout=out)
    settings.AUDIT_ARCHIVE = tmp_path / "elsewhere"
    call_command("audit", "verify", "--since", "2020-01-01", stdout=out)
    settings.AUDIT_ARCHIVE = tmp_path
    unread = "Files of months taken off that were not read: 1, with 5 rows. `manage audit verify --all` reads them."
    assert out.getvalue().count(unread) == 2
    assert f"Of these 1 are not in {tmp_path}/elsewhere.\n" in out.getvalue()
    assert "\nverified from seal 1 on, up to " in out.getvalue()
    call_command("audit", "verify", "--file", str(path))
    with unwatched(), transaction.atomic():
        AuditArchive.objects.update(statement=AuditArchive.objects.get().statement.replace('"rows": 5', '"rows": 4'))
        assert "is not signed by a key of ours" in audit_verifying.verify().findings[0]
        transaction.set_rollback(True)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'{"n": 3}', b'{"n": 4}')))
    with pytest.raises(CommandError, match="not those that were signed"):
        call_command("audit", "verify", "--file", str(path))
    with pytest.raises(CommandError, match="1 findings"):
        call_command("audit", "verify", "--all")


def forged(path: Path, whole: list[list[int]], rows: list[str]) -> AuditArchive:
    """Say, signed by our key, that a month with these seals was taken off into a file with these rows."""
    content = audit_files.write(path, "before", rows)
    said = {"whole": whole, "parts": {}, "label": "before", "file_name": path.name, "rows": content.rows,
            "file_sha256": content.file_sha256.hex()}  # fmt: skip
    text = json.dumps(said)
    return AuditArchive.objects.create(
        label="before", rows=content.rows, file_name=path.name, statement=text, key_id=audit_keys.name(),
        signature=audit_keys.sign(audit_files.to_sign(text)),
    )  # fmt: skip


def findings_with_files() -> str:
    err = io.StringIO()
    with pytest.raises(CommandError, match="not as it was sealed"):
        call_command("audit", "verify", "--all", stderr=err, stdout=io.StringIO())
    return err.getvalue()


@pytest.mark.django_db(transaction=True)
def test_who_has_the_key_takes_no_row_off_unnoticed(settings: Any, tmp_path: Path) -> None:
    anchors, path = tmp_path / "anchors.log", tmp_path / "audit-before.jsonl.gz"
    settings.AUDIT_ARCHIVE, settings.AUDIT_ANCHOR = tmp_path, f"file:{anchors}"
    rows = sealed(6)
    audit_anchors.anchor()
    texts = [text for (text,) in run(f"SELECT {audit_verifying.TEXT} FROM core_auditlog ORDER BY xid, id")]  # noqa: S608  # ours
    with unwatched():
        run("DELETE FROM core_auditlog WHERE id = ANY(%s)", [rows[2].pk, rows[3].pk])
    made = forged(path, [[2, 2]], [texts[2], texts[3].replace("retrieve", "list")])
    told = findings_with_files()
    assert f"lacks rows of seal 2 it is said to hold (1), the first {rows[3].pk}" in told
    assert f"holds rows that were not sealed, or not as it has them (1): {rows[3].pk}" in told
    audit_checking.check()
    assert [alert.cause for alert in Alert.objects.filter(resolved_at=None)] == ["audit broken: files"]
    audit_anchors.anchor()
    assert [(line.kind, line.file) for line in audit_lines.read(anchors)][3:] == [("archive", path.name)]
    with unwatched():
        AuditArchive.objects.all().delete()
    assert (
        f"The file {path.name} was anchored outside, and what was said of it is gone or was rewritten."
        in audit_verifying.verify().findings
    )
    assert forged(path, [[2, 2]], texts[2:4]).pk != made.pk
    AuditAnchor.objects.update(archives=[str(AuditArchive.objects.get().pk)])
    with unwatched():
        AuditArchive.objects.update(statement=made.statement.replace(" ", "  "))
        text = AuditArchive.objects.get().statement
        AuditArchive.objects.update(signature=audit_keys.sign(audit_files.to_sign(text)))
    assert (
        f"What is said of the file {path.name} is not what was anchored outside." in audit_verifying.verify().findings
    )
    path.unlink()
    assert "No such file" in findings_with_files()
