"""What of HR's rows goes over the wire; salaries are cut by `core.field_rules`."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Any, ClassVar

from rest_framework import serializers

from backend.apps.core.models import Clinic
from backend.apps.core.serializers import ClinicSerializer, Form
from backend.apps.employees.models import Department, Employee, EmployeePerformanceReview, EmployeeTimeOff


class DepartmentSerializer(ClinicSerializer):
    employee_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Department
        fields = [
            "id", "name", "code", "description", "head", "phone", "email", "location", "annual_budget",
            "employee_count", "created_at", "updated_at",
        ]  # fmt: skip


class EmployeeSerializer(ClinicSerializer):
    full_name = serializers.CharField(read_only=True)
    department_name = serializers.CharField(source="department.name", read_only=True, default=None)
    years_of_service = serializers.SerializerMethodField()
    is_active = serializers.BooleanField(read_only=True)

    class Meta:
        model = Employee
        fields = [
            "id", "user", "employee_id", "full_name", "department", "department_name", "position", "manager",
            "employment_type", "status", "is_active", "hire_date", "termination_date", "termination_reason",
            "years_of_service", "last_promotion_date", "salary", "pay_frequency", "benefits_enrolled",
            "work_schedule", "pto_balance", "performance_rating", "last_review_date", "resume", "contract",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "employee_id", "status", "termination_date", "termination_reason", "last_review_date",
        ]  # fmt: skip

    def get_years_of_service(self, employee: Employee) -> int:
        return employee.years_served(until=self._today)

    @cached_property
    def _today(self) -> date:
        """The clinic's day, asked for once per answer and not once per row."""
        return Clinic.today()


class EmployeeTimeOffSerializer(ClinicSerializer):
    class Meta:
        model = EmployeeTimeOff
        fields = [
            "id", "employee", "time_off_type", "status", "start_date", "end_date", "days_requested", "reason",
            "approved_by", "approved_at", "denial_reason", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = ["status", "approved_by", "approved_at", "denial_reason"]
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "employee": {"required": False, "help_text": "The caller's own file when left out."},
            "days_requested": {"required": False},
        }


class EmployeePerformanceReviewSerializer(ClinicSerializer):
    class Meta:
        model = EmployeePerformanceReview
        fields = [
            "id", "employee", "review_type", "review_period_start", "review_period_end", "review_date", "reviewer",
            "overall_rating", "technical_skills_rating", "communication_rating", "teamwork_rating",
            "leadership_rating", "strengths", "areas_for_improvement", "goals", "comments", "employee_acknowledged",
            "employee_acknowledged_at", "employee_comments", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields: ClassVar[list[str]] = [
            "employee_acknowledged", "employee_acknowledged_at", "employee_comments",
        ]  # fmt: skip
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "reviewer": {"required": False, "help_text": "The caller's own file when left out."}
        }


class EndForm(Form):
    on = serializers.DateField(required=False, help_text="The last day of work; today when left out.")


class TerminateForm(EndForm):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class ReasonForm(Form):
    reason = serializers.CharField(max_length=1000)


class AcknowledgeForm(Form):
    comments = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class CommentForm(Form):
    comments = serializers.CharField(max_length=10_000)
