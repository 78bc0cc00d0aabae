"""Tampers with exports and their files behind the database's back; each trick must be found, and honest books agree."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core.ledger import Books
from backend.apps.interop import export_reconcile
from backend.apps.interop.fhir.exports import expiry, services
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportFile, ExportJob
from backend.apps.patients.tests.factories import make_patient
from tests.workers import exporting
from tests.workers.exporting import carried_out

folder = exporting.folder
MINUTES = timedelta(minutes=5)
TRICKS = (  # what an intruder or a bad restore does, the check that finds it
    ("UPDATE interop_exportjob SET status = 'failed'", "state"),
    ("UPDATE interop_exportjob SET status = 'expired'", "removed too early"),
    ("UPDATE interop_exportjob SET rows_done = rows_done + 1", "rows of the pieces"),
    ("UPDATE interop_exportchunk SET rows = rows + 1", "rows in the files"),
    ("UPDATE interop_exportfile SET count = count + 1", "rows in the files"),
    ("UPDATE interop_exportfile SET sha256 = repeat('0', 64)", "bytes of a file"),
    ("UPDATE interop_exportfile SET removed_at = now()", "removed too early"),
    ("DELETE FROM interop_exportfile", "rows in the files"),
    ("DELETE FROM interop_exportfile; DELETE FROM interop_exportchunk", "rows of the pieces"),
    ("UPDATE interop_exportchunk SET work_state = 'waiting'", "pieces"),
    ("DELETE FROM interop_disclosedpatient; DELETE FROM interop_disclosure", "accounting"),
    ("""UPDATE interop_exportjob SET problems = '[{"code": "processing"}]'""", "what was not honoured"),
)


def books() -> Books:
    return export_reconcile.exports(None, None, settle=MINUTES)


def faults() -> dict[str, int]:
    return {fault.check: fault.count for fault in books().faults}


@contextmanager
def undone() -> Iterator[Any]:
    """Yield a cursor whose changes are taken back."""
    with transaction.atomic(), connection.cursor() as cursor:
        yield cursor
        transaction.set_rollback(True)


def found_of(trick: str) -> dict[str, int]:
    with undone() as cursor:
        cursor.execute(trick)
        return faults()


@pytest.mark.django_db(transaction=True)
def test_the_rows_of_an_export_are_in_its_files_until_they_are_removed_by_rule(folder: Path, rung: list[str]) -> None:
    for _ in range(3):
        make_patient()
    plain = carried_out(Asked(types=("Patient",)))
    organized = carried_out(Asked(types=("Patient",), organize_by="Patient"))
    services.begin(Asked())
    found = books()
    assert found.agree, found.faults
    counted = {each.name: (each.taken_in, each.outcomes, each.in_line) for each in found.accounts}
    ends = {"completed": 2, "expired": 0, "failed": 0, "given up": 0}
    assert counted["all exports"] == (3, ends, 1)
    assert counted["exports written"] == (3, {"on file": 3}, 0)
    for job in (plain, organized):
        assert counted[f"export {str(job.pk)[-12:]}"] == (3, {"in files": 3, "removed": 0}, 0)
    tricks = {trick: check if check in (told := found_of(trick)) else told for trick, check in TRICKS}
    assert tricks == dict(TRICKS)
    with undone() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM interop_exportjob WHERE id = %s", [plain.pk])
        assert faults()["exports: gone"] == 1
    (file,) = (folder / one for one in plain.files.values_list("path", flat=True))
    kept = file.read_bytes()
    for altered in (gzip.compress(b"{}\n"), kept[:-9], b"not packed"):
        file.write_bytes(altered)
        (fault,) = books().faults
        assert (fault.check, fault.examples) == ("bytes of a file", (str(plain.files.get().pk),))
    file.unlink()
    assert faults() == {"file is gone": 1}
    file.write_bytes(kept)
    past = timezone.now() - timedelta(hours=2)
    ExportJob.objects.filter(status="completed").update(expires_at=past, finished_at=past)
    assert expiry.expire_due() == ExportFile.objects.count() >= 2
    found = books()
    assert found.agree, found.faults
    (gone,) = (each for each in found.accounts if each.name == f"export {str(plain.pk)[-12:]}")
    assert gone.outcomes == {"in files": 0, "removed": 3}


@pytest.mark.django_db
def test_an_export_that_waits_too_long_is_a_fault() -> None:
    job = services.begin(Asked())
    assert faults() == {}
    ExportJob.objects.filter(pk=job.pk).update(due_at=timezone.now() - timedelta(hours=1))
    assert faults() == {"in line": 1}
    assert books().waiting_since is not None
