"""Addresses of the app `patients`."""

from rest_framework.routers import SimpleRouter

from backend.apps.patients.contact_views import ContactConsentViewSet, ContactPointViewSet
from backend.apps.patients.emergency_views import EmergencyAccessViewSet
from backend.apps.patients.views import PatientViewSet

router = SimpleRouter()
router.register("patients", PatientViewSet, basename="patient")
router.register("contact-consents", ContactConsentViewSet, basename="contact-consent")
router.register("contact-points", ContactPointViewSet, basename="contact-point")
router.register("emergency-accesses", EmergencyAccessViewSet, basename="emergency-access")
urlpatterns = router.urls
