"""The pages of bulk exports: who took which data, how far it is, and the files; else only systems could export."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from backend.apps.core import audit
from backend.apps.core.exceptions import DomainError
from backend.apps.core.permissions import may
from backend.apps.interop import console, paging
from backend.apps.interop.fhir.exports import manifest, services
from backend.apps.interop.fhir.exports.asked import Asked, fault_of
from backend.apps.interop.fhir.exports.selection import goes_with_members
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.models import ExportJob, ExportLevel, ExportStatus, PatientGroup
from backend.apps.interop.models.exports import RUNNING
from backend.apps.interop.permissions import EXPORT

POST = ("POST",)
MOST_FILES = 200  # that a page shows
MOST_GROUPS = 500
WORDS = {
    ExportStatus.ACCEPTED: ("wait", "in line"),
    ExportStatus.IN_PROGRESS: ("wait", "running"),
    ExportStatus.COMPLETED: ("good", "finished"),
    ExportStatus.FAILED: ("bad", "failed"),
    ExportStatus.CANCELLED: ("", "given up"),
    ExportStatus.EXPIRED: ("", "files removed"),
}

LEVELS = {ExportLevel.SYSTEM: "everything", ExportLevel.PATIENT: "all patients", ExportLevel.GROUP: "a group"}


def visible(request: HttpRequest) -> QuerySet[ExportJob]:
    return ExportJob.objects.visible_to(request.user).select_related("client", "requested_by", "group")


def described(job: ExportJob) -> dict[str, Any]:
    """Return what the templates tell of one export."""
    tone, state = WORDS[ExportStatus(job.status)]
    asked = Asked.from_json(job.parameters)
    by = job.requested_by
    return {
        "row": job,
        "tone": tone,
        "state": state,
        "running": job.status in RUNNING,
        "progress": manifest.progress(job),
        "asked": asked,
        "whom": job.client.name if job.client else (by.full_name or by.email) if by else "the command line",
        "of": f"the group {job.group.name}" if job.group else LEVELS[ExportLevel(job.level)],
    }


@console.page(EXPORT, "list")
def listing(request: HttpRequest) -> HttpResponse:
    """Show the exports, newest first, and the form for a new one."""
    page = paging.newest_first(visible(request), request.GET, "created_at")
    audit.record(request, "console.list", "exportjob", detail={"count": len(page.rows)})
    rows = [described(job) for job in page.rows]
    context = {
        "title": "Exports",
        "page": page,
        "rows": rows,
        "running": any(each["running"] for each in rows),
        "types": sorted(SOURCES),
        "groups": PatientGroup.objects.filter(is_active=True).order_by("name", "id")[:MOST_GROUPS],
        "create": may(request.user, "create", EXPORT),
    }
    return console.render(request, "interop/exports/list.html", context)


@console.page(EXPORT, "retrieve")
def export(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show one export: how far it is, why it failed, its files and what can be done."""
    job = get_object_or_404(visible(request), pk=pk)
    files = job.files.filter(removed_at=None)
    console.note(request, "retrieve", job)
    is_open = _is_open(job)
    listed = files.order_by("chunk__number", "part", "id") if is_open else files.none()
    part = paging.in_order(listed, request.GET, size=MOST_FILES)
    is_kept = job.status in {*RUNNING, ExportStatus.COMPLETED, ExportStatus.FAILED}
    context = {
        **described(job),
        "title": f"Export of {timezone.localtime(job.created_at):%-d %b %Y %H:%M}",
        "is_open": is_open,
        "part": part,
        "files": part.rows,
        "totals": files.aggregate(files=Count("pk"), rows=Sum("count"), stored=Sum("stored_bytes")),
        "cancel": is_kept and may(request.user, "cancel", EXPORT),
        "retry": services.can_go_on(job) and may(request.user, "retry", EXPORT),
        "download": may(request.user, "download", EXPORT),
    }
    return console.render(request, "interop/exports/export.html", context)


def _is_open(job: ExportJob) -> bool:
    """Return whether the files may be fetched."""
    return job.status == ExportStatus.COMPLETED and bool(job.expires_at and job.expires_at > timezone.now())


@console.page(EXPORT, "create", methods=POST)
def begin(request: HttpRequest) -> HttpResponse:
    def act() -> tuple[str, str]:
        level, group = _level(request)
        asked = Asked(types=_types(request), since=_since(request))
        if "Group" in asked.types and not goes_with_members(level, ()):
            raise DomainError("A Group names all its members: choose everything, or the group itself.")
        job = services.begin(asked, level=level, group=group, by=console.person(request))
        console.note(request, "create", job)
        return "The export is in line.", reverse("console:export", args=[job.pk])

    return console.attempt(request, "create", "exportjob", act, back=reverse("console:exports"))


def _level(request: HttpRequest) -> tuple[ExportLevel, PatientGroup | None]:
    text = request.POST.get("level", "")
    if text in {ExportLevel.SYSTEM, ExportLevel.PATIENT}:
        return ExportLevel(text), None
    try:
        group = PatientGroup.objects.filter(pk=UUID(request.POST.get("group", "")), is_active=True).first()
    except ValueError:
        group = None
    if text != ExportLevel.GROUP or group is None:
        raise DomainError("Choose what to export: everything, all patients, or one of the groups.")
    return ExportLevel.GROUP, group


def _types(request: HttpRequest) -> tuple[str, ...]:
    """Return the types that were ticked; none is all."""
    ticked = request.POST.getlist("type")
    if not set(ticked) <= set(SOURCES):
        raise DomainError("Choose from the kinds of data that are listed.")
    return tuple(dict.fromkeys(ticked))


def _since(request: HttpRequest) -> datetime | None:
    """Return the beginning of the day that was given, by the clinic's clock."""
    text = request.POST.get("since", "")
    if not text:
        return None
    try:
        moment = timezone.make_aware(datetime.combine(date.fromisoformat(text), time.min))
    except (ValueError, OverflowError) as error:
        raise DomainError("Give the day as in 2026-01-31.") from error
    if fault := fault_of(moment, now=timezone.now()):
        raise DomainError(fault)
    return moment


@console.page(EXPORT, "cancel", methods=POST)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop an export, or delete the files of one that has ended."""
    job = get_object_or_404(visible(request), pk=pk)

    def act() -> str:
        services.cancel(job, by=console.person(request))
        console.note(request, "cancel", job)
        return "Given up. Its files can no longer be fetched, and are deleted within the hour."

    return console.attempt(request, "cancel", "exportjob", act, back=reverse("console:export", args=[pk]))


@console.page(EXPORT, "retry", methods=POST)
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = get_object_or_404(visible(request), pk=pk)

    def act() -> str:
        services.retry(job, by=console.person(request))
        console.note(request, "retry", job)
        return "In line again. What was written stays."

    return console.attempt(request, "retry", "exportjob", act, back=reverse("console:export", args=[pk]))
