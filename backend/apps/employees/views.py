"""The resources of HR: departments, employees, their time off and their reviews."""

from __future__ import annotations

from typing import ClassVar

import django_filters
from django.db.models import QuerySet

from backend.apps.core.models import Clinic
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.employees import balances, permissions, reviews_due, serializers, services
from backend.apps.employees.balance_serializers import CorrectionForm
from backend.apps.employees.models import Department, Employee, EmployeePerformanceReview, EmployeeTimeOff
from backend.apps.employees.models.staff import EMPLOYEES_NOW


class DepartmentViewSet(ClinicViewSet):
    queryset = Department.objects.annotate(employees_now=EMPLOYEES_NOW)
    serializer_class = serializers.DepartmentSerializer
    permissions = permissions.DEPARTMENT
    filterset_fields: ClassVar[dict[str, list[str]]] = {"code": ["exact"], "head": ["exact"]}
    search_fields = ("name", "code")
    ordering_fields = ("name", "code", "created_at")
    ordering = ("name",)


class EmployeeFilter(django_filters.FilterSet):
    review_due = django_filters.BooleanFilter(method="by_review", label="Whether a performance review is due.")

    class Meta:
        model = Employee
        fields: ClassVar[dict[str, list[str]]] = {
            "employee_id": ["exact"],
            "department": ["exact"],
            "manager": ["exact"],
            "status": ["exact"],
            "employment_type": ["exact"],
            "hire_date": ["gte", "lt"],
        }

    def by_review(self, rows: QuerySet[Employee], name: str, due: bool) -> QuerySet[Employee]:
        condition = reviews_due.is_due(Clinic.today())
        return rows.filter(condition if due else ~condition)


class EmployeeViewSet(ClinicViewSet):
    queryset = Employee.objects.select_related("user", "department__head", "manager")
    serializer_class = serializers.EmployeeSerializer
    permissions = permissions.EMPLOYEE
    filterset_class = EmployeeFilter
    search_fields = ("employee_id", "user__first_name", "user__last_name", "position")
    ordering_fields = ("employee_id", "hire_date", "created_at")
    ordering = ("employee_id",)
    creates = services.hire
    updates = services.change
    start_leave = verb(services.start_leave)
    suspend = verb(services.suspend)
    reinstate = verb(services.reinstate)
    retire = verb(services.retire, takes=serializers.EndForm)
    terminate = verb(services.terminate, takes=serializers.TerminateForm)
    correct_balance = verb(balances.correct_balance, takes=CorrectionForm)


class EmployeeTimeOffViewSet(ClinicViewSet):
    queryset = EmployeeTimeOff.objects.select_related("employee__department__head")
    serializer_class = serializers.EmployeeTimeOffSerializer
    permissions = permissions.TIME_OFF
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "employee": ["exact"],
        "employee__department": ["exact"],
        "status": ["exact"],
        "time_off_type": ["exact"],
        "start_date": ["gte", "lt"],
        "end_date": ["gte", "lt"],
    }
    ordering_fields = ("start_date", "created_at")
    ordering = ("-start_date",)
    creates = services.request_time_off
    updates = services.change_time_off
    approve = verb(services.approve)
    deny = verb(services.deny, takes=serializers.ReasonForm)
    cancel = verb(services.cancel)


class EmployeePerformanceReviewViewSet(ClinicViewSet):
    queryset = EmployeePerformanceReview.objects.select_related("employee", "reviewer")
    serializer_class = serializers.EmployeePerformanceReviewSerializer
    permissions = permissions.REVIEW
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "employee": ["exact"],
        "reviewer": ["exact"],
        "review_type": ["exact"],
        "employee_acknowledged": ["exact"],
        "review_date": ["gte", "lt"],
    }
    ordering_fields = ("review_date", "created_at")
    ordering = ("-review_date",)
    creates = services.write_review
    updates = services.change_review
    acknowledge = verb(services.acknowledge, takes=serializers.AcknowledgeForm)
    comment = verb(services.comment, takes=serializers.CommentForm)
