"""Where the API speaks the outside's words."""

from rest_framework.routers import SimpleRouter

from backend.apps.interop import inbox_api

router = SimpleRouter()
router.register("inbound-messages", inbox_api.InboundMessageViewSet, basename="inbound-message")

urlpatterns = router.urls
