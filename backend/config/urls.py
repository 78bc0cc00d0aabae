"""Every address the web process answers."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from backend.apps.core import health
from backend.apps.core.described import Described
from backend.apps.interop import answer_pages, metrics_door
from backend.apps.interop.fhir.smart import views as smart

CLINIC_APPS = (
    "core", "users", "patients", "doctors", "credentials", "messaging", "appointments", "clinical_notes", "laboratory",
    "employees", "prescriptions", "insurance", "interop",
)  # fmt: skip

urlpatterns = [
    path("fhir/R4/", include("backend.apps.interop.fhir.urls")),  # first: it answers what is asked most
    path("", RedirectView.as_view(url="/admin/")),
    *(path("api/v1/", include(f"backend.apps.{name}.urls")) for name in CLINIC_APPS),
    path("api/schema/", Described.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("", include("backend.apps.users.page_urls")),  # before the admin, whose sign-in they replace
    path("admin/", admin.site.urls),
    path("console/", include("backend.apps.interop.console_urls")),
    path("a/<str:token>/calendar.ics", answer_pages.calendar, name="patient-link-calendar"),
    path("a/<path:token>", answer_pages.door, name="patient-link"),
    path("fhir/token", smart.token, name="smart-token"),
    path("webhooks/", include("backend.apps.interop.webhook_urls")),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics_door.page),
]
