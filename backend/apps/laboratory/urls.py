"""Where the laboratory's resources live."""

from rest_framework.routers import SimpleRouter

from backend.apps.laboratory import views

router = SimpleRouter()
router.register("lab-tests", views.LabTestViewSet, basename="lab-test")
router.register("lab-orders", views.LabOrderViewSet, basename="lab-order")
router.register("lab-results", views.LabResultViewSet, basename="lab-result")
router.register("inbound-messages", views.InboundMessageViewSet, basename="inbound-message")

urlpatterns = router.urls
