"""Addresses of the app `appointments`."""

from rest_framework.routers import SimpleRouter

from backend.apps.appointments.views import AppointmentReminderViewSet, AppointmentViewSet

router = SimpleRouter()
router.register("appointments", AppointmentViewSet, basename="appointment")
router.register("appointment-reminders", AppointmentReminderViewSet, basename="appointment-reminder")
urlpatterns = router.urls
