"""HR's rows in the admin, with the API's tables; who is not HR finds no salary here either."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backend.apps.core.admin import ClinicAdmin
from backend.apps.employees import permissions, services
from backend.apps.employees.balance_admin import PtoEntryAdmin, TimeOffPolicyAdmin
from backend.apps.employees.credential_admin import EmployeeCredentialAdmin
from backend.apps.employees.models import Department, Employee, EmployeePerformanceReview, EmployeeTimeOff
from backend.apps.employees.models.staff import EMPLOYEES_NOW

__all__ = ["EmployeeCredentialAdmin", "PtoEntryAdmin", "TimeOffPolicyAdmin"]  # registered there, found here


@admin.register(Department)
class DepartmentAdmin(ClinicAdmin):
    permissions = permissions.DEPARTMENT
    list_display = ("code", "name", "location", "employee_count")
    search_fields = ("code", "name")
    autocomplete_fields = ("head",)
    list_select_related = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(employees_now=EMPLOYEES_NOW)


@admin.register(Employee)
class EmployeeAdmin(ClinicAdmin):
    permissions = permissions.EMPLOYEE
    creates = services.hire
    updates = services.change
    list_display = ("employee_id", "full_name", "position", "department", "status", "hire_date")
    list_filter = ("status", "employment_type", "department")
    search_fields = ("employee_id", "user__first_name", "user__last_name", "position")
    autocomplete_fields = ("user", "department", "manager")
    list_select_related = ("user", "department")
    readonly_fields = ("employee_id", "status", "termination_date", "last_review_date")


@admin.register(EmployeeTimeOff)
class EmployeeTimeOffAdmin(ClinicAdmin):
    permissions = permissions.TIME_OFF
    creates = services.request_time_off
    updates = services.change_time_off
    list_display = ("employee", "time_off_type", "status", "start_date", "end_date", "days_requested")
    list_filter = ("status", "time_off_type")
    search_fields = ("employee__employee_id",)
    autocomplete_fields = ("employee",)
    list_select_related = ("employee",)
    readonly_fields = ("status", "approved_by", "approved_at", "denial_reason")


@admin.register(EmployeePerformanceReview)
class EmployeePerformanceReviewAdmin(ClinicAdmin):
    permissions = permissions.REVIEW
    creates = services.write_review
    updates = services.change_review
    list_display = ("employee", "review_type", "review_date", "reviewer", "employee_acknowledged")
    list_filter = ("review_type", "employee_acknowledged")
    search_fields = ("employee__employee_id", "reviewer__employee_id")
    autocomplete_fields = ("employee", "reviewer")
    list_select_related = ("employee", "reviewer")
    readonly_fields = ("employee_acknowledged", "employee_acknowledged_at", "employee_comments")
