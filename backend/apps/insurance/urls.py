"""Addresses of the app `insurance`."""

from rest_framework.routers import SimpleRouter

from backend.apps.insurance import deposit_views, inquiry_views, views

router = SimpleRouter()
router.register("insurance-providers", views.InsuranceProviderViewSet, basename="insurance-provider")
router.register("insurance-plans", views.InsurancePlanViewSet, basename="insurance-plan")
router.register("patient-insurances", views.PatientInsuranceViewSet, basename="patient-insurance")
router.register("insurance-claims", views.InsuranceClaimViewSet, basename="insurance-claim")
router.register("eligibility-inquiries", inquiry_views.EligibilityInquiryViewSet, basename="eligibility-inquiry")
router.register("status-inquiries", inquiry_views.StatusInquiryViewSet, basename="status-inquiry")
router.register("deposits", deposit_views.DepositViewSet, basename="deposit")
urlpatterns = router.urls
