"""The resources `lab-tests`, `lab-orders` and `lab-results`."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Prefetch

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.laboratory import overdue, permissions, services
from backend.apps.laboratory.filing_views import WithDocument
from backend.apps.laboratory.models import (
    AbnormalFlag,
    LabOrder,
    LabOrderMessage,
    LabResult,
    LabTest,
    OrderStatus,
    ResultStatus,
)
from backend.apps.laboratory.serializers import (
    CancelForm,
    CorrectForm,
    LabOrderSerializer,
    LabResultSerializer,
    LabTestSerializer,
)


class LabTestViewSet(ClinicViewSet):
    queryset = LabTest.objects.all()
    serializer_class = LabTestSerializer
    permissions = permissions.LAB_TEST
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "test_code": ["exact"],
        "test_category": ["exact"],
        "is_active": ["exact"],
    }
    search_fields = ("^test_name", "=test_code")
    ordering_fields = ("test_name", "created_at")
    ordering = ("test_name",)


class LabOrderFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=OrderStatus.choices)
    filler_order_number = django_filters.CharFilter(field_name="filler_numbers__number", distinct=True)
    reviewed = django_filters.BooleanFilter(field_name="reviewed_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = LabOrder
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "doctor": ["exact"],
            "priority": ["exact"],
            "order_number": ["exact"],
            "placer_order_number": ["exact"],
            "order_date": ["gte", "lt"],
            "updated_at": ["gte", "lt"],
        }


LAST_MESSAGES = Prefetch("messages", LabOrderMessage.objects.defer("raw", "ack").order_by("-revision"))


class LabOrderViewSet(ClinicViewSet):
    queryset = (
        LabOrder.objects.select_related("patient", "doctor__user")
        .prefetch_related("tests", "filler_numbers", LAST_MESSAGES)
        .annotate(overdue_tests=overdue.late_tests())
    )
    serializer_class = LabOrderSerializer
    permissions = permissions.LAB_ORDER
    filterset_class = LabOrderFilter
    ordering_fields = ("order_date", "created_at", "updated_at")
    ordering = ("-order_date",)
    creates = services.order
    updates = services.revise
    place = verb(services.place)
    mark_as_collected = verb(services.mark_as_collected)
    start = verb(services.start)
    mark_as_completed = verb(services.mark_as_completed)
    cancel = verb(services.cancel, takes=CancelForm)
    review = verb(services.review)


class LabResultFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=ResultStatus.choices)
    abnormal_flag = django_filters.MultipleChoiceFilter(choices=AbnormalFlag.choices)
    verified = django_filters.BooleanFilter(field_name="verified_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = LabResult
        fields: ClassVar[dict[str, list[str]]] = {
            "lab_order": ["exact"],
            "lab_order__patient": ["exact"],
            "lab_test": ["exact"],
            "code_as_sent": ["exact"],
            "source_message": ["exact"],
            "parent_key": ["exact"],
            "is_current": ["exact"],
            "result_date": ["gte", "lt"],
            "updated_at": ["gte", "lt"],
        }


class LabResultViewSet(WithDocument, ClinicViewSet):
    queryset = LabResult.objects.select_related("lab_order", "lab_test")
    serializer_class = LabResultSerializer
    permissions = permissions.LAB_RESULT
    filterset_class = LabResultFilter
    ordering_fields = ("created_at", "updated_at")
    creates = services.enter_result
    correct = verb(services.correct, takes=CorrectForm)
    verify = verb(services.verify)

    def _locked(self) -> Any:
        """Lock the patient and the order before the result, as everybody does who files."""
        services.lock_chart(self.get_object().lab_order)
        return super()._locked()
