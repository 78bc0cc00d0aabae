"""Tells how far an export is and where its files are; without it nobody could fetch what was exported.

Source: Bulk Data Access 2.0.0 and 3.0.0, "Bulk Data Status Request".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Min, QuerySet
from django.db.models.functions import Now

from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportFile, ExportJob, ExportStatus

SECTIONS = {
    ExportFile.Kind.OUTPUT: "output",
    ExportFile.Kind.DELETED: "deleted",
    ExportFile.Kind.ERROR: "error",
}
SOONEST_S, LATEST_S = 1, 30
PAGE = "page"  # of a manifest: the number of the first chunk it tells about


def status_url(job: ExportJob) -> str:
    return f"{job.base_url}/exports/{job.pk}"


def file_url(job: ExportJob, file: ExportFile) -> str:
    return f"{job.base_url}/exports/files/{file.pk}"


@transaction.atomic
def manifest(job: ExportJob, first: int = 0) -> dict[str, Any] | None:
    """Return the manifest, or its page from chunk number `first` on; None while there is nothing to tell.

    The job is locked while a page is made, so that no worker puts back at that moment what it tells of.
    """
    asked = Asked.from_json(job.parameters)
    if asked.allow_partial:
        return _page(ExportJob.all_objects.select_for_update(no_key=True).get(pk=job.pk), asked, first)
    return _told(job, asked, job.files.all()) if job.status == ExportStatus.COMPLETED else None


def _page(job: ExportJob, asked: Asked, first: int) -> dict[str, Any] | None:
    """Return a page of a manifest that is told in parts. What a page has told once it tells for ever.

    It ends with the first chunk that has files, as soon as that one and all before it are done. The last page has the
    files of no chunk, and no link.
    """
    full = job.files.filter(chunk__number__gte=first).aggregate(first=Min("chunk__number"))["first"]
    unfinished = job.chunks.filter(number__gte=first).exclude(work_state=WorkState.DONE)
    awaited = unfinished.aggregate(first=Min("number"))["first"]
    if full is None:
        ended = job.status == ExportStatus.COMPLETED
        return _told(job, asked, job.files.filter(chunk=None)) if ended else None
    if awaited is not None and awaited < full:
        return None
    here = job.files.filter(chunk__number=full)
    told = _told(job, asked, here)
    here.filter(read_until=None).update(read_until=Now())
    return {**told, "link": [{"relation": "next", "url": f"{status_url(job)}?{PAGE}={full + 1}"}]}


def _told(job: ExportJob, asked: Asked, files: QuerySet[ExportFile]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "transactionTime": instant(job.transaction_time) if job.transaction_time else "",
        "request": job.request_url,
        "requiresAccessToken": True,
        **({"outputOrganizedBy": asked.organize_by} if asked.organize_by else {}),
        **{section: [] for section in SECTIONS.values()},
    }
    for file in files.filter(removed_at=None).order_by(F("chunk__number").asc(nulls_last=True), "part", "id"):
        told[SECTIONS[ExportFile.Kind(file.kind)]].append(_item(job, file))
    return told


def _item(job: ExportJob, file: ExportFile) -> dict[str, Any]:
    return {
        **({"type": file.resource_type} if file.resource_type else {}),  # none where files hold several
        "url": file_url(job, file),
        "count": file.count,
        "extension": {"sha256": file.sha256, "sizeBytes": file.size_bytes},
    }


def progress(job: ExportJob) -> str:
    """Return how far a running export is, in less than 100 characters."""
    if job.planned_at is None:
        return "waiting in line" if job.transaction_time is None else "counting the resources"
    if not job.rows_total:
        return "writing the manifest"
    percent = min(99, 100 * job.rows_done // job.rows_total)
    return f"{percent} % of about {job.rows_total:,} resources"


def wait_s(job: ExportJob, now: datetime) -> int:
    """Return after how many seconds it is worth to ask again: a half of what is left, as far as that can be told."""
    if job.planned_at is None or not job.rows_done:
        return 2
    spent = (now - job.planned_at).total_seconds()
    left = spent * max(job.rows_total - job.rows_done, 0) / job.rows_done
    return max(SOONEST_S, min(LATEST_S, round(left / 2)))


def instant(moment: datetime) -> str:
    """Return the moment as a FHIR instant, to the millisecond; what is cut off makes it earlier, never later."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def types_exported(job: ExportJob, known: Iterable[str]) -> set[str]:
    """Return the types this export may hold."""
    asked = Asked.from_json(job.parameters)
    return {name for name in job.granted or known if asked.wants(name)}
