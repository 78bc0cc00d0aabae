"""The addresses of bulk export: begin, watch, give up, fetch; without them it could be asked for by nobody."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.http import http_date
from rest_framework.request import Request

from backend.apps.core.permissions import may
from backend.apps.core.work import WorkState
from backend.apps.interop.fhir.door import FhirView
from backend.apps.interop.fhir.exports import downloads, parameters, services
from backend.apps.interop.fhir.exports import manifest as manifests
from backend.apps.interop.fhir.exports.asked import Asked, Parameters
from backend.apps.interop.fhir.outcomes import MEDIA_TYPE, BadSearch, Forbidden, NotFound, Refusal, answer
from backend.apps.interop.fhir.search.query import filtered
from backend.apps.interop.fhir.smart.authentication import client_of
from backend.apps.interop.fhir.smart.scopes import READ, allowed, granted_types
from backend.apps.interop.fhir.source import by_uuid
from backend.apps.interop.fhir.sources import SOURCES
from backend.apps.interop.models import ExportFile, ExportJob, ExportLevel, ExportStatus, PatientGroup
from backend.apps.interop.permissions import EXPORT
from backend.apps.patients.models import Patient
from backend.apps.users.authentication import caller
from integrations.fhir.outcomes import Issue, issue

MOST_POLLS_EVERY_S = 1
FAILED_WORK = (WorkState.FAILED, WorkState.HELD)


class ExportView(FhirView):
    """What every address of exports does: people need the role for `action`, systems see their own exports."""

    action: ClassVar[str]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not may(request.user, self.action, EXPORT):
            raise Forbidden

    def resource_type(self) -> str:
        return "exportjob"

    def job(self, pk: UUID | str) -> ExportJob:
        """Return an export of the caller, who must be allowed all the types it may hold."""
        client = client_of(self.request.user)
        mine = ExportJob.objects.filter(pk=pk).exclude(status=ExportStatus.CANCELLED)
        job = (mine.filter(client=client) if client else mine).first()
        if job is None:
            raise NotFound("There is no such export, or it is not yours to see.")
        if not all(allowed(self.request.user, name, READ) for name in manifests.types_exported(job, SOURCES)):
            raise Forbidden("The access token does not cover all that is exported.")
        if job.status == ExportStatus.EXPIRED or (job.expires_at is not None and job.expires_at < timezone.now()):
            raise Refusal("This export has expired; its files are no longer kept.", status=410)
        return job


class KickOff(ExportView):
    """Begin an export of the level; `fhir_id` in the address names the group."""

    action = "create"
    verb = "export"
    http_method_names = ["get", "post"]  # a HEAD would begin an export
    level: ExportLevel = ExportLevel.SYSTEM

    def get(self, request: Request, **kwargs: Any) -> HttpResponse:
        return self._begin(request, _given(request))

    def post(self, request: Request, **kwargs: Any) -> HttpResponse:
        return self._begin(request, _given(request) + (parameters.pairs_of(request.data) if request.data else []))

    def _begin(self, request: Request, pairs: Parameters) -> HttpResponse:
        wanted = preferences(request)
        if "respond-async" not in wanted:
            raise Refusal("An export runs by itself: send the header Prefer: respond-async.", code="required")
        group = self._group()
        asked, dropped = parameters.read(pairs, self._terms(request, wanted))
        _known(asked, group)
        asked = replace(asked, separate_status="separate-export-status" in wanted)
        job = self._job(request, asked, group, dropped)
        self.note(str(job.pk), level=str(self.level), parameters=sorted({name[:40] for name, _ in pairs}))
        told = issue("informational", "The export is in line.", severity="information")
        headers = {"Content-Location": manifests.status_url(job)}
        if asked.separate_status:
            headers["Preference-Applied"] = "respond-async, separate-export-status"
        return answer([told], 202, headers)

    def _terms(self, request: Request, wanted: frozenset[str]) -> parameters.Terms:
        granted = granted_types(request.user)
        if granted is not None and not granted & set(SOURCES):
            raise Forbidden("The access token covers no resource type that can be exported.")
        return parameters.Terms(
            known=frozenset(SOURCES),
            granted=granted,
            level=self.level,
            posted=request.method == "POST",
            lenient="handling=lenient" in wanted,
            now=timezone.now(),
            judge=judge,
        )

    def _group(self) -> PatientGroup | None:
        if self.level != ExportLevel.GROUP:
            return None
        found = by_uuid(self.kwargs["fhir_id"])
        group = PatientGroup.objects.filter(found, is_active=True).first() if found else None
        if group is None:
            raise NotFound("There is no such group.")
        return group

    def _job(self, request: Request, asked: Asked, group: PatientGroup | None, dropped: list[Issue]) -> ExportJob:
        client, granted = client_of(request.user), granted_types(request.user)
        try:
            return services.begin(
                asked,
                level=self.level,
                group=group,
                by=None if client else caller(request),
                client=client,
                granted=[] if granted is None else granted & set(SOURCES),
                request_url=settings.PUBLIC_BASE_URL + request.get_full_path(),
                problems=dropped,
            )
        except services.TooManyExports as refusal:
            raise Refusal(str(refusal), status=429, headers={"Retry-After": str(refusal.retry_after_s)}) from refusal


class Status(ExportView):
    action = "retrieve"
    verb = "export.status"

    def spoken(self, request: Request) -> str:
        return MEDIA_TYPE  # of errors; a manifest is plain JSON whatever is asked for

    def get(self, request: Request, fhir_id: str) -> HttpResponse:
        job = self.job(fhir_id)
        if job.status == ExportStatus.FAILED or job.work_state in FAILED_WORK:
            failure = job.failure or "The export failed here; the clinic can see why and try it again."
            return _told(job, 500, answer([issue("exception", failure)], 500))
        found = manifests.manifest(job, _page(request))
        if found is None:
            return self._running(job)
        if job.status != ExportStatus.COMPLETED:
            return self._partly(job, found)
        expires = job.expires_at or timezone.now() + timedelta(days=settings.EXPORT_DAYS)
        body = HttpResponse(orjson.dumps(found), content_type="application/json")
        body["Expires"] = http_date(expires.timestamp())
        return _told(job, 200, body)

    def _partly(self, job: ExportJob, page: dict[str, Any]) -> HttpResponse:
        """Tell a page of the manifest while the export goes on; how often it is asked for does not matter."""
        body = HttpResponse(orjson.dumps(page), status=202, content_type="application/json")
        body["Retry-After"] = str(manifests.wait_s(job, timezone.now()))
        body["X-Progress"] = manifests.progress(job)
        return _told(job, 202, body)

    def _running(self, job: ExportJob) -> HttpResponse:
        """Tell how far it is, unless it was asked for a moment ago."""
        wait = {"Retry-After": str(manifests.wait_s(job, timezone.now()))}
        before = Now() - timedelta(seconds=MOST_POLLS_EVERY_S)
        calm = ExportJob.objects.filter(Q(polled_at=None) | Q(polled_at__lt=before), pk=job.pk)
        if not calm.update(polled_at=Now(), polls=F("polls") + 1):
            raise Refusal("Asked too often; wait as Retry-After says.", status=429, headers=wait)
        return _told(job, 202, HttpResponse(status=202, headers={**wait, "X-Progress": manifests.progress(job)}))


class Cancel(ExportView):
    action = "cancel"
    verb = "export.cancel"

    def delete(self, request: Request, fhir_id: str) -> HttpResponse:
        services.cancel(self.job(fhir_id))
        told = issue("informational", "The export is stopped and its files are removed.", severity="information")
        return answer([told], 202)


class Download(ExportView):
    action = "download"
    verb = "export.download"

    def spoken(self, request: Request) -> str:
        return MEDIA_TYPE  # of errors

    def get(self, request: Request, fhir_id: str) -> HttpResponseBase:
        file = ExportFile.objects.filter(pk=fhir_id).first()
        if file is None:
            raise NotFound("There is no such file, or it is not yours to see.")
        job = self.job(file.job_id)  # whose types are those of all its files, Bundles and outcomes too
        _readable(job)
        answered = downloads.answer(request._request, file)
        self.note(fhir_id, job=str(job.pk), type=file.resource_type, count=file.count)
        return answered


def _readable(job: ExportJob) -> None:
    partly = job.status == ExportStatus.IN_PROGRESS and Asked.from_json(job.parameters).allow_partial
    if job.status != ExportStatus.COMPLETED and not partly:
        raise NotFound("There is no such file, or it is not yours to see.")


def _told(job: ExportJob, status: int, body: HttpResponse) -> HttpResponse:
    """Return the answer as it is, or with its status apart, as was preferred when the export was asked for."""
    if Asked.from_json(job.parameters).separate_status:
        body["X-Export-Status"] = f"{status} {HTTPStatus(status).phrase}"
        body.status_code = 200
    body["Cache-Control"] = "no-store, private"
    return body


def _page(request: Request) -> int:
    text = request.query_params.get(manifests.PAGE, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refusal("This is no page of the manifest.", at=[manifests.PAGE])
    return int(text)


def _given(request: Request) -> Parameters:
    return [(name, value) for name, values in request.query_params.lists() for value in values]


def preferences(request: Request) -> frozenset[str]:
    """Return what the Prefer headers say, as {"respond-async", "handling=lenient"}."""
    told = re.split("[,;]", request.headers.get("Prefer", ""))
    return frozenset(re.sub(r"\s|\"", "", each).lower() for each in told)


def judge(resource_type: str, params: Parameters) -> str:
    """Return why a search of this type cannot be made, "" when it can."""
    try:
        for source in SOURCES[resource_type]:
            filtered(source, params)
    except BadSearch as refusal:
        return str(refusal)
    return ""


def _known(asked: Asked, group: PatientGroup | None) -> None:
    """Refuse patients that are not there, or not members of the group."""
    rows = Patient.objects.filter(pk__in=asked.patients)  # nosemgrep: unscoped-rows  # a system's rights are its scopes
    if group is not None:
        rows = rows.filter(patient_groups=group)
    if asked.patients and rows.count() < len(asked.patients):
        raise Refusal("A patient is not known here, or not a member of the group.", code="not-found", at=["patient"])
