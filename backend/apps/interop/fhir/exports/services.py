"""Begins, stops and repeats bulk exports; without it the API, the console and the command line would differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from backend.apps.core.bases import uuid7
from backend.apps.core.exceptions import DomainError
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.exports import accounting
from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.models import ExportJob, ExportLevel, ExportStatus, PatientGroup, SmartClient
from backend.apps.interop.models.exports import RUNNING
from backend.apps.users.models import User

STUCK = (WorkState.HELD, WorkState.FAILED)
AT_REST = (*STUCK, WorkState.DONE)
BASE = "/fhir/R4"


class TooManyExports(DomainError):
    """Whoever asks has as many exports running as we allow; another may begin when one of them has ended."""

    status = 429
    code = "throttled"
    retry_after_s: ClassVar[int] = 30


@transaction.atomic
def begin(
    asked: Asked,
    *,
    level: ExportLevel = ExportLevel.SYSTEM,
    group: PatientGroup | None = None,
    by: User | None = None,
    client: SmartClient | None = None,
    granted: Collection[str] = (),
    request_url: str = "",
    problems: Sequence[dict[str, Any]] = (),
) -> ExportJob:
    """Put an export in line. granted: the types the asker may have; empty for all. problems: OperationOutcome issues.

    Neither `by` nor `client`: the command line asks, and may at any time.

    Raises:
        TooManyExports: of the same asker as many are running as EXPORTS_AT_ONCE allows.
    """
    _one_at_a_time(by, client)
    base = settings.PUBLIC_BASE_URL + BASE
    address = request_url or base + _address(asked, level, group)
    job: ExportJob = ExportJob.work.enqueue(
        dedupe_key=f"export:{uuid7()}",
        level=level,
        group=group,
        client=client,
        requested_by=by,
        request_url=address,
        base_url=base,
        parameters=asked.to_json(),
        granted=sorted(granted),
        problems=list(problems),
    )
    return job


def _address(asked: Asked, level: ExportLevel, group: PatientGroup | None) -> str:
    """Return the kick-off that would have asked for this, for an export that people began."""
    owner = {ExportLevel.PATIENT: "/Patient", ExportLevel.GROUP: f"/Group/{group and group.pk}"}.get(level, "")
    moments = {"_since": asked.since, "_until": asked.until}
    query = {name: moment.isoformat() for name, moment in moments.items() if moment}
    if asked.types:
        query["_type"] = ",".join(asked.types)
    return f"{owner}/$export" + (f"?{urlencode(query)}" if query else "")


def _one_at_a_time(by: User | None, client: SmartClient | None) -> None:
    """Refuse another export of an asker who has enough of them; two that come at the same moment are told apart."""
    if client is not None:
        SmartClient.objects.select_for_update(no_key=True).get(pk=client.pk)
    elif by is not None:
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
    else:
        return
    mine = Q(client=client) if client is not None else Q(requested_by=by, client=None)
    if ExportJob.objects.filter(mine, status__in=RUNNING).count() >= settings.EXPORTS_AT_ONCE:
        raise TooManyExports("Another export of yours is still running; wait until it has ended, or cancel it.")


@transaction.atomic
def cancel(job: ExportJob, *, by: User | None = None) -> ExportJob:
    """Stop an export, or give up one that has ended: its files are removed, and it is not found any more.

    Workers lose their leases with this, so that what they are at is never told of; what was told of before is accounted
    for.
    """
    there = ExportJob.objects.filter(pk=job.pk).exclude(status__in=(ExportStatus.CANCELLED, ExportStatus.EXPIRED))
    at_rest = {"work_state": WorkState.DONE, "leased_until": None, "updated_at": Now()}
    if not there.update(status=ExportStatus.CANCELLED, expires_at=Now(), **at_rest):
        raise DomainError("This export is gone already.")
    job.chunks.exclude(work_state=WorkState.DONE).update(**at_rest)
    job.refresh_from_db()
    accounting.account_told(job)
    return job


def can_go_on(job: ExportJob) -> bool:
    """Return whether it failed and all it has written is still there."""
    whole = job.files_removed_at is None and not job.files.filter(removed_at__isnull=False).exists()
    return job.status == ExportStatus.FAILED and whole


@transaction.atomic
def retry(job: ExportJob, *, by: User | None = None) -> ExportJob:
    """Let a failed export go on: what it has written stays, what failed is tried again.

    Whoever removes a file locks the export as well: either all are there, or it cannot go on.
    """
    failed = ExportJob.objects.filter(pk=job.pk, status=ExportStatus.FAILED, files_removed_at=None)
    locked = failed.select_for_update(no_key=True).first()
    status = ExportStatus.ACCEPTED if job.planned_at is None else ExportStatus.IN_PROGRESS
    if locked is None or not can_go_on(locked):
        raise DomainError("Only an export that failed, and whose files are still there, can be tried again.")
    failed.update(status=status, failure="", finished_at=None, expires_at=None, updated_at=Now())
    stuck = job.chunks.filter(Q(work_state__in=STUCK) | Q(times_written=0)).values_list("pk", flat=True)
    type(job).work.back_in_line(job.pk, at_rest=AT_REST)
    job.chunks.model.work.back_in_line(*stuck, at_rest=AT_REST)
    job.refresh_from_db()
    return job
