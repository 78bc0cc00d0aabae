"""Exports into a folder on the spot; without it an operator would need a client, a key and a token to get a file."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import django
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from django.core.files.storage import storages  # noqa: E402  # after django.setup()
from django.db import DatabaseError, connection  # noqa: E402  # after django.setup()
from django.db.models.functions import Now  # noqa: E402  # after django.setup()

from backend.apps.core import audit  # noqa: E402  # models load only after django.setup()
from backend.apps.interop.fhir.exports import expiry, services  # noqa: E402  # models load only after django.setup()
from backend.apps.interop.fhir.exports.asked import Asked, fault_of  # noqa: E402  # models load only after setup()
from backend.apps.interop.fhir.exports.downloads import ORGANIZED  # noqa: E402  # models load only after django.setup()
from backend.apps.interop.fhir.exports.expiry import TROUBLE  # noqa: E402  # models load only after django.setup()
from backend.apps.interop.fhir.exports.manifest import SECTIONS, instant  # noqa: E402  # models load after setup()
from backend.apps.interop.fhir.sources import SOURCES  # noqa: E402  # models load only after django.setup()
from backend.apps.interop.models import ExportFile, ExportJob, ExportStatus  # noqa: E402  # models load after setup()
from backend.apps.interop.models.exports import RUNNING  # noqa: E402  # models load only after django.setup()
from workers import fhir_export  # noqa: E402  # models load only after django.setup()
from workers.fhir.hands import NOTHING  # noqa: E402  # models load only after django.setup()
from workers.runner import HandlerBug, drain  # noqa: E402  # models load only after django.setup()

LOOK_S, SAY_EVERY_S = 0.2, 5.0  # between two looks at the progress; between two lines where there is no terminal
BLOCK = 1024 * 1024


def main(words: Sequence[str]) -> int:
    """Export into a folder that is not there yet; 0 when all is written."""
    parser = argparse.ArgumentParser(prog="carerelay export")
    parser.add_argument("target", type=Path)
    parser.add_argument("--type", action="append", default=[], type=_type)
    parser.add_argument("--since", type=_moment)
    options = parser.parse_args(words)
    job = services.begin(Asked(types=tuple(options.type), since=options.since))
    audit.record(None, "export", "exportjob", str(job.pk), detail={"by": "command line"})
    try:
        carry_out(job)
        if job.status != ExportStatus.COMPLETED:
            stopped = job.status == ExportStatus.CANCELLED
            return _refused("The export was stopped." if stopped else f"The export failed. {job.failure}")
        told = write(job, options.target)
    except (Broken, DatabaseError, *TROUBLE) as trouble:
        return _refused(f"The export broke off: {_said(trouble)}.")
    finally:
        with contextlib.suppress(DatabaseError):  # then the sweep removes them, in time
            _let_go(job)
    sys.stdout.write(f"{told} in {options.target}.\n")
    return 0


class Broken(Exception):
    """The command cannot go on, for a reason that is no fault of the export."""


def _refused(sentence: str) -> int:
    sys.stderr.write(f"carerelay: {sentence}\n")
    return 1


def _said(trouble: Exception) -> str:
    """Return what went wrong without what a database may tell of a row."""
    if isinstance(trouble, OSError) and trouble.strerror:
        return trouble.strerror
    return str(trouble) if isinstance(trouble, Broken | OSError) else type(trouble).__name__


def carry_out(job: ExportJob) -> None:
    """Work on the export, beside whatever workers there are, until it has ended; tell how far it is.

    Raises:
        Broken: we cannot work on it.
    """
    ended, broken = threading.Event(), list[Exception]()
    hand = threading.Thread(target=_work, args=(job.pk, ended, broken), daemon=True)
    hand.start()
    try:
        with Teller() as teller:
            while job.status in RUNNING and not broken:
                time.sleep(LOOK_S)
                job.refresh_from_db()
                teller.so_far(job.rows_done, job.rows_total)
    finally:
        ended.set()
    hand.join()
    if broken and job.status in RUNNING:
        raise Broken(_said(broken[0]))


def _work(job: UUID, ended: threading.Event, broken: list[Exception]) -> None:
    """Lead this export, and no other; what ends the work is put into `broken`."""
    try:
        while not ended.is_set():
            try:
                done = drain(ExportJob, fhir_export.run, batch=1, only=f"id = '{job}'")
            except HandlerBug:  # told in the log; it is tried again
                done = NOTHING
            if done == NOTHING:
                ended.wait(LOOK_S)
    except (DatabaseError, *TROUBLE) as trouble:
        broken.append(trouble)
    finally:
        connection.close()


def write(job: ExportJob, target: Path) -> str:
    """Write the files and the manifest beside `target`, then give the folder its name; return what is in it."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))  # for us alone: patients' data
    try:
        manifest = _manifest(job, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        folder.replace(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    items = manifest["output"]
    count, types = sum(item["count"] for item in items), len({item["type"] for item in items})
    return f"{count:,} {'resource' if count == 1 else 'resources'} of {types} {'type' if types == 1 else 'types'}"


def _manifest(job: ExportJob, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {
        "transactionTime": instant(job.transaction_time) if job.transaction_time else "",
        "request": job.request_url,
        "requiresAccessToken": False,
        **{section: [] for section in SECTIONS.values()},
    }
    numbers = Counter[str]()
    for file in job.files.order_by("chunk__number", "part"):
        kind = (file.resource_type or ORGANIZED) if file.kind == ExportFile.Kind.OUTPUT else str(file.kind)
        numbers[kind] += 1
        name = f"{kind}.{numbers[kind]}.ndjson"
        _inflate(file, folder / name)
        item = {"type": file.resource_type, "url": name, "count": file.count}
        told[SECTIONS[ExportFile.Kind(file.kind)]].append(
            {**item, "extension": {"sha256": file.sha256, "sizeBytes": file.size_bytes}}
        )
    return told


def _inflate(file: ExportFile, target: Path) -> None:
    found = hashlib.sha256()
    with storages["exports"].open(file.path) as stored, gzip.open(stored) as lines, target.open("xb") as out:
        while block := lines.read(BLOCK):
            found.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if found.hexdigest() != file.sha256:
        raise OSError(f"a file of this export is damaged: {file.path}")


def _let_go(job: ExportJob) -> None:
    """Remove what the export left in our own storage, or stop it.

    Where it did not complete another worker may be at a file still: its folder is left to the sweep some minutes later.
    """
    if ExportJob.objects.filter(pk=job.pk, status__in=RUNNING).exists():
        services.cancel(job)
    ours = ExportJob.objects.filter(pk=job.pk)
    ours.filter(status=ExportStatus.COMPLETED).update(expires_at=Now() - 2 * expiry.SETTLED)
    ours.filter(status=ExportStatus.FAILED).update(expires_at=Now())
    expiry.expire_due()


class Teller:
    """A progress bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, disable=not sys.stdout.isatty())
        self._task = self._bar.add_task("exporting", total=None)
        self._said_at = time.monotonic()

    def __enter__(self) -> Teller:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def so_far(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total or None)
        if not sys.stdout.isatty() and time.monotonic() - self._said_at > SAY_EVERY_S:
            self._said_at = time.monotonic()
            sys.stdout.write(f"{done:,} of about {total:,} resources so far\n")
            sys.stdout.flush()


def _type(name: str) -> str:
    if name not in SOURCES:
        raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(sorted(SOURCES))}")
    return name


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a day or an ISO 8601 time stamp") from None
    moment = found if found.tzinfo else found.replace(tzinfo=UTC)
    if fault := fault_of(moment, now=datetime.now(UTC)):
        raise argparse.ArgumentTypeError(fault)
    return moment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
