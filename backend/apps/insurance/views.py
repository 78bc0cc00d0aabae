"""The resources of billing: payers, plans, coverage and claims."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.insurance import eligibility, permissions, serializers, services, submitting
from backend.apps.insurance.inquiry_serializers import DayForm
from backend.apps.insurance.models import InsuranceClaim, InsurancePlan, InsuranceProvider, PatientInsurance
from backend.apps.insurance.submission_views import SubmittedClaims
from backend.apps.insurance.timeline_views import ToldClaims
from backend.apps.insurance.watch_views import WatchedClaims


class InsuranceProviderViewSet(ClinicViewSet):
    queryset = InsuranceProvider.objects.all()
    serializer_class = serializers.InsuranceProviderSerializer
    permissions = permissions.PROVIDER
    filterset_fields: ClassVar[dict[str, list[str]]] = {"payer_id": ["exact"], "is_active": ["exact"]}
    search_fields = ("company_name", "payer_id")
    ordering_fields = ("company_name", "created_at")
    ordering = ("company_name",)


class InsurancePlanViewSet(ClinicViewSet):
    queryset = InsurancePlan.objects.select_related("provider")
    serializer_class = serializers.InsurancePlanSerializer
    permissions = permissions.PLAN
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "provider": ["exact"],
        "plan_type": ["exact"],
        "plan_number": ["exact"],
    }
    search_fields = ("plan_name", "plan_number", "provider__company_name")
    ordering_fields = ("plan_name", "created_at")
    ordering = ("plan_name",)


class PatientInsuranceViewSet(ClinicViewSet):
    """Membership numbers are a patient's data and stand in no filter, because filters stand in URLs."""

    queryset = PatientInsurance.objects.select_related("insurance_plan")
    serializer_class = serializers.PatientInsuranceSerializer
    permissions = permissions.COVERAGE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "patient": ["exact"],
        "insurance_plan": ["exact"],
        "priority": ["exact"],
        "verification_status": ["exact"],
        "last_verified_date": ["lt", "isnull"],
        "effective_date": ["lte"],
        "termination_date": ["gte", "lt", "isnull"],
    }
    ordering_fields = ("effective_date", "last_verified_date", "created_at")
    updates = services.change_coverage
    verify = verb(services.verify, takes=serializers.VerifyForm)
    check_eligibility = verb(eligibility.check_eligibility, takes=DayForm)


class InsuranceClaimViewSet(SubmittedClaims, WatchedClaims, ToldClaims):
    queryset = InsuranceClaim.objects.select_related("patient_insurance__insurance_plan").annotate(
        submission_state=submitting.state()
    )
    serializer_class = serializers.InsuranceClaimSerializer
    permissions = permissions.CLAIM
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "claim_number": ["exact"],
        "status": ["exact", "in"],
        "patient_insurance": ["exact"],
        "patient_insurance__patient": ["exact"],
        "patient_insurance__insurance_plan__provider": ["exact"],
        "appointment": ["exact"],
        "service_date": ["gte", "lt"],
        "submission_date": ["gte", "lt"],
    }
    search_fields = ("claim_number", "insurance_reference_number")
    ordering_fields = ("created_at", "service_date", "submission_date")
    creates = services.write_claim
    updates = services.change_claim
    mark_as_pending = verb(services.mark_as_pending)
    accept = verb(services.accept, takes=serializers.ReferenceForm)
    reject = verb(services.reject, takes=serializers.ReasonForm)
    reopen = verb(services.reopen)
    mark_as_paid = verb(services.mark_as_paid, takes=serializers.PaymentForm)
    deny = verb(services.deny, takes=serializers.DenialForm)
    note_payer_number = verb(services.note_payer_number, takes=serializers.NumberForm)
    appeal = verb(services.appeal)
