"""The admin site: like Django's, but related rows are named for people while `str(row)` stays free of patient data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from unfold.sites import UnfoldAdminSite

from backend.apps.core import audit
from backend.apps.core.models import AuditLog

View = Callable[..., HttpResponseBase]


class Labelled(AutocompleteJsonView):
    """Finds rows for a form's choices; the answer names people, so each search leaves an audit row.

    It is asked by POST (`posted.js`): whoever chooses a patient types a name.
    """

    http_method_names = ("post",)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.GET = request.POST  # where Django's view reads
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

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Find tables by name, for Ctrl+K. Posted, and not kept under a digest of the words, as Unfold does it.

        Whoever sees a field to search in may type a patient's name into it.
        """
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        began, words = time.perf_counter(), request.POST.get("s", "").lower()
        if not words:
            return HttpResponse()
        found = Paginator(self._search_apps(self.get_app_list(request), words), len(self._registry))
        context = {"page_obj": found, "results": found.page(1), "page_counter": 0}
        return TemplateResponse(
            request,
            "unfold/helpers/command_results.html",
            {**context, "execution_time": time.perf_counter() - began},
            headers={"HX-Trigger": "search"},
        )


def _refused(request: HttpRequest) -> None:
    page = getattr(request.resolver_match, "url_name", None) or "page"
    audit.record(request, "admin.view", page, outcome=AuditLog.Outcome.REFUSED)
