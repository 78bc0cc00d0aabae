"""The resources `eligibility-inquiries` and `status-inquiries`: what payers were asked and what they said."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet
from backend.apps.insurance import eligibility, permissions
from backend.apps.insurance.inquiry_serializers import (
    AskedSerializer,
    CoveragesForm,
    EligibilityInquirySerializer,
    StatusInquirySerializer,
)
from backend.apps.insurance.models import EligibilityInquiry, StatusInquiry
from backend.apps.insurance.models.inquiries import InquiryStatus


class EligibilityInquiryFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=InquiryStatus.choices)

    class Meta:
        model = EligibilityInquiry
        fields: ClassVar[dict[str, list[str]]] = {
            "coverage": ["exact"],
            "coverage__patient": ["exact"],
            "interchange": ["exact"],
            "created_at": ["gte", "lt"],
        }


class StatusInquiryFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=InquiryStatus.choices)

    class Meta:
        model = StatusInquiry
        fields: ClassVar[dict[str, list[str]]] = {
            "claim": ["exact"],
            "interchange": ["exact"],
            "created_at": ["gte", "lt"],
        }


class EligibilityInquiryViewSet(ClinicViewSet):
    """Questions are asked and read; only a payer's answer changes them."""

    queryset = EligibilityInquiry.objects.select_related("coverage")
    serializer_class = EligibilityInquirySerializer
    permissions = permissions.ELIGIBILITY_INQUIRY
    filterset_class = EligibilityInquiryFilter
    creates = eligibility.ask

    @extend_schema(request=CoveragesForm, responses=AskedSerializer(many=True))
    @action(detail=False, methods=["post"], pagination_class=None, filter_backends=[])
    def ask_each(self, request: Request) -> Response:
        """Ask about many coverages; answers for each whether it was asked about, and why not."""
        form = CoveragesForm(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        told = eligibility.ask_each(by=request.user, **form.validated_data)  # type: ignore[arg-type]  # somebody
        self.note(count=len(told), ids=[str(one.id) for one in told])
        return Response(AskedSerializer(told, many=True).data)


class StatusInquiryViewSet(ReadOnlyClinicViewSet):
    """Asked by the claim's own verb `ask_status`, or by the clock."""

    queryset = StatusInquiry.objects.select_related("claim")
    serializer_class = StatusInquirySerializer
    permissions = permissions.STATUS_INQUIRY
    filterset_class = StatusInquiryFilter
