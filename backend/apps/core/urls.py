"""Addresses of the practice's profile, the audit log and alerts."""

from rest_framework.routers import SimpleRouter

from backend.apps.core.views import AlertViewSet, AuditLogViewSet, ClinicProfileViewSet

router = SimpleRouter()
router.register("clinics", ClinicProfileViewSet, basename="clinic")
router.register("audit-logs", AuditLogViewSet, basename="audit-log")
router.register("alerts", AlertViewSet, basename="alert")
urlpatterns = router.urls
