"""Addresses of the app `messaging`."""

from rest_framework.routers import SimpleRouter

from backend.apps.messaging.template_views import MessageTemplateViewSet

router = SimpleRouter()
router.register("message-templates", MessageTemplateViewSet, basename="message-template")
urlpatterns = router.urls
