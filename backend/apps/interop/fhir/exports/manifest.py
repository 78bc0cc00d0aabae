"""Tells how far an export is and where its files are; without it nobody could fetch what was exported.

Source: Bulk Data Access 2.0.0 and 3.0.0, "Bulk Data Status Request".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import F, Min, Q, QuerySet

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


def manifest(job: ExportJob, first: int = 0) -> dict[str, Any] | None:
    """Return the manifest from chunk number `first` on; None while there is nothing to tell.

    Of a running export that may be told in parts, a page holds the files of the chunks that are done up to the first
    that is not: what a page has told it tells again. The last page has no link to a next one.
    """
    end = _first_unfinished(job)
    if end is not None and (not Asked.from_json(job.parameters).allow_partial or end <= first):
        return None
    told: dict[str, Any] = {
        "transactionTime": instant(job.transaction_time) if job.transaction_time else "",
        "request": job.request_url,
        "requiresAccessToken": True,
        "output": [],
        "deleted": [],
        "error": [],
    }
    for file in _files(job, first, end):
        told[SECTIONS[ExportFile.Kind(file.kind)]].append(_item(job, file))
    if end is not None:
        if not told["output"]:
            return None
        told["link"] = [{"relation": "next", "url": f"{status_url(job)}?{PAGE}={end}"}]
    return told


def _first_unfinished(job: ExportJob) -> int | None:
    """Return the number of the first chunk that is not done; None when the export is complete."""
    if job.status == ExportStatus.COMPLETED:
        return None
    if job.planned_at is None:
        return 0
    open_ = job.chunks.exclude(work_state=WorkState.DONE).aggregate(first=Min("number"))["first"]
    if open_ is not None:
        return int(open_)
    last = job.chunks.order_by("-number").values_list("number", flat=True).first()
    return 0 if last is None else last + 1


def _files(job: ExportJob, first: int, end: int | None) -> QuerySet[ExportFile]:
    """Return the files of the chunks first <= number < end; those of no chunk come with the last page."""
    within = Q(chunk__number__gte=first)
    within = within | Q(chunk=None) if end is None else within & Q(chunk__number__lt=end)
    return job.files.filter(within, removed_at=None).order_by(F("chunk__number").asc(nulls_last=True), "part", "id")


def _item(job: ExportJob, file: ExportFile) -> dict[str, Any]:
    return {
        "type": file.resource_type,
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
