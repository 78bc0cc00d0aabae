"""Addresses of the app `appointments`."""

from rest_framework.routers import SimpleRouter

from backend.apps.appointments.policies_views import ReminderPolicyViewSet
from backend.apps.appointments.recall_views import RecallRuleViewSet, RecallViewSet
from backend.apps.appointments.views import AppointmentReminderViewSet, AppointmentViewSet
from backend.apps.appointments.waitlist_views import WaitlistEntryViewSet, WaitlistOfferViewSet

router = SimpleRouter()
router.register("appointments", AppointmentViewSet, basename="appointment")
router.register("appointment-reminders", AppointmentReminderViewSet, basename="appointment-reminder")
router.register("waitlist-entries", WaitlistEntryViewSet, basename="waitlist-entry")
router.register("waitlist-offers", WaitlistOfferViewSet, basename="waitlist-offer")
router.register("recall-rules", RecallRuleViewSet, basename="recall-rule")
router.register("recalls", RecallViewSet, basename="recall")
router.register("reminder-policies", ReminderPolicyViewSet, basename="reminder-policy")
urlpatterns = router.urls
