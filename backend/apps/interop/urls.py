"""Where the API speaks the outside's words."""

from rest_framework.routers import SimpleRouter

from backend.apps.interop import inbox_api, retention_views

router = SimpleRouter()
router.register("inbound-messages", inbox_api.InboundMessageViewSet, basename="inbound-message")
router.register("retention-rules", retention_views.RetentionRuleViewSet, basename="retention-rule")
router.register("retention-runs", retention_views.RetentionRunViewSet, basename="retention-run")

urlpatterns = router.urls
