"""Removes the files of exports that nobody needs any more, and never one that is being read."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from backend.apps.interop.fhir.exports import accounting
from backend.apps.interop.models import ExportFile, ExportJob, ExportStatus
from backend.apps.interop.models.exports import RUNNING

log = logging.getLogger(__name__)

TROUBLE = (OSError, BotoCoreError, ClientError)  # what a storage may raise
NOT_READ = Q(read_until__isnull=True) | Q(read_until__lt=Now())
AT_ONCE = 500  # files in one go, and exports
SETTLED = timedelta(minutes=5)  # after which no worker is at an export that was stopped


def expire_due() -> int:
    """Remove the files of exports that are past their time or were given up; return how many files went.

    Safe to run twice, and beside itself: a file is locked while it is removed, and removing one that is gone is no
    error. An export is done with when its last file is gone.
    """
    gone, tried = 0, list[Any]()
    while due := _due(tried):
        gone += sum(map(_removed, due))
        tried += [file.pk for file in due]
    _close()
    return gone


def _past() -> Q:
    """Exports whose files are to go. One that was stopped still writes what it is at; those files go the next time."""
    kept_until = Now() - timedelta(days=settings.EXPORT_DAYS)
    failed = Q(status=ExportStatus.FAILED, finished_at__lt=kept_until)
    return Q(expires_at__lt=Now()) & ~Q(status__in=RUNNING) | Q(status=ExportStatus.CANCELLED) | failed


def _due(tried: Collection[Any]) -> list[ExportFile]:
    jobs = ExportJob.all_objects.filter(_past(), files_removed_at=None)
    left = ExportFile.objects.filter(NOT_READ, job__in=jobs, removed_at=None).exclude(pk__in=tried)
    return list(left.order_by("job", "id")[:AT_ONCE])


def _removed(file: ExportFile) -> int:
    """Remove one file; where its storage refuses, the others go all the same and this one the next time."""
    try:
        return _remove(file)
    except TROUBLE as trouble:
        log.warning("export file %s could not be removed: %s", file.pk, type(trouble).__name__)
        return 0


def _remove(file: ExportFile) -> int:
    """Remove one file unless somebody began to read it meanwhile, or removes it or has the export go on right now."""
    with transaction.atomic():
        if _locked(file.job_id) is None:
            return 0
        mine = ExportFile.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            NOT_READ, pk=file.pk, removed_at=None
        )
        if not mine.exists():
            return 0
        storages["exports"].delete(file.path)
        return mine.update(removed_at=Now())


def _locked(job: UUID) -> ExportJob | None:
    """Return an export as it stays until the transaction ends; None if its files are not to go, or somebody has it."""
    there = ExportJob.all_objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
    return there.filter(_past(), pk=job, files_removed_at=None).first()


def _close() -> None:
    """Mark exports that have no file left as done with, and remove what killed workers left of them."""
    left = ExportFile.objects.filter(job=OuterRef("pk"), removed_at=None)
    settled = Q(ended_at__lt=Now() - SETTLED)
    done = ExportJob.all_objects.filter(_past(), ~Exists(left), files_removed_at=None)
    for job in done.annotate(ended_at=Coalesce("expires_at", "finished_at")).filter(settled)[:AT_ONCE]:
        try:
            _done_with(job.pk)
        except TROUBLE as trouble:
            log.warning("the folder of export %s could not be removed: %s", job.pk, type(trouble).__name__)


@transaction.atomic
def _done_with(pk: UUID) -> None:
    """Let go of an export but for its accounting, which is all that says of whom its files told from here on."""
    job = _locked(pk)
    if job is None:
        return
    _sweep(str(job.pk))
    if job.status != ExportStatus.COMPLETED:  # then it was when it ended
        accounting.account_told(job)
    job.chunks.exclude(patients=[]).update(patients=[])
    status = job.status if job.status == ExportStatus.CANCELLED else ExportStatus.EXPIRED
    ExportJob.all_objects.filter(pk=job.pk).update(status=status, files_removed_at=Now(), updated_at=Now())


def _sweep(folder: str) -> None:
    storage = storages["exports"]
    try:
        names = storage.listdir(folder)[1]
    except FileNotFoundError:
        return
    for name in names:
        storage.delete(f"{folder}/{name}")
    storage.delete(folder)
