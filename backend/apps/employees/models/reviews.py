"""Performance reviews, which nobody can rewrite once the person reviewed has acknowledged them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import DomainError, IllegalTransition
from backend.apps.core.scope import Access
from backend.apps.employees.models.staff import NOBODY, Employee

RATINGS = ("overall_rating", "technical_skills_rating", "communication_rating", "teamwork_rating", "leadership_rating")
ONE_TO_FIVE = [MinValueValidator(1), MaxValueValidator(5)]


class EmployeePerformanceReview(ClinicModel):
    """One reviewer's view of one person over one period. A trigger keeps an acknowledged review as it was."""

    class ReviewType(models.TextChoices):
        ANNUAL = "annual"
        PROBATION = "probation"
        MID_YEAR = "mid_year"
        PROJECT = "project"

    access: ClassVar[Access] = Access(
        sees_all=NOBODY, owners=("employee__user", "reviewer__user", "employee__department__head__user")
    )

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="reviews")
    review_type = models.CharField(max_length=9, choices=ReviewType)
    review_period_start = models.DateField()
    review_period_end = models.DateField()
    review_date = models.DateField()
    reviewer = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="reviews_given")
    overall_rating = models.PositiveSmallIntegerField(validators=ONE_TO_FIVE)
    technical_skills_rating = models.PositiveSmallIntegerField(null=True, blank=True, validators=ONE_TO_FIVE)
    communication_rating = models.PositiveSmallIntegerField(null=True, blank=True, validators=ONE_TO_FIVE)
    teamwork_rating = models.PositiveSmallIntegerField(null=True, blank=True, validators=ONE_TO_FIVE)
    leadership_rating = models.PositiveSmallIntegerField(null=True, blank=True, validators=ONE_TO_FIVE)
    strengths = models.TextField(blank=True)
    areas_for_improvement = models.TextField(blank=True)
    goals = models.TextField(blank=True)
    comments = models.TextField(blank=True)
    employee_acknowledged = models.BooleanField(default=False, editable=False)
    employee_acknowledged_at = models.DateTimeField(null=True, blank=True, editable=False)
    employee_comments = models.TextField(blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        verbose_name = "performance review"
        ordering = ["-review_date", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__gte": 1, f"{field}__lte": 5}),
                    name=f"employees_review_{field}_1_to_5",
                )
                for field in RATINGS
            ),
            models.CheckConstraint(
                condition=Q(review_type__in=["annual", "probation", "mid_year", "project"]),
                name="employees_review_type_known",
            ),
            models.CheckConstraint(
                condition=Q(review_period_end__gte=F("review_period_start")),
                name="employees_review_period_ends_after_start",
                violation_error_message="The period cannot end before it begins.",
            ),
            models.CheckConstraint(
                condition=Q(review_date__gte=F("review_period_start")),
                name="employees_review_not_before_period",
                violation_error_message="A review cannot come before its period.",
            ),
            models.CheckConstraint(
                condition=~Q(reviewer=F("employee")),
                name="employees_review_not_by_oneself",
                violation_error_message="Nobody reviews themselves.",
            ),
            models.CheckConstraint(
                condition=Q(employee_acknowledged=False, employee_acknowledged_at__isnull=True)
                | Q(employee_acknowledged=True, employee_acknowledged_at__isnull=False),
                name="employees_review_acknowledged_has_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["employee", "-review_date"], name="review_employee"),
            models.Index(fields=["-review_date", "id"], name="review_day"),
        ]

    def clean(self) -> None:
        super().clean()
        if self.employee_id and self.review_period_end and self.review_period_end < self.employee.hire_date:
            raise ValidationError({"review_period_end": "This day lies before the person's first day of work."})

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if self.employee_acknowledged:
            raise DomainError("This review is acknowledged and is kept.")
        done = super().delete(*args, **kwargs)
        self.note_on_file()
        return done

    @transaction.atomic
    def note_on_file(self) -> None:
        """Put the day and overall rating of the person's newest review, if any is left, on their file."""
        file = Employee._base_manager.filter(pk=self.employee_id)
        list(file.select_for_update(no_key=True).values_list("pk"))  # so that two at once see each other's review
        newest = type(self).objects.filter(employee=OuterRef("pk")).order_by("-review_date", "-id")
        file.update(
            last_review_date=Subquery(newest.values("review_date")[:1]),
            performance_rating=Subquery(newest.values("overall_rating")[:1]),
            updated_at=timezone.now(),
        )

    def acknowledge(self) -> None:
        """Note that the person has read the review; from now on only their own comments may change."""
        now = timezone.now()
        noted = (
            type(self)
            ._base_manager.filter(pk=self.pk, employee_acknowledged=False)
            .update(employee_acknowledged=True, employee_acknowledged_at=now, updated_at=now)
        )
        if not noted:
            raise IllegalTransition("This review is acknowledged already.")
        self.refresh_from_db(fields=["employee_acknowledged", "employee_acknowledged_at", "updated_at"])
