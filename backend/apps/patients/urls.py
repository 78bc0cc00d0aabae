"""Addresses of the app `patients`."""

from rest_framework.routers import SimpleRouter

from backend.apps.patients.views import PatientViewSet

router = SimpleRouter()
router.register("patients", PatientViewSet, basename="patient")
urlpatterns = router.urls
