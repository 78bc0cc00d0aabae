"""Where the pharmacy's resources live."""

from rest_framework.routers import SimpleRouter

from backend.apps.prescriptions import views

router = SimpleRouter()
router.register("medications", views.MedicationViewSet, basename="medication")
router.register("prescriptions", views.PrescriptionViewSet, basename="prescription")
router.register("prescription-refills", views.PrescriptionRefillViewSet, basename="prescription-refill")

urlpatterns = router.urls
