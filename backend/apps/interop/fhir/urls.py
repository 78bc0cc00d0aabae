"""Every address of the FHIR API; the first that fits answers."""

from __future__ import annotations

from django.urls import include, re_path

from backend.apps.interop.fhir.binaries import Binaries
from backend.apps.interop.fhir.door import NoSuchAddress, by_method
from backend.apps.interop.fhir.everything import Everything
from backend.apps.interop.fhir.metadata import Metadata
from backend.apps.interop.fhir.reading import Read
from backend.apps.interop.fhir.search.views import Search
from backend.apps.interop.fhir.writing.validating import Validate
from backend.apps.interop.fhir.writing.views import Create, Update

TYPE = r"(?P<resource_type>[A-Z][A-Za-z]{1,60})"
ID = r"(?P<fhir_id>[A-Za-z0-9.-]{1,64})"

urlpatterns = [
    re_path(f"^{TYPE}/?$", by_method(get=Search.as_view(), post=Create.as_view())),
    re_path(f"^Binary/{ID}$", by_method(get=Binaries.as_view())),
    re_path(f"^{TYPE}/{ID}$", by_method(get=Read.as_view(), put=Update.as_view())),
    re_path("", include("backend.apps.interop.fhir.smart.urls")),
    re_path("", include("backend.apps.interop.fhir.exports.urls")),
    re_path("^metadata$", Metadata.as_view()),
    re_path(rf"^Patient/{ID}/\$everything$", Everything.as_view(), {"resource_type": "Patient"}),
    re_path(rf"^{TYPE}(?:/{ID})?/\$validate$", Validate.as_view()),
    re_path(f"^{TYPE}/_search$", by_method(post=Search.as_view())),
    re_path(f"^{TYPE}/{ID}/_history/(?P<version_id>[A-Za-z0-9.-]{{1,64}})$", by_method(get=Read.as_view())),
    re_path("", NoSuchAddress.as_view()),
]
