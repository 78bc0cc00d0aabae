"""Addresses of the app `doctors`."""

from rest_framework.routers import SimpleRouter

from backend.apps.doctors import views

router = SimpleRouter()
router.register("specializations", views.SpecializationViewSet, basename="specialization")
router.register("doctors", views.DoctorViewSet, basename="doctor")
router.register("doctor-credentials", views.DoctorCredentialViewSet, basename="doctor-credential")
router.register("doctor-availabilities", views.DoctorAvailabilityViewSet, basename="doctor-availability")
urlpatterns = router.urls
