"""Addresses of the app `insurance`."""

from rest_framework.routers import SimpleRouter

from backend.apps.insurance import views

router = SimpleRouter()
router.register("insurance-providers", views.InsuranceProviderViewSet, basename="insurance-provider")
router.register("insurance-plans", views.InsurancePlanViewSet, basename="insurance-plan")
router.register("patient-insurances", views.PatientInsuranceViewSet, basename="patient-insurance")
router.register("insurance-claims", views.InsuranceClaimViewSet, basename="insurance-claim")
urlpatterns = router.urls
