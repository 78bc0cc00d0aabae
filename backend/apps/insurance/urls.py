"""Addresses of the app `insurance`."""

from rest_framework.routers import SimpleRouter

from backend.apps.insurance import (
    billing_views,
    deposit_views,
    inbound_views,
    inquiry_views,
    interchange_views,
    partner_views,
    remittance_views,
    submission_views,
    views,
)

router = SimpleRouter()
router.register("insurance-providers", views.InsuranceProviderViewSet, basename="insurance-provider")
router.register("insurance-plans", views.InsurancePlanViewSet, basename="insurance-plan")
router.register("patient-insurances", views.PatientInsuranceViewSet, basename="patient-insurance")
router.register("insurance-claims", views.InsuranceClaimViewSet, basename="insurance-claim")
router.register("eligibility-inquiries", inquiry_views.EligibilityInquiryViewSet, basename="eligibility-inquiry")
router.register("status-inquiries", inquiry_views.StatusInquiryViewSet, basename="status-inquiry")
router.register("deposits", deposit_views.DepositViewSet, basename="deposit")
router.register("submissions", submission_views.SubmissionViewSet, basename="submission")
router.register("prior-adjudications", submission_views.PriorAdjudicationViewSet, basename="prior-adjudication")
router.register("billing-entities", billing_views.BillingEntityViewSet, basename="billing-entity")
router.register("service-facilities", billing_views.ServiceFacilityViewSet, basename="service-facility")
router.register("referring-providers", billing_views.ReferringProviderViewSet, basename="referring-provider")
router.register("trading-partners", partner_views.TradingPartnerViewSet, basename="trading-partner")
router.register("partner-payers", partner_views.PartnerPayerViewSet, basename="partner-payer")
router.register("interchanges", interchange_views.InterchangeViewSet, basename="interchange")
router.register("inbound-files", inbound_views.InboundFileViewSet, basename="inbound-file")
router.register("remittances", remittance_views.RemittanceViewSet, basename="remittance")
router.register("remittance-claims", remittance_views.RemittanceClaimViewSet, basename="remittance-claim")
router.register("postings", remittance_views.PostingViewSet, basename="posting")
router.register("provider-adjustments", remittance_views.ProviderAdjustmentViewSet, basename="provider-adjustment")
urlpatterns = router.urls
