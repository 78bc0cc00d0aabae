"""The admin site: like Django's, but related rows are named for people while `str(row)` stays free of patient data."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from unfold.sites import UnfoldAdminSite

from backend.apps.core import audit
from backend.apps.core.models import AuditLog

View = Callable[..., HttpResponseBase]


class Labelled(AutocompleteJsonView):
    """Finds rows for a form's choices; the answer names people, so each search leaves an audit row."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().get(request, *args, **kwargs)
        ids = [found["id"] for found in json.loads(answer.content)["results"]]
        audit.record(
            request, "admin.search", self.model_admin.opts.model_name or "", detail={"count": len(ids), "ids": ids}
        )
        return answer

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        return {
            "id": str(getattr(obj, to_field_name)),
            "text": str(getattr(obj, "admin_label", obj)),
        }


class ClinicAdminSite(UnfoldAdminSite):
    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Let a view be seen by the staff only, as Django does, and audit what somebody is refused."""

        @wraps(view)
        def watched(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, *args, **kwargs)
            except PermissionDenied:
                _refused(request)
                raise

        asked = super().admin_view(watched, cacheable)

        @wraps(asked)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not self.has_permission(request):
                _refused(request)  # Django sends them to the sign-in
            return asked(request, *args, **kwargs)

        return guarded

    def autocomplete_view(self, request: HttpRequest) -> HttpResponseBase:
        return Labelled.as_view(admin_site=self)(request)


def _refused(request: HttpRequest) -> None:
    page = getattr(request.resolver_match, "url_name", None) or "page"
    audit.record(request, "admin.view", page, outcome=AuditLog.Outcome.REFUSED)
