"""Proves that every row an export wrote is in its files, and that the files are those that were written.

What the rows say is read in one snapshot; then the files are read, a piece at a time, so memory stays flat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.files.storage import storages
from isal import igzip, isal_zlib

from backend.apps.core import row_tally
from backend.apps.core.closing import RANGE, Audit, Check, in_none, snapshot
from backend.apps.core.ledger import EXAMPLES, Account, Books, Fault, Progress
from backend.apps.interop.models import ExportFile, ExportJob, ExportStatus

IN_LINE = "in line"
PIECE = 1024 * 1024  # bytes
JOBS = ExportJob._meta.db_table
UNTOUCHED_FOR = timedelta(hours=1)  # before a file may be removed it is no longer read here

# Each export is in exactly one of these: none of them says "everything else".
STATES = {
    "completed": "m.status = 'completed' AND m.work_state = 'done'",
    "expired": "m.status = 'expired' AND m.work_state IN ('done', 'failed', 'held')",
    "failed": "m.status = 'failed' AND m.work_state IN ('failed', 'held')",
    "given up": "m.status = 'cancelled' AND m.work_state = 'done'",
    IN_LINE: "m.status IN ('accepted', 'in_progress') AND m.work_state IN ('waiting', 'running')",
}
WHOLE = "m.status IN ('completed', 'expired') AND m.work_state = 'done'"
PIECES = "(SELECT {} FROM interop_exportchunk c WHERE c.job_id = m.id)"
WRITTEN = "c.work_state = 'done' AND c.times_written > 0"
IN_FILES = "(SELECT coalesce(sum(f.count), 0) FROM interop_exportfile f WHERE f.chunk_id = c.id AND f.kind <> 'error')"
# Files of whole patients have a line more for each of them; of whom they told is forgotten with the files.
HEADERS = """CASE WHEN m.parameters ? 'organize_by' AND c.source = 'patient' AND c.kind = 'rows'
             THEN cardinality(c.patients) ELSE 0 END"""
KEPT = "m.files_removed_at IS NULL OR NOT m.parameters ? 'organize_by'"
PROBLEMS = """(SELECT coalesce(sum(f.count), 0) FROM interop_exportfile f
    WHERE f.job_id = m.id AND f.chunk_id IS NULL AND f.kind = 'error')"""
ALL_WRITTEN = f"count(*) = coalesce(max(c.number), 0) AND bool_and({WRITTEN}) IS NOT FALSE"
CHECKS = {
    "state": Check("What became of the export and what a machine did do not go together.", JOBS, in_none(STATES)),
    "pieces": Check(
        "The export ended, and a piece of it is missing or was never written.",
        JOBS,
        f"{WHOLE} AND NOT {PIECES.format(ALL_WRITTEN)}",
    ),
    "rows of the pieces": Check(
        "The rows that the export wrote are not those of its pieces.",
        JOBS,
        f"{WHOLE} AND m.rows_done <> {PIECES.format('coalesce(sum(c.rows), 0)')}",
    ),
    "rows in the files": Check(
        "The rows of a piece are not those that its files are to hold.",
        JOBS,
        f"{WHOLE} AND ({KEPT}) AND EXISTS (SELECT FROM interop_exportchunk c WHERE c.job_id = m.id "
        f"AND c.rows <> {IN_FILES} - {HEADERS})",
    ),
    "what was not honoured": Check(
        "The file of what was asked for and not honoured is missing.",
        JOBS,
        f"{WHOLE} AND {PROBLEMS} <> jsonb_array_length(m.problems)",
    ),
    "removed too early": Check(
        "A file was removed before its time, or is still there after all were.",
        JOBS,
        "(m.status = 'completed' AND EXISTS (SELECT FROM interop_exportfile f WHERE f.job_id = m.id "
        "AND f.removed_at < m.expires_at)) OR (m.status = 'expired' AND m.files_removed_at IS NULL) "
        "OR (m.files_removed_at IS NOT NULL AND EXISTS (SELECT FROM interop_exportfile f WHERE f.job_id = m.id "
        "AND f.removed_at IS NULL))",
    ),
    "accounting": Check(
        "The export ended, and nobody wrote down whose data went.",
        JOBS,
        f"{WHOLE} AND NOT EXISTS (SELECT FROM interop_disclosure d WHERE d.job_id = m.id)",
    ),
    "in line": Check(
        "An export waits for longer than it may.",
        JOBS,
        f"{STATES[IN_LINE]} AND m.due_at < now() - make_interval(secs => %(settle_s)s) "
        "AND coalesce(m.leased_until < now(), true)",
    ),
}
BY_EXPORT = f"""
    SELECT m.id::text, m.rows_done, (SELECT coalesce(sum(f.count) FILTER (WHERE f.removed_at IS NULL), 0)
               FROM interop_exportfile f WHERE f.job_id = m.id AND f.kind <> 'error'),
           (SELECT coalesce(sum(f.count) FILTER (WHERE f.removed_at IS NOT NULL), 0)
               FROM interop_exportfile f WHERE f.job_id = m.id AND f.kind <> 'error'),
           (SELECT coalesce(sum({HEADERS}), 0) FROM interop_exportchunk c WHERE c.job_id = m.id)
    FROM {JOBS} m WHERE {RANGE.format(at="m.created_at")} AND {WHOLE} AND ({KEPT})
    ORDER BY m.created_at, m.id"""  # noqa: S608  # our own names only
FILES = f"""
    SELECT f.id, f.path, f.count, f.size_bytes, f.stored_bytes, f.sha256
    FROM interop_exportfile f JOIN {JOBS} m ON m.id = f.job_id
    WHERE {RANGE.format(at="m.created_at")} AND m.status = 'completed' AND f.removed_at IS NULL
      AND m.expires_at > now() + %(untouched_for)s ORDER BY f.job_id, f.id"""  # noqa: S608  # our own names only
GONE, ALTERED = "file is gone", "bytes of a file"
SENTENCES = {
    GONE: "A file of an export is not where it was put.",
    ALTERED: "The bytes of a file are not those that were written.",
}


class Kept(NamedTuple):
    """A file as its row tells of it."""

    pk: Any
    path: str
    lines: int
    size_bytes: int
    stored_bytes: int
    sha256: str


def exports(
    since: datetime | None, until: datetime | None, *, settle: timedelta, progress: Progress | None = None
) -> Books:
    """Return the books of exports begun from `since` until before `until`; None: from the first, to the last.

    settle: how long an export may be in line, and nobody at it, before that is a fault.
    """
    with snapshot() as cursor:
        audit = Audit(cursor, since, until, settle)
        for name, check in CHECKS.items():
            audit.check(name, check)
        written, unwritten = row_tally.compare(cursor, [JOBS], since, until)
        accounts = [*_by_state(audit), *_by_export(audit), *written]
        files = [Kept(*row) for row in audit.rows(FILES, untouched_for=UNTOUCHED_FOR)]
        waiting = audit.rows(f"SELECT min(m.due_at) FROM {JOBS} m WHERE {STATES[IN_LINE]} AND m.due_at < now()")  # noqa: S608  # ours
    faults = [*audit.faults, *unwritten, *_look_into(files, progress)]
    return Books("exports", since, until, accounts, faults, waiting[0][0])


def _by_state(audit: Audit) -> Iterator[Account]:
    for name, counts in audit.counted(JOBS, "'all exports'", STATES).items():
        ends = {state: counts[state] for state in STATES if state != IN_LINE}
        yield Account(name, counts.total(), ends, counts[IN_LINE])


def _by_export(audit: Audit) -> Iterator[Account]:
    """Return of each whole export how many rows it wrote, and where they are."""
    for pk, rows, kept, removed, headers in audit.rows(BY_EXPORT):
        ends = (
            {"in files": kept - headers, "removed": removed} if kept else {"in files": 0, "removed": removed - headers}
        )
        yield Account(f"export {pk[-12:]}", rows, ends)


def _look_into(files: list[Kept], progress: Progress | None) -> Iterator[Fault]:
    """Compare the bytes that are stored with what was noted when they were written."""
    wrong: dict[str, list[str]] = {}
    for done, file in enumerate(files):
        if progress:
            progress(done, len(files))
        if found := fault_of(file):
            wrong.setdefault(found, []).append(str(file.pk))
    for name, keys in wrong.items():
        yield Fault(name, SENTENCES[name], len(keys), tuple(keys[:EXAMPLES]))


def fault_of(file: Kept) -> str:
    """Return what is wrong with a stored file; "" where nothing is, or it was removed by rule meanwhile."""
    try:
        found = "" if _told(file) == (file.lines, file.size_bytes, file.stored_bytes, file.sha256) else ALTERED
    except FileNotFoundError:
        found = GONE
    except (igzip.BadGzipFile, EOFError, isal_zlib.error):  # type: ignore[misc]  # its stubs hide what it is
        found = ALTERED
    return found if found and _is_to_be_there(file) else ""


def _told(file: Kept) -> tuple[int, int, int, str]:
    """Return how many lines and bytes a stored file has, as what, and its hash."""
    storage, lines, size, digest = storages["exports"], 0, 0, hashlib.sha256()
    with storage.open(file.path, "rb") as stored, igzip.open(stored, "rb") as inflated:
        while piece := inflated.read(PIECE):
            lines, size = lines + piece.count(b"\n"), size + len(piece)
            digest.update(piece)
    return lines, size, storage.size(file.path), digest.hexdigest()


def _is_to_be_there(file: Kept) -> bool:
    there = ExportFile.objects.filter(pk=file.pk, removed_at=None, job__status=ExportStatus.COMPLETED)
    return there.exists()
