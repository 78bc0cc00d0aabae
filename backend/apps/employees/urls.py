"""Addresses of the app `employees`."""

from rest_framework.routers import SimpleRouter

from backend.apps.employees import balance_views, credential_views, views

router = SimpleRouter()
router.register("departments", views.DepartmentViewSet, basename="department")
router.register("employees", views.EmployeeViewSet, basename="employee")
router.register("employee-time-offs", views.EmployeeTimeOffViewSet, basename="employee-time-off")
router.register(
    "employee-performance-reviews", views.EmployeePerformanceReviewViewSet, basename="employee-performance-review"
)
router.register("employee-credentials", credential_views.EmployeeCredentialViewSet, basename="employee-credential")
router.register("time-off-policies", balance_views.TimeOffPolicyViewSet, basename="time-off-policy")
router.register("pto-entries", balance_views.PtoEntryViewSet, basename="pto-entry")
urlpatterns = router.urls
