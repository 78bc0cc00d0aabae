"""Where the laboratory's resources live."""

from rest_framework.routers import SimpleRouter

from backend.apps.laboratory import critical_views, feed_views, filing_views, inbox_views, order_message_views, views

router = SimpleRouter()
router.register("lab-tests", views.LabTestViewSet, basename="lab-test")
router.register("lab-orders", views.LabOrderViewSet, basename="lab-order")
router.register("lab-order-messages", order_message_views.LabOrderMessageViewSet, basename="lab-order-message")
router.register("lab-results", views.LabResultViewSet, basename="lab-result")
router.register("lab-specimens", filing_views.LabSpecimenViewSet, basename="lab-specimen")
router.register("lab-code-mappings", filing_views.LabCodeMappingViewSet, basename="lab-code-mapping")
router.register("lab-replays", inbox_views.LabReplayViewSet, basename="lab-replay")
router.register("critical-results", critical_views.CriticalResultViewSet, basename="critical-result")
router.register("critical-pages", critical_views.CriticalPageViewSet, basename="critical-page")
router.register("lab-feeds", feed_views.LabFeedViewSet, basename="lab-feed")
router.register("critical-policies", critical_views.CriticalPolicyViewSet, basename="critical-policy")

urlpatterns = router.urls
