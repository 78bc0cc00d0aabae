"""The addresses of bulk export under the FHIR base."""

from __future__ import annotations

from django.urls import path, re_path

from backend.apps.interop.fhir.door import by_method
from backend.apps.interop.fhir.exports.views import Cancel, Download, KickOff, Status
from backend.apps.interop.models import ExportLevel

KEY = r"(?P<fhir_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
ALL = KickOff.as_view(level=ExportLevel.SYSTEM)
PATIENTS = KickOff.as_view(level=ExportLevel.PATIENT)
GROUP = KickOff.as_view(level=ExportLevel.GROUP)

urlpatterns = [
    path("$export", by_method(get=ALL, post=ALL)),
    path("Patient/$export", by_method(get=PATIENTS, post=PATIENTS)),
    re_path(r"Group/(?P<fhir_id>[A-Za-z0-9.-]{1,64})/\$export$", by_method(get=GROUP, post=GROUP)),
    re_path(rf"exports/{KEY}$", by_method(get=Status.as_view(), delete=Cancel.as_view())),
    re_path(rf"exports/files/{KEY}$", by_method(get=Download.as_view())),
]
