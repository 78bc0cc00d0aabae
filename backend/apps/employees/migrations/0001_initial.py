"""Creates HR's tables, with the rules only a trigger can hold."""

from decimal import Decimal

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

import backend.apps.core.bases
import backend.apps.core.documents
import backend.apps.core.validators
import backend.apps.employees.schedule

# Nobody reports to themselves, however long the ring. The lock makes two simultaneous edits wait for each other, so
# that the second one sees the first; its number stands in models/staff.py too.
REPORTING_LINES = """
CREATE FUNCTION employees_refuse_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7301001);
    IF EXISTS (
        WITH RECURSIVE above AS (
            SELECT manager_id AS id FROM employees_employee WHERE id = NEW.id
            UNION
            SELECT employee.manager_id FROM employees_employee employee JOIN above ON employee.id = above.id
        )
        SELECT 1 FROM above WHERE id = NEW.id
    ) THEN
        RAISE EXCEPTION 'this person would report to themselves'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'employees_employee_no_ring';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER employees_employee_no_ring_insert AFTER INSERT ON employees_employee
    FOR EACH ROW WHEN (NEW.manager_id IS NOT NULL) EXECUTE FUNCTION employees_refuse_ring();
CREATE TRIGGER employees_employee_no_ring_update AFTER UPDATE OF manager_id ON employees_employee
    FOR EACH ROW WHEN (NEW.manager_id IS NOT NULL AND NEW.manager_id IS DISTINCT FROM OLD.manager_id)
    EXECUTE FUNCTION employees_refuse_ring();
"""

# An acknowledged review stays as the person read it; their own comments and the soft delete may still change.
ACKNOWLEDGED = """
CREATE FUNCTION employees_keep_acknowledged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free CONSTANT text[] := ARRAY['employee_comments', 'updated_at', 'is_deleted', 'deleted_at'];
BEGIN
    IF to_jsonb(NEW) - free IS DISTINCT FROM to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'an acknowledged review does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'employees_review_kept';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER employees_review_kept BEFORE UPDATE ON employees_employeeperformancereview
    FOR EACH ROW WHEN (OLD.employee_acknowledged) EXECUTE FUNCTION employees_keep_acknowledged();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(
            "CREATE SEQUENCE employees_employee_number START 100001", "DROP SEQUENCE employees_employee_number"
        ),
        migrations.CreateModel(
            name="Department",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("name", models.CharField(max_length=120)),
                ("code", models.CharField(max_length=20, unique=True)),
                ("description", models.TextField(blank=True)),
                (
                    "phone",
                    models.CharField(
                        blank=True, max_length=16, validators=[backend.apps.core.validators.validate_phone]
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("location", models.CharField(blank=True, max_length=120)),
                (
                    "annual_budget",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=14,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
            ],
            options={
                "ordering": ["name", "id"],
                "abstract": False,
                "indexes": [models.Index(fields=["name", "id"], name="department_name")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_department_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("code", ""), _negated=True), name="employees_department_has_code"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("annual_budget__gte", 0)), name="employees_department_budget_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Employee",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "employee_id",
                    models.CharField(
                        db_default=models.Func(
                            output_field=models.CharField(max_length=20),
                            template="'E' || nextval('employees_employee_number')::text",
                        ),
                        editable=False,
                        max_length=20,
                        unique=True,
                    ),
                ),
                ("position", models.CharField(max_length=120)),
                (
                    "employment_type",
                    models.CharField(
                        choices=[
                            ("full_time", "Full Time"),
                            ("part_time", "Part Time"),
                            ("contract", "Contract"),
                            ("temporary", "Temporary"),
                            ("intern", "Intern"),
                        ],
                        default="full_time",
                        max_length=10,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("on_leave", "On Leave"),
                            ("suspended", "Suspended"),
                            ("terminated", "Terminated"),
                            ("retired", "Retired"),
                        ],
                        default="active",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("hire_date", models.DateField()),
                ("termination_date", models.DateField(blank=True, editable=False, null=True)),
                ("termination_reason", models.CharField(blank=True, editable=False, max_length=500)),
                ("last_promotion_date", models.DateField(blank=True, null=True)),
                (
                    "salary",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "pay_frequency",
                    models.CharField(
                        choices=[
                            ("hourly", "Hourly"),
                            ("weekly", "Weekly"),
                            ("biweekly", "Biweekly"),
                            ("semimonthly", "Semimonthly"),
                            ("monthly", "Monthly"),
                            ("annual", "Annual"),
                        ],
                        default="annual",
                        max_length=11,
                    ),
                ),
                ("benefits_enrolled", models.BooleanField(default=False)),
                (
                    "work_schedule",
                    models.JSONField(
                        blank=True, default=dict, validators=[backend.apps.employees.schedule.validate_work_schedule]
                    ),
                ),
                (
                    "pto_balance",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0"),
                        max_digits=6,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="PTO balance in days",
                    ),
                ),
                (
                    "performance_rating",
                    models.DecimalField(
                        blank=True,
                        decimal_places=1,
                        max_digits=2,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                ("last_review_date", models.DateField(blank=True, editable=False, null=True)),
                (
                    "resume",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("employees/resumes", "resume"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                (
                    "contract",
                    models.FileField(
                        blank=True,
                        max_length=200,
                        upload_to=backend.apps.core.documents.KeptIn("employees/contracts", "contract"),
                        validators=[backend.apps.core.documents.validate_document],
                    ),
                ),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="employees",
                        to="employees.department",
                    ),
                ),
                (
                    "manager",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reports",
                        to="employees.employee",
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="employee",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["employee_id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["department", "status"], name="employee_department_status"),
                    models.Index(fields=["status", "hire_date"], name="employee_status_hired"),
                    models.Index(fields=["hire_date"], name="employee_hired"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_employee_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("employment_type__in", ["full_time", "part_time", "contract", "temporary", "intern"])
                        ),
                        name="employees_employee_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("pay_frequency__in", ["hourly", "weekly", "biweekly", "semimonthly", "monthly", "annual"])
                        ),
                        name="employees_employee_pay_frequency_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("status__in", ["active", "on_leave", "suspended"]), ("termination_date__isnull", True)
                            ),
                            models.Q(("status__in", ["terminated", "retired"]), ("termination_date__isnull", False)),
                            _connector="OR",
                        ),
                        name="employees_employee_ended_has_date",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("termination_date__isnull", True),
                            ("termination_date__gte", models.F("hire_date")),
                            _connector="OR",
                        ),
                        name="employees_employee_ends_after_hire",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("last_promotion_date__isnull", True),
                            ("last_promotion_date__gte", models.F("hire_date")),
                            _connector="OR",
                        ),
                        name="employees_employee_promoted_after_hire",
                        violation_error_message="A promotion cannot come before the first day of work.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("salary__gte", 0)), name="employees_employee_salary_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("pto_balance__gte", 0)), name="employees_employee_pto_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("performance_rating__gte", 1), ("performance_rating__lte", 5)),
                        name="employees_employee_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("manager__isnull", True),
                            models.Q(("manager", models.F("id")), _negated=True),
                            _connector="OR",
                        ),
                        name="employees_employee_not_own_manager",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="department",
            name="head",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="heads",
                to="employees.employee",
            ),
        ),
        migrations.CreateModel(
            name="EmployeePerformanceReview",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "review_type",
                    models.CharField(
                        choices=[
                            ("annual", "Annual"),
                            ("probation", "Probation"),
                            ("mid_year", "Mid Year"),
                            ("project", "Project"),
                        ],
                        max_length=9,
                    ),
                ),
                ("review_period_start", models.DateField()),
                ("review_period_end", models.DateField()),
                ("review_date", models.DateField()),
                (
                    "overall_rating",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ]
                    ),
                ),
                (
                    "technical_skills_rating",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                (
                    "communication_rating",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                (
                    "teamwork_rating",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                (
                    "leadership_rating",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(5),
                        ],
                    ),
                ),
                ("strengths", models.TextField(blank=True)),
                ("areas_for_improvement", models.TextField(blank=True)),
                ("goals", models.TextField(blank=True)),
                ("comments", models.TextField(blank=True)),
                ("employee_acknowledged", models.BooleanField(default=False, editable=False)),
                ("employee_acknowledged_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("employee_comments", models.TextField(blank=True, editable=False)),
                (
                    "employee",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="reviews", to="employees.employee"
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reviews_given",
                        to="employees.employee",
                    ),
                ),
            ],
            options={
                "verbose_name": "performance review",
                "ordering": ["-review_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["employee", "-review_date"], name="review_employee"),
                    models.Index(fields=["-review_date", "id"], name="review_day"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_employeeperformancereview_deleted_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("overall_rating__gte", 1), ("overall_rating__lte", 5)),
                        name="employees_review_overall_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("technical_skills_rating__gte", 1), ("technical_skills_rating__lte", 5)),
                        name="employees_review_technical_skills_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("communication_rating__gte", 1), ("communication_rating__lte", 5)),
                        name="employees_review_communication_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("teamwork_rating__gte", 1), ("teamwork_rating__lte", 5)),
                        name="employees_review_teamwork_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("leadership_rating__gte", 1), ("leadership_rating__lte", 5)),
                        name="employees_review_leadership_rating_1_to_5",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("review_type__in", ["annual", "probation", "mid_year", "project"])),
                        name="employees_review_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("review_period_end__gte", models.F("review_period_start"))),
                        name="employees_review_period_ends_after_start",
                        violation_error_message="The period cannot end before it begins.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("review_date__gte", models.F("review_period_start"))),
                        name="employees_review_not_before_period",
                        violation_error_message="A review cannot come before its period.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reviewer", models.F("employee")), _negated=True),
                        name="employees_review_not_by_oneself",
                        violation_error_message="Nobody reviews themselves.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("employee_acknowledged", False), ("employee_acknowledged_at__isnull", True)),
                            models.Q(("employee_acknowledged", True), ("employee_acknowledged_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="employees_review_acknowledged_has_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EmployeeTimeOff",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.apps.core.bases.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("is_deleted", models.BooleanField(default=False, editable=False)),
                ("deleted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "time_off_type",
                    models.CharField(
                        choices=[
                            ("vacation", "Vacation"),
                            ("sick", "Sick"),
                            ("personal", "Personal"),
                            ("bereavement", "Bereavement"),
                            ("maternity", "Maternity"),
                            ("paternity", "Paternity"),
                            ("unpaid", "Unpaid"),
                        ],
                        max_length=11,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("denied", "Denied"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="pending",
                        editable=False,
                        max_length=9,
                    ),
                ),
                ("start_date", models.DateField()),
                ("end_date", models.DateField()),
                (
                    "days_requested",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Working days; counted from the range when left out.",
                        max_digits=5,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("approved_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("denial_reason", models.CharField(blank=True, editable=False, max_length=1000)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "employee",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="time_off", to="employees.employee"
                    ),
                ),
            ],
            options={
                "verbose_name": "request for time off",
                "verbose_name_plural": "requests for time off",
                "ordering": ["-start_date", "id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["employee", "-start_date"], name="timeoff_employee"),
                    models.Index(fields=["status", "start_date"], name="timeoff_status"),
                    models.Index(fields=["-start_date", "id"], name="timeoff_start"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_employeetimeoff_deleted_has_time",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(("is_deleted", False), ("status__in", ["pending", "approved"])),
                        expressions=[
                            ("employee", "="),
                            (
                                models.Func(
                                    models.F("start_date"),
                                    models.F("end_date"),
                                    models.Value("[]"),
                                    function="daterange",
                                    output_field=django.contrib.postgres.fields.ranges.DateRangeField(),
                                ),
                                "&&",
                            ),
                        ],
                        name="employees_employeetimeoff_no_overlap",
                        violation_error_message="Another request of this person covers some of these days.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "time_off_type__in",
                                ["vacation", "sick", "personal", "bereavement", "maternity", "paternity", "unpaid"],
                            )
                        ),
                        name="employees_employeetimeoff_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["pending", "approved", "denied", "cancelled"])),
                        name="employees_employeetimeoff_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("end_date__gte", models.F("start_date"))),
                        name="employees_employeetimeoff_ends_after_start",
                        violation_error_message="The last day cannot come before the first.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days_requested__gt", 0)), name="employees_employeetimeoff_some_days"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "approved"), _negated=True),
                            models.Q(("approved_at__isnull", False), ("approved_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="employees_employeetimeoff_approved_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "denied"), _negated=True),
                            models.Q(("denial_reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="employees_employeetimeoff_denied_with_reason",
                    ),
                ],
            },
        ),
        migrations.RunSQL(REPORTING_LINES, "DROP FUNCTION employees_refuse_ring CASCADE"),
        migrations.RunSQL(ACKNOWLEDGED, "DROP FUNCTION employees_keep_acknowledged CASCADE"),
    ]
