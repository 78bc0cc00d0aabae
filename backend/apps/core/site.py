"""The admin site: like Django's, but related rows are named for people while `str(row)` stays free of patient data."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from unfold.sites import UnfoldAdminSite

from backend.apps.core import audit


class Labelled(AutocompleteJsonView):
    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        return {
            "id": str(getattr(obj, to_field_name)),
            "text": str(getattr(obj, "admin_label", obj)),
        }


class ClinicAdminSite(UnfoldAdminSite):
    def autocomplete_view(self, request: HttpRequest) -> HttpResponseBase:
        return Labelled.as_view(admin_site=self)(request)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        audit.record(request, "admin.logout", "user", str(getattr(request.user, "pk", "") or ""))
        return super().logout(request, extra_context)
