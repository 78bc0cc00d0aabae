"""Addresses of the app `messaging`."""

from rest_framework.routers import SimpleRouter

from backend.apps.messaging.inbox_views import InboundTextViewSet, StaffTaskViewSet
from backend.apps.messaging.message_views import PatientMessageViewSet, ProviderEventViewSet
from backend.apps.messaging.rules_views import ContactRulesViewSet
from backend.apps.messaging.template_views import MessageTemplateViewSet

router = SimpleRouter()
router.register("message-templates", MessageTemplateViewSet, basename="message-template")
router.register("inbound-texts", InboundTextViewSet, basename="inbound-text")
router.register("staff-tasks", StaffTaskViewSet, basename="staff-task")
router.register("patient-messages", PatientMessageViewSet, basename="patient-message")
router.register("provider-events", ProviderEventViewSet, basename="provider-event")
router.register("contact-rules", ContactRulesViewSet, basename="contact-rules")
urlpatterns = router.urls
