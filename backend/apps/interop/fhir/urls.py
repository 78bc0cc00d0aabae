"""Every address of the FHIR API; the first that fits answers."""

from __future__ import annotations

from django.urls import include, re_path

from backend.apps.interop.fhir.door import NoSuchAddress

TYPE = r"(?P<resource_type>[A-Z][A-Za-z]{1,60})"
ID = r"(?P<fhir_id>[A-Za-z0-9.-]{1,64})"

urlpatterns = [
    re_path("", include("backend.apps.interop.fhir.smart.urls")),
    re_path("", include("backend.apps.interop.fhir.exports.urls")),
    re_path("", NoSuchAddress.as_view()),
]
