"""Addresses of the practice's profile and the audit log."""

from rest_framework.routers import SimpleRouter

from backend.apps.core.views import AuditLogViewSet, ClinicProfileViewSet

router = SimpleRouter()
router.register("clinics", ClinicProfileViewSet, basename="clinic")
router.register("audit-logs", AuditLogViewSet, basename="audit-log")
urlpatterns = router.urls
