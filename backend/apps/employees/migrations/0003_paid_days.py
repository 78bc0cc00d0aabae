"""Adds policies of time off, and the entries that explain each balance of paid days."""

import backend.apps.core.bases
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("employees", "0002_credentials"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="TimeOffPolicy",
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
                    "employment_type",
                    models.CharField(
                        choices=[
                            ("full_time", "Full Time"),
                            ("part_time", "Part Time"),
                            ("contract", "Contract"),
                            ("temporary", "Temporary"),
                            ("intern", "Intern"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "days_a_month",
                    models.DecimalField(
                        decimal_places=2,
                        max_digits=4,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(10),
                        ],
                    ),
                ),
                (
                    "most_days",
                    models.DecimalField(
                        decimal_places=2,
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(366),
                        ],
                    ),
                ),
                (
                    "carry_over_days",
                    models.DecimalField(
                        decimal_places=2,
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(366),
                        ],
                    ),
                ),
                ("accrues_on_leave", models.BooleanField(db_default=True, default=True)),
                ("begins_on", models.DateField(blank=True, help_text="The first of the next month when left out.")),
                ("is_active", models.BooleanField(db_default=True, default=True)),
            ],
            options={
                "verbose_name": "policy of time off",
                "verbose_name_plural": "policies of time off",
                "ordering": ["employment_type", "-begins_on"],
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_timeoffpolicy_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_deleted", False)),
                        fields=("employment_type", "begins_on"),
                        name="employees_timeoffpolicy_one_at_a_time",
                        violation_error_message="This kind of employment has a policy from that day already; change that one.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("employment_type__in", ["full_time", "part_time", "contract", "temporary", "intern"])
                        ),
                        name="employees_timeoffpolicy_type_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days_a_month__gte", 0), ("days_a_month__lte", 10)),
                        name="employees_timeoffpolicy_days_a_month",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("carry_over_days__gte", 0), ("carry_over_days__lte", models.F("most_days"))
                        ),
                        name="employees_timeoffpolicy_carries_no_more_than_most",
                        violation_error_message="No more days are carried over than may be held at most.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PtoEntry",
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
                    "kind",
                    models.CharField(
                        choices=[
                            ("opening", "balance before the first entry"),
                            ("accrual", "earned"),
                            ("carry_over_cut", "lost when the year ended"),
                            ("taken", "Taken"),
                            ("returned", "Returned"),
                            ("correction", "Correction"),
                        ],
                        editable=False,
                        max_length=14,
                    ),
                ),
                ("period", models.CharField(blank=True, db_default="", default="", editable=False, max_length=7)),
                ("effective_on", models.DateField(editable=False)),
                ("days", models.DecimalField(decimal_places=2, editable=False, max_digits=6)),
                ("note", models.CharField(blank=True, db_default="", default="", editable=False, max_length=300)),
                (
                    "by",
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
                        on_delete=django.db.models.deletion.PROTECT, related_name="pto_entries", to="employees.employee"
                    ),
                ),
                (
                    "time_off",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pto_entries",
                        to="employees.employeetimeoff",
                    ),
                ),
            ],
            options={
                "verbose_name": "entry of paid days",
                "verbose_name_plural": "entries of paid days",
                "ordering": ["-effective_on", "-id"],
                "abstract": False,
                "indexes": [
                    models.Index(fields=["employee", "-effective_on"], name="ptoentry_employee"),
                    models.Index(fields=["kind", "-effective_on"], name="ptoentry_kind"),
                    models.Index(fields=["-effective_on", "-id"], name="ptoentry_day"),
                    models.Index(fields=["-created_at", "id"], name="ptoentry_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("deleted_at__isnull", True), ("is_deleted", False)),
                            models.Q(("deleted_at__isnull", False), ("is_deleted", True)),
                            _connector="OR",
                        ),
                        name="employees_ptoentry_deleted_has_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["opening", "accrual", "carry_over_cut"])),
                        fields=("employee", "kind", "period"),
                        name="employees_ptoentry_once_a_period",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("time_off__isnull", False)),
                        fields=("time_off", "kind"),
                        name="employees_ptoentry_once_a_request",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["opening", "accrual", "carry_over_cut", "taken", "returned", "correction"])
                        ),
                        name="employees_ptoentry_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["opening", "correction"]),
                            models.Q(("days__gte", 0), ("kind", "accrual")),
                            models.Q(("days__gt", 0), ("kind", "returned")),
                            models.Q(("days__lt", 0), ("kind__in", ["taken", "carry_over_cut"])),
                            _connector="OR",
                        ),
                        name="employees_ptoentry_sign",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "correction"), _negated=True),
                            models.Q(("note", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="employees_ptoentry_corrected_why",
                    ),
                ],
            },
        ),
    ]
